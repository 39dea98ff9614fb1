//! Functions of the file that are the same for all steps.

use crate::Workflow;

/// What starts `wharf`, and keeps how it ended.
pub(super) fn execute(workflow: &Workflow) -> String {
    let given = match workflow.parameters.is_empty() {
        true => "",
        false => {
            r#"def given(chosen):
    """What was chosen, as arguments."""
    chosen = {name: "" if value is None else value for name, value in chosen.items()}
    text = {name: it if isinstance(it, str) else json.dumps(it) for name, it in chosen.items()}
    return [f"{name}={value}" for name, value in text.items()]


"#
        }
    };
    let environment = match workflow.deployment.environment.is_empty() {
        true => "",
        false => ", env={**os.environ, **ENVIRONMENT}",
    };
    format!(
        r#"
{given}def wharf(command, step, *options):
    """Runs `wharf`, and returns the code that it ended with."""
    # Where this task is stopped, so is the step.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    command = [WHARF, "step", command, *COMMON, "--step", step, *options]
    with subprocess.Popen(command{environment}) as process:
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            raise


def execute(flow, step, item=None, retries=None, backoff=0, max_backoff=0):
    """Runs a step, or an item of it, and keeps how it ended as artifacts."""
    if current.retry_count > 0:
        time.sleep(min(backoff * 2 ** (current.retry_count - 1), max_backoff))
    options = [*flow.run_options, "--attempt", str(current.retry_count + 1)]
    if item is not None:
        options += ["--item", str(item)]
    if retries is not None:
        options += ["--retries", retries]
    with tempfile.TemporaryDirectory() as folder:
        ending = Path(folder, "ending.json")
        options += ["--skip-exit-code", "0", "--ending-to", str(ending)]
        code = wharf("exec", step, *options)
        ended = json.loads(ending.read_text()) if ending.exists() else {{}}
    if code in (1, 2):
        # Trying again cannot help, which is what this code tells Metaflow.
        raise SystemExit(202)
    if code != 0:
        raise RuntimeError(ended.get("message") or f"wharf ended with {{code}}")
    flow.status = ended["status"]
    flow.results = ended["results"]
    flow.outputs = ended["outputs"]
    flow.published = ended["published"]
"#
    )
}

/// What lists the items of a step.
pub(super) fn items() -> String {
    r#"
def items(flow, step):
    """The items of a step; where there are none, one that is nothing."""
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder, "items.json")
        options = ["--skip-exit-code", "0", "--results-to", str(listed)]
        if wharf("items", step, *flow.run_options, *options) != 0:
            raise RuntimeError(f"the items of {step} are not known")
        return json.loads(listed.read_text()) or [None]
"#
    .to_owned()
}
