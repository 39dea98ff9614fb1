//! Functions of the file that are the same for all steps.

use crate::Workflow;

/// What starts `wharf`, and tells how it ended.
pub(super) fn wharf(workflow: &Workflow) -> String {
    let partition = match workflow.partition {
        Some(_) => ", \"--partition\", context.partition_key",
        None => "",
    };
    let (resource, _) = resources(workflow);
    let variables = variables(workflow);
    format!(
        r#"
def wharf(context, command, step):
    # A run that goes on where another has failed is the same run.
    run_id = context.run.root_run_id or context.run.run_id
    return [
        *[WHARF, "step", command, *COMMON],
        *["--step", step, "--run-id", run_id{partition}],
        *["--skip-exit-code", "0"],
    ]


def execute(
    context, {resource}step, item=None, retries=0, backoff=0, max_backoff=0, timeout=None
):
    """Runs a step, or an item of it, and returns how it ended."""
    command = wharf(context, "exec", step)
    command += ["--attempt", str(context.retry_number + 1)]
    if item is not None:
        command += ["--item", str(item)]
    with tempfile.TemporaryDirectory() as folder:
        ending = Path(folder, "ending.json")
        command += ["--ending-to", str(ending)]
        variables = {variables}
        with subprocess.Popen(command, env=variables) as process:
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.kill()
            except BaseException:
                process.terminate()
                raise
        ended = json.loads(ending.read_text()) if ending.exists() else {{}}
    if process.returncode == 0:
        if ended["status"] == "skipped":
            context.log.info(f"Skipped: {{ended['message']}}")
        return ended
    message = ended.get("message") or f"wharf ended with {{process.returncode}}"
    # Of failures, only those are tried again that may pass.
    if process.returncode not in (1, 2) and context.retry_number < retries:
        context.log.warning(message)
        wait = min(backoff * 2**context.retry_number, max_backoff)
        raise dg.RetryRequested(max_retries=retries, seconds_to_wait=wait)
    raise dg.Failure(message, allow_retries=False)
"#
    )
}

/// The op of a step.
pub(super) fn step(workflow: &Workflow, name: &str) -> String {
    let (resource, typed) = resources(workflow);
    format!(
        r#"
# A step that is skipped makes no asset. Those that come after it wait for its end.
OUT = {{
    "made": dg.Out(dg.Nothing, is_required=False),
    "ended": dg.Out(dg.Nothing, is_required=False),
}}


def after(needs):
    return {{"needs": dg.In(dg.Nothing)}} if needs else {{}}


def shown(ended):
    """What a step returned and wrote."""
    keys = ["results", "outputs", "published"]
    return {{key: ended[key] for key in keys if ended[key]}}


def step(name, step, about, item=None, needs=(), **options):
    """Runs a step in an op."""

    @dg.op(name=f"{name}_{{name}}", description=about, ins=after(needs), out=OUT)
    def op(context: dg.OpExecutionContext{typed}):
        ended = execute(context, {resource}step, item, **options)
        if ended["status"] != "skipped":
            version = ended["commit"] and dg.DataVersion(ended["commit"])
            yield dg.Output(None, "made", metadata=shown(ended), data_version=version)
        if "ended" in context.selected_output_names:
            yield dg.Output(None, "ended")

    return op.alias(name)(needs=needs) if needs else op.alias(name)()
"#
    )
}

/// The ops of a step that runs for each item of a list.
pub(super) fn each(workflow: &Workflow, name: &str) -> String {
    if !workflow.maps() {
        return String::new();
    }
    let (resource, typed) = resources(workflow);
    let variables = variables(workflow);
    format!(
        r#"
def each(name, step, about, needs=(), **options):
    """Runs a step for each item of its list, in ops of their own."""

    @dg.op(
        name=f"{name}_{{name}}_items",
        description=f"The items of {{name}}.",
        ins=after(needs),
        out=dg.DynamicOut(int),
    )
    def items(context: dg.OpExecutionContext{typed}):
        command = wharf(context, "items", step)
        variables = {variables}
        listed = subprocess.run(command, env=variables, stdout=subprocess.PIPE, check=True)
        for item in json.loads(listed.stdout) or []:
            yield dg.DynamicOutput(item, str(item))

    @dg.op(name=f"{name}_{{name}}_item", description=about)
    def op(context: dg.OpExecutionContext, item: int{typed}):
        return execute(context, {resource}step, item, **options)

    @dg.op(name=f"{name}_{{name}}", description=f"All items of {{name}}.", out=OUT)
    def gather(context: dg.OpExecutionContext, endings: list):
        made = [ended for ended in endings if ended["status"] != "skipped"]
        if made:
            commits = " ".join(ended["commit"] or "" for ended in made)
            version = dg.DataVersion(hashlib.sha256(commits.encode()).hexdigest())
            metadata = {{"items": [{{"item": it["item"], **shown(it)}} for it in made]}}
            yield dg.Output(None, "made", metadata=metadata, data_version=version)
        if "ended" in context.selected_output_names:
            yield dg.Output(None, "ended")

    listing = items.alias(f"{{name}}_items")
    listing = listing(needs=needs) if needs else listing()
    return gather.alias(name)(listing.map(op.alias(f"{{name}}_item")).collect())
"#
    )
}

/// The resource that has what a run chose: as it is passed on, and with its type.
fn resources(workflow: &Workflow) -> (&'static str, &'static str) {
    match workflow.parameters.is_empty() {
        true => ("", ""),
        false => ("parameters, ", ", parameters: Parameters"),
    }
}

/// Variables of the process.
fn variables(workflow: &Workflow) -> &'static str {
    let has_settings = !workflow.deployment.environment.is_empty();
    match (has_settings, workflow.parameters.is_empty()) {
        (false, true) => "os.environ",
        (true, true) => "{**os.environ, **ENVIRONMENT}",
        (false, false) => "{**os.environ, **parameters.variables()}",
        (true, false) => "{**os.environ, **ENVIRONMENT, **parameters.variables()}",
    }
}
