//! Functions of the file that are the same for all steps.

use crate::Workflow;

/// What starts `wharf`, and tells ZenML how it ended.
pub(super) fn execute(workflow: &Workflow, has_chosen: bool) -> String {
    let settings = match workflow.deployment.environment.is_empty() {
        true => "",
        false => ", **ENVIRONMENT",
    };
    let (chosen, variables) = match has_chosen {
        true => (
            ", chosen",
            "    variables[\"WHARF_PARTITION\"] = chosen.pop(\"partition\", \"\")\n    \
             variables[\"WHARF_PARAMETERS\"] = json.dumps(chosen)\n",
        ),
        false => ("", ""),
    };
    let copied = match has_chosen {
        true => ", dict(chosen)",
        false => "",
    };
    let run = match workflow.maps() {
        false => format!(
            r#"        code = wharf("exec", step{copied}, *options, timeout=timeout)
        ended = json.loads(ending.read_text()) if ending.exists() else {{}}
"#
        ),
        true => format!(
            r#"        if item == NOTHING:
            code, ended = 0, {{"status": "skipped", "message": "There are no items"}}
        else:
            code = wharf("exec", step{copied}, *options, timeout=timeout)
            ended = json.loads(ending.read_text()) if ending.exists() else {{}}
"#
        ),
    };
    let name = &workflow.name;
    format!(
        r#"
def wharf(command, step{chosen}, *options, timeout=None):
    """Runs `wharf`, and returns the code that it ended with."""
    run = get_step_context().pipeline_run
    while run.original_run:
        # What is replayed is the same run.
        run = run.original_run
    command = [WHARF, "step", command, *COMMON, "--step", step, "--run-id", str(run.id)]
    variables = {{**os.environ{settings}}}
{variables}    with subprocess.Popen([*command, *options], env=variables) as process:
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        except BaseException:
            process.terminate()
            raise


def execute(step{chosen}, outputs=(), item=None, retries=None, timeout=None):
    """Runs a step, or an item of it, and returns its outputs, and what it returned."""
    options = []
    if item is not None:
        options += ["--item", str(item)]
    if retries is not None:
        options += ["--retries", retries]
    with tempfile.TemporaryDirectory() as folder:
        ending = Path(folder, "ending.json")
        options += ["--skip-exit-code", "0", "--ending-to", str(ending)]
{run}    if code != 0:
        raise RuntimeError(ended.get("message") or f"wharf ended with {{code}}")
    log_metadata({{key: ended[key] for key in ["status", "message", "commit"] if ended.get(key)}})
    if ended.get("published"):
        log_metadata({{"published": ended["published"]}})
    written = [ended.get("outputs", {{}}).get(output) for output in outputs]
    for output, it in zip(outputs, written):
        if it is not None:
            metadata = {{"uri": Uri(it["uri"]), "digest": it["digest"]}}
            metadata["size"] = StorageSize(it["size"])
            artifact = f"{name}.{{step}}.{{output}}"
            log_metadata(metadata, artifact_name=artifact, infer_artifact=True)
    results = ended.get("results")
    return (*written, results) if outputs else results
"#
    )
}

/// What makes artifacts of ZenML artifacts of the store.
pub(super) fn artifacts(pipeline: &str) -> String {
    format!(
        r#"
def artifact(value):
    """An artifact of ZenML where it is named, as `zenml:NAME` or `zenml:NAME@VERSION`."""
    if not isinstance(value, str) or not value.startswith("zenml:"):
        return value
    name, _, version = value.removeprefix("zenml:").partition("@")
    return Client().get_artifact_version(name, version or None)


def bring(name, value):
    """What Wharf calls an artifact; a file or folder of ZenML becomes one of the store."""
    if value is None or isinstance(value, (str, list)):
        return value
    if not isinstance(value, Path):
        raise TypeError(f"{{name}} is a {{type(value).__name__}}, and no file or folder")
    command = [WHARF, "artifact", "put", f"{pipeline}-{{name}}", str(value), "--json", *COMMON[:2]]
    put = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    version = json.loads(put.stdout)
    return f"artifact:{{version['name']}}@{{version['number']}}"
"#
    )
}

/// The step that lists the items of one.
pub(super) fn items(has_chosen: bool) -> String {
    let (argument, copied) = match has_chosen {
        true => ("chosen: Dict[str, Any], ", ", dict(chosen)"),
        false => ("", ""),
    };
    format!(
        r#"
@step
def items({argument}name: str) -> List[int]:
    """Lists the items of a step."""
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder, "items.json")
        options = ["--skip-exit-code", "0", "--results-to", str(listed)]
        if wharf("items", name{copied}, *options) != 0:
            raise RuntimeError(f"the items of {{name}} are not known")
        return json.loads(listed.read_text()) or [NOTHING]
"#
    )
}
