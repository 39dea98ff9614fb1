//! Tools for the systems that only run on a cluster, or on somebody's servers: linters
//! that know more than a schema does, and what runs workflows of GitHub here.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::Ready;
use crate::context::Context;
use crate::stamp::{Recipe, Stamp};
use crate::{go, npm};

/// The linter of Argo Workflows: a Go program here that calls theirs.
const ARGO: &str = "xtask/orchestrators/argo-lint";
const ARGO_MODULE: &str = "github.com/argoproj/argo-workflows/v4 ";

/// What runs its workflows: a test of theirs here, in the package of its controller.
const ARGO_CONTROLLER: &str = "xtask/orchestrators/argo-controller/wharf_test.go";
const ARGO_CONTROLLER_PACKAGE: &str = "workflow/controller";

/// A linter of Tekton's manifests, an npm package with its lock file. Tekton has none.
const TEKTON: &str = "xtask/orchestrators/tekton-lint";
const TEKTON_PACKAGE: &str = "node_modules/@ibm/tekton-lint/package.json";

const ACTIONLINT: Module = Module {
    name: "actionlint",
    path: "github.com/rhysd/actionlint/cmd/actionlint",
    version: "v1.7.12",
};

/// Runs workflows of GitHub, also without containers.
const ACT: Module = Module {
    name: "act",
    path: "github.com/nektos/act",
    version: "v0.2.89",
};

/// A command that is a Go module.
struct Module {
    name: &'static str,
    path: &'static str,
    version: &'static str,
}

impl Module {
    fn ensure(&self, context: &Context) -> Result<PathBuf> {
        let module = format!("{}@{}", self.path, self.version);
        let folder = context.tools();
        let program = folder.join(self.name);
        let stamp = Stamp::new(stamp_of(&program), Recipe::default().text(&module));
        if !stamp.is_current(&program) {
            context.say(format!("installing {module}"));
            go::install(&module, &folder)?;
            stamp.keep()?;
        }
        Ok(program)
    }
}

/// Builds the linter and the controller of Argo Workflows.
pub(super) fn argo(context: &Context) -> Result<Ready> {
    let source = context.source(ARGO);
    let program = context.tools().join("argo-lint");
    let stamp = Stamp::new(stamp_of(&program), Recipe::default().path(&source)?);
    if !stamp.is_current(&program) {
        context.say("building the linter of Argo Workflows (this takes minutes, once)");
        go::build_command(&source, &program)?;
        stamp.keep()?;
    }
    let manifest = fs::read_to_string(source.join("go.mod"))?;
    let version = manifest.lines().find_map(|line| {
        line.trim_start_matches("require ")
            .strip_prefix(ARGO_MODULE)
    });
    let version = version.context("the linter requires no Argo")?;
    let controller = argo_controller(context, version)?;
    Ok(Ready {
        version: version.trim_start_matches('v').to_owned(),
        programs: [("argo-lint", program), ("argo-controller", controller)].into(),
        ..Ready::default()
    })
}

fn argo_controller(context: &Context, version: &str) -> Result<PathBuf> {
    let source = context.source(ARGO_CONTROLLER);
    let program = context.tools().join("argo-controller");
    let module = format!("{}@{version}", ARGO_MODULE.trim_end());
    let recipe = Recipe::default().text(&module).path(&source)?;
    let stamp = Stamp::new(stamp_of(&program), recipe);
    if !stamp.is_current(&program) {
        context.say("building the controller of Argo Workflows (this takes minutes, once)");
        let test = go::Test {
            module: &module,
            package: ARGO_CONTROLLER_PACKAGE,
            source: &source,
        };
        let folder = context.target().join("orchestrators/argo-controller");
        test.compile(&folder, &program)?;
        stamp.keep()?;
    }
    Ok(program)
}

/// Installs the linter of Tekton's manifests.
pub(super) fn tekton(context: &Context) -> Result<Ready> {
    let folder = npm::ensure(context, "tekton-lint", TEKTON)?;
    let package = fs::read(folder.join(TEKTON_PACKAGE))?;
    let package: serde_json::Value = serde_json::from_slice(&package)?;
    let version = package["version"].as_str().unwrap_or("?");
    Ok(Ready {
        version: format!("tekton-lint {version}"),
        programs: [("tekton-lint", folder.join("node_modules/.bin/tekton-lint"))].into(),
        ..Ready::default()
    })
}

/// Installs the linter of workflows of GitHub, and what runs them.
pub(super) fn github_actions(context: &Context) -> Result<Ready> {
    let modules = [ACTIONLINT, ACT];
    let mut ready = Ready::default();
    let mut versions = Vec::new();
    for module in &modules {
        ready.programs.insert(module.name, module.ensure(context)?);
        versions.push(format!(
            "{} {}",
            module.name,
            module.version.trim_start_matches('v')
        ));
    }
    ready.version = versions.join(", ");
    Ok(ready)
}

fn stamp_of(program: &Path) -> PathBuf {
    let mut name = program.as_os_str().to_owned();
    name.push("-stamp");
    name.into()
}
