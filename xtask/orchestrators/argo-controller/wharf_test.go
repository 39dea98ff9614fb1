// Runs a WorkflowTemplate by the controller of Argo Workflows, without a cluster.
//
// It is the controller's own code that decides what is run, retried, omitted and stopped: this
// file is compiled into a copy of its package, and uses what that package's tests have, a
// controller whose clients keep objects in memory. What a cluster has beside the controller is
// stood in for here:
//   - the kubelet: each pod is run by podman (`podman kube play`), with its container `main`
//     as the controller has made it: image, command, variables, limits, security context;
//   - Argo's own containers in a pod, `init` and `wait`, and what runs the command in `main`:
//     this file reads the outputs, as `wait` does, and reports them;
//   - the worker that stops the containers of a workflow that is stopped.
//
// It is called with a request as JSON and the file that the answer goes to, as the other drivers
// of tests/orchestrators are.
package controller

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	apiv1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"sigs.k8s.io/yaml"

	wfv1 "github.com/argoproj/argo-workflows/v4/pkg/apis/workflow/v1alpha1"
	"github.com/argoproj/argo-workflows/v4/util/logging"
)

// What is asked for.
type wharfRequest struct {
	Folder       string            `json:"folder"`
	Name         string            `json:"name"`
	Store        string            `json:"store"`
	Parameters   map[string]any    `json:"parameters"`
	Partition    *string           `json:"partition"`
	CancelDuring *string           `json:"cancel_during"`
	Secrets      map[string]string `json:"secrets"`
}

// How each task has ended.
type wharfAnswer struct {
	Tasks map[string]string `json:"tasks"`
	Tries map[string]int    `json:"tries"`
	Said  map[string]string `json:"said"`
}

// A pod that has ended.
type wharfEnd struct {
	pod     apiv1.Pod
	code    int
	message string
	outputs wfv1.Outputs
	err     error
}

// The kubelet.
type wharfKubelet struct {
	folder  string
	secrets map[string]string
}

func TestWharf(t *testing.T) {
	var of wharfRequest
	wharfMust(json.Unmarshal([]byte(flag.Arg(0)), &of))
	log := logging.NewSlogLogger(logging.Error, logging.Text)
	wf := wharfRun(logging.WithLogger(t.Context(), log), of)
	fmt.Println("the workflow:", wf.Status.Phase, wf.Status.Message)
	answer, err := json.Marshal(wharfAnswerOf(wf))
	wharfMust(err)
	wharfMust(os.WriteFile(flag.Arg(1), answer, 0o644))
}

// Has the controller run a workflow to its end.
func wharfRun(ctx context.Context, of wharfRequest) *wfv1.Workflow {
	template, wf := wharfSubmit(of)
	cancel, controller := newController(ctx, wf, template)
	defer cancel()
	folder, err := os.MkdirTemp(".", "pods-")
	wharfMust(err)
	folder, err = filepath.Abs(folder)
	wharfMust(err)
	kubelet := wharfKubelet{folder: folder, secrets: of.Secrets}
	defer kubelet.removeAll()
	pods := controller.kubeclientset.CoreV1().Pods(wf.Namespace)
	started, running := map[string]bool{}, 0
	ended := make(chan wharfEnd)
	atWork := wharfAtWork(of)
	for {
		woc := newWorkflowOperationCtx(ctx, wf, controller)
		woc.operate(ctx)
		wf = woc.wf
		if wf.Status.Fulfilled() {
			return wf
		}
		all, err := pods.List(ctx, metav1.ListOptions{})
		wharfMust(err)
		for _, pod := range all.Items {
			if !started[pod.Name] {
				started[pod.Name] = true
				running++
				wharfUpdate(ctx, woc, &pod, apiv1.PodRunning)
				go func() { ended <- kubelet.run(pod) }()
			}
		}
		select {
		case end := <-ended:
			wharfMust(end.err)
			running--
			wharfReport(ctx, woc, end)
		case <-atWork:
			// Argo takes whatever runs when it stops a workflow for failed: only this one does.
			if running > 1 {
				time.Sleep(50 * time.Millisecond)
				continue
			}
			atWork = nil
			wf.Spec.Shutdown = wfv1.ShutdownStrategyStop
			for _, pod := range all.Items {
				// Those that have ended are no more.
				_ = exec.Command("podman", "kill", "--signal", "TERM", pod.Name+"-main").Run()
			}
		// Somebody may be waiting to try again.
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// A workflow of the template that was compiled, as `argo submit --from` makes it.
func wharfSubmit(of wharfRequest) (*wfv1.WorkflowTemplate, *wfv1.Workflow) {
	text, err := os.ReadFile(filepath.Join(of.Folder, of.Name+"-workflow.yaml"))
	wharfMust(err)
	var template wfv1.WorkflowTemplate
	wharfMust(yaml.UnmarshalStrict(text, &template))
	template.Namespace = "default"
	wf := &wfv1.Workflow{}
	wf.APIVersion, wf.Kind = "argoproj.io/v1alpha1", "Workflow"
	wf.Namespace, wf.UID = template.Namespace, types.UID(uuid.NewUUID())
	// Pods are called after it, and others may be running.
	wf.Name = template.Name + "-" + string(wf.UID)[:8]
	wf.Spec.WorkflowTemplateRef = &wfv1.WorkflowTemplateRef{Name: template.Name}
	given := of.Parameters
	if of.Partition != nil {
		given["partition"] = *of.Partition
	}
	for name, value := range given {
		text, isText := value.(string)
		if !isText {
			bytes, err := json.Marshal(value)
			wharfMust(err)
			text = string(bytes)
		}
		wf.Spec.Arguments.Parameters = append(wf.Spec.Arguments.Parameters,
			wfv1.Parameter{Name: name, Value: wfv1.AnyStringPtr(text)})
	}
	return &template, wf
}

// Is closed once the step is at work during which the workflow is to be stopped.
func wharfAtWork(of wharfRequest) <-chan struct{} {
	if of.CancelDuring == nil {
		return nil
	}
	atWork := make(chan struct{})
	go func() {
		for !wharfIsAtWork(of.Store, *of.CancelDuring) {
			time.Sleep(50 * time.Millisecond)
		}
		// A moment, so that it is at its work.
		time.Sleep(500 * time.Millisecond)
		close(atWork)
	}()
	return atWork
}

// Whether a process of this machine runs a step with a store.
func wharfIsAtWork(store, step string) bool {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		line, _ := os.ReadFile(file)
		words := strings.Split(string(line), "\x00")
		has := func(wanted string) bool {
			for _, word := range words {
				if word == wanted {
					return true
				}
			}
			return false
		}
		if strings.HasSuffix(words[0], "wharf") && has("exec") && has(step) && has(store) {
			return true
		}
	}
	return false
}

// Runs a pod to its end.
func (kubelet wharfKubelet) run(pod apiv1.Pod) wharfEnd {
	end := wharfEnd{pod: pod}
	folder := filepath.Join(kubelet.folder, pod.Name)
	message := filepath.Join(folder, "message")
	if end.err = wharfPrepare(pod, folder, message); end.err != nil {
		return end
	}
	manifest, err := yaml.Marshal(kubelet.played(pod, folder, message))
	if err != nil {
		end.err = err
		return end
	}
	file, log := filepath.Join(folder, "pod.yaml"), filepath.Join(folder, "log")
	if end.err = os.WriteFile(file, manifest, 0o644); end.err != nil {
		return end
	}
	defer wharfRemove(file)
	play := exec.Command("podman", "kube", "play", "--build=false",
		"--log-driver", "k8s-file", "--log-opt", "path="+log, file)
	if said, err := play.CombinedOutput(); err != nil {
		end.err = fmt.Errorf("%w: %s", err, said)
		return end
	}
	code, err := exec.Command("podman", "wait", pod.Name+"-main").Output()
	if err == nil {
		end.code, err = strconv.Atoi(strings.TrimSpace(string(code)))
	}
	if err != nil {
		end.err = err
		return end
	}
	end.message = wharfMessage(message, log, end.code)
	end.outputs = wharfOutputs(pod, filepath.Join(folder, "tmp"), end.code)
	return end
}

// Removes the pods that are left, which are some where anything went wrong.
func (kubelet wharfKubelet) removeAll() {
	files, _ := filepath.Glob(filepath.Join(kubelet.folder, "*", "pod.yaml"))
	for _, file := range files {
		wharfRemove(file)
	}
}

// Removes a pod that is played, once.
func wharfRemove(file string) {
	if os.Rename(file, file+".down") == nil {
		_ = exec.Command("podman", "kube", "down", file+".down").Run()
	}
}

// Makes what the containers of a pod write to, whoever they are.
func wharfPrepare(pod apiv1.Pod, folder, message string) error {
	for _, volume := range pod.Spec.Volumes {
		folder := filepath.Join(folder, volume.Name)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		if err := os.Chmod(folder, 0o777); err != nil {
			return err
		}
	}
	if err := os.WriteFile(message, nil, 0o644); err != nil {
		return err
	}
	return os.Chmod(message, 0o666)
}

// The pod as podman plays it: of its containers the main one, without what Argo wraps its
// command in; values filled in as the kubelet does it; what the container writes, in files here.
func (kubelet wharfKubelet) played(pod apiv1.Pod, folder, message string) apiv1.Pod {
	main := wharfMain(pod)
	env := map[string]string{}
	for i, variable := range main.Env {
		value := wharfExpand(variable.Value, env)
		if from := variable.ValueFrom; from != nil {
			switch {
			case from.SecretKeyRef != nil:
				value = kubelet.secrets[from.SecretKeyRef.Key]
			case from.FieldRef != nil && from.FieldRef.FieldPath == "metadata.name":
				value = pod.Name
			case from.FieldRef != nil && from.FieldRef.FieldPath == "metadata.uid":
				value = string(pod.UID)
			default:
				panic(fmt.Sprintf("where is %s from? %v", variable.Name, from))
			}
		}
		env[variable.Name] = value
		// podman fills in once more.
		main.Env[i] = apiv1.EnvVar{Name: variable.Name, Value: strings.ReplaceAll(value, "$", "$$")}
	}
	for i, word := range main.Command {
		if word == "--" {
			main.Command = main.Command[i+1:]
			break
		}
	}
	for i, word := range main.Args {
		main.Args[i] = strings.ReplaceAll(wharfExpand(word, env), "$", "$$")
	}
	main.ImagePullPolicy = apiv1.PullNever
	main.VolumeMounts = append(main.VolumeMounts,
		apiv1.VolumeMount{Name: "message", MountPath: "/dev/termination-log"})
	isMounted := map[string]bool{}
	for _, mount := range main.VolumeMounts {
		isMounted[mount.Name] = true
	}
	var volumes []apiv1.Volume
	for _, volume := range append(pod.Spec.Volumes, wharfHostPath("message", message, apiv1.HostPathFile)) {
		// podman has one volume of a name for all pods.
		if volume.EmptyDir != nil {
			volume = wharfHostPath(volume.Name, filepath.Join(folder, volume.Name), apiv1.HostPathDirectory)
		}
		if isMounted[volume.Name] {
			volumes = append(volumes, volume)
		}
	}
	return apiv1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: pod.Name},
		Spec: apiv1.PodSpec{
			// The store is at an address of this machine.
			HostNetwork:   true,
			RestartPolicy: apiv1.RestartPolicyNever,
			Containers:    []apiv1.Container{main},
			Volumes:       volumes,
		},
	}
}

func wharfHostPath(name, path string, kind apiv1.HostPathType) apiv1.Volume {
	source := &apiv1.HostPathVolumeSource{Path: path, Type: &kind}
	return apiv1.Volume{Name: name, VolumeSource: apiv1.VolumeSource{HostPath: source}}
}

// A copy of the container that is the task's own.
func wharfMain(pod apiv1.Pod) apiv1.Container {
	for _, container := range pod.Spec.Containers {
		if container.Name == "main" {
			return *container.DeepCopy()
		}
	}
	panic("a pod without a main container: " + pod.Name)
}

// What the kubelet makes of `$(NAME)`.
func wharfExpand(text string, env map[string]string) string {
	var made strings.Builder
	for i := 0; i < len(text); i++ {
		rest := text[i:]
		switch {
		case strings.HasPrefix(rest, "$$"):
			made.WriteByte('$')
			i++
		case strings.HasPrefix(rest, "$(") && strings.Contains(rest, ")"):
			end := strings.IndexByte(rest, ')')
			value, isKnown := env[rest[2:end]]
			if !isKnown {
				value = rest[:end+1]
			}
			made.WriteString(value)
			i += end
		default:
			made.WriteByte(text[i])
		}
	}
	return made.String()
}

// The message of a container's end: what it wrote, or where it failed the end of its log.
func wharfMessage(message, log string, code int) string {
	written, _ := os.ReadFile(message)
	if len(written) > 0 || code == 0 {
		return string(written)
	}
	logged, _ := os.ReadFile(log)
	return string(logged[max(0, len(logged)-2048):])
}

// What the container `wait` reads, and reports to the controller.
func wharfOutputs(pod apiv1.Pod, tmp string, code int) wfv1.Outputs {
	var template wfv1.Template
	for _, variable := range wharfTemplate(pod) {
		if variable.Name == "ARGO_TEMPLATE" {
			wharfMust(json.Unmarshal([]byte(variable.Value), &template))
		}
	}
	text := strconv.Itoa(code)
	outputs := wfv1.Outputs{ExitCode: &text}
	for _, parameter := range template.Outputs.Parameters {
		name := strings.TrimPrefix(parameter.ValueFrom.Path, "/tmp/")
		if read, err := os.ReadFile(filepath.Join(tmp, name)); err == nil {
			parameter.Value = wfv1.AnyStringPtr(string(read))
		} else if parameter.ValueFrom.Default != nil {
			parameter.Value = parameter.ValueFrom.Default
		}
		outputs.Parameters = append(outputs.Parameters, parameter)
	}
	return outputs
}

// The variables of all containers: which one has the template is for Argo to know.
func wharfTemplate(pod apiv1.Pod) []apiv1.EnvVar {
	var all []apiv1.EnvVar
	for _, container := range append(append([]apiv1.Container{}, pod.Spec.InitContainers...), pod.Spec.Containers...) {
		all = append(all, container.Env...)
	}
	return all
}

// Tells the controller how a pod has ended.
func wharfReport(ctx context.Context, woc *wfOperationCtx, end wharfEnd) {
	pod := end.pod.DeepCopy()
	phase := apiv1.PodSucceeded
	if end.code != 0 {
		phase = apiv1.PodFailed
	}
	for _, container := range pod.Spec.Containers {
		terminated := &apiv1.ContainerStateTerminated{Reason: "Completed"}
		if container.Name == "main" && end.code != 0 {
			terminated.Reason = "Error"
			terminated.ExitCode = int32(end.code)
			terminated.Message = end.message
		}
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, apiv1.ContainerStatus{
			Name:  container.Name,
			State: apiv1.ContainerState{Terminated: terminated},
		})
	}
	withOutputs(ctx, end.outputs)(pod, woc)
	wharfUpdate(ctx, woc, pod, phase)
	woc.wf.Status.MarkTaskResultComplete(ctx, woc.nodeID(pod))
}

func wharfUpdate(ctx context.Context, woc *wfOperationCtx, pod *apiv1.Pod, phase apiv1.PodPhase) {
	pod.Status.Phase = phase
	pods := woc.controller.kubeclientset.CoreV1().Pods(woc.wf.Namespace)
	updated, err := pods.Update(ctx, pod, metav1.UpdateOptions{})
	wharfMust(err)
	wharfMust(woc.controller.PodController.TestingPodInformer().GetStore().Update(updated))
}

// How the tasks of a workflow have ended, as `argo get` shows it.
func wharfAnswerOf(wf *wfv1.Workflow) wharfAnswer {
	answer := wharfAnswer{map[string]string{}, map[string]int{}, map[string]string{}}
	isTry := map[string]bool{}
	for _, node := range wf.Status.Nodes {
		if node.Type == wfv1.NodeTypeRetry {
			for _, child := range node.Children {
				isTry[child] = true
			}
		}
	}
	for _, node := range wf.Status.Nodes {
		step := node.TemplateName
		isTask := node.Type == wfv1.NodeTypePod || node.Type == wfv1.NodeTypeRetry || node.Type == wfv1.NodeTypeSkipped
		if !isTask || isTry[node.ID] || strings.HasSuffix(step, "-items") {
			continue
		}
		task := step
		if node.Inputs != nil {
			if item := node.Inputs.GetParameterByName("item"); item != nil {
				task = fmt.Sprintf("%s[%s]", step, item.GetValue())
			}
		}
		answer.Tasks[task], answer.Said[task] = wharfState(node), node.Message
		if node.Type == wfv1.NodeTypePod {
			answer.Tries[task] = 1
		}
		if node.Type == wfv1.NodeTypeRetry {
			answer.Tries[task] = len(node.Children)
			for _, child := range node.Children {
				answer.Said[task] += "\n" + wf.Status.Nodes[child].Message
			}
		}
	}
	return answer
}

func wharfState(node wfv1.NodeStatus) string {
	switch node.Phase {
	case wfv1.NodeSucceeded:
		if node.Outputs != nil {
			for _, parameter := range node.Outputs.Parameters {
				// There is no such state: an output says it.
				if parameter.Name == "ending" && strings.Contains(parameter.GetValue(), `"status":"skipped"`) {
					return "skipped"
				}
			}
		}
		return "succeeded"
	case wfv1.NodeFailed, wfv1.NodeError:
		return "failed"
	default:
		return "not-run"
	}
}

func wharfMust(err error) {
	if err != nil {
		panic(err)
	}
}
