// Lints manifests of Argo Workflows as `argo lint --offline` does.
//
// The command `argo` itself cannot be built from its Go module, which lacks the
// pages that its server embeds; the linter is a package of the same module.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/argoproj/argo-workflows/v4/cmd/argo/lint"
	"github.com/argoproj/argo-workflows/v4/pkg/apiclient"
	"github.com/argoproj/argo-workflows/v4/pkg/apis/workflow"
	"github.com/argoproj/argo-workflows/v4/util/logging"
)

func main() {
	files := os.Args[1:]
	if len(files) == 0 {
		fmt.Fprintln(os.Stderr, "usage: argo-lint FILE...")
		os.Exit(2)
	}
	if err := run(files); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Ends the process with 1 if a manifest is wrong.
func run(files []string) error {
	log := logging.NewSlogLogger(logging.Error, logging.Text)
	ctx := logging.WithLogger(context.Background(), log)
	ctx, client, err := apiclient.NewClientFromOptsWithContext(ctx, apiclient.Opts{
		Offline:      true,
		OfflineFiles: files,
	})
	if err != nil {
		return err
	}
	kinds := []string{
		workflow.WorkflowPlural,
		workflow.WorkflowTemplatePlural,
		workflow.CronWorkflowPlural,
		workflow.ClusterWorkflowTemplatePlural,
	}
	return lint.RunLint(ctx, client, kinds, "simple", true, lint.LintOptions{
		Files:            files,
		Strict:           true,
		DefaultNamespace: "default",
		Printer:          os.Stdout,
	})
}
