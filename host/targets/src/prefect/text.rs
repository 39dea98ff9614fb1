//! Functions of the file that are the same for all steps.

use crate::Workflow;

/// What starts `wharf`, and tells how it ended.
pub(super) fn wharf(workflow: &Workflow) -> String {
    let settings = match workflow.deployment.environment.is_empty() {
        true => "",
        false => "**ENVIRONMENT, ",
    };
    format!(
        r#"
class StepFailed(Exception):
    """A step has failed; `may_pass` says whether trying again can help."""

    def __init__(self, message, may_pass):
        super().__init__(message)
        self.may_pass = may_pass


async def may_pass(task, task_run, state):
    failure = await state.aresult(raise_on_failure=False)
    return not isinstance(failure, StepFailed) or failure.may_pass


# What runs now.
RUNNING = set()


def stop_with_flow():
    """Where Prefect stops the flow, it stops what runs, too."""
    if threading.current_thread() is not threading.main_thread():
        return
    before = signal.getsignal(signal.SIGTERM)

    def stop(number, frame):
        for process in list(RUNNING):
            process.terminate()
        if not callable(before):
            raise SystemExit(128 + number)
        before(number, frame)

    signal.signal(signal.SIGTERM, stop)


async def wharf(command, step, run, chosen, *options):
    """Runs `wharf`, and returns the code that it ended with, and why."""
    process = await asyncio.create_subprocess_exec(
        *[WHARF, "step", command, *COMMON, "--step", step, *run, *options],
        env={{**os.environ, {settings}"WHARF_PARAMETERS": json.dumps(chosen)}},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        limit=2**24,
    )
    RUNNING.add(process)
    logger, last = get_run_logger(), ""
    try:
        async for line in process.stderr:
            last = line.decode(errors="replace").rstrip()
            logger.info("%s", last)
        return await process.wait(), last
    finally:
        RUNNING.discard(process)
        # This task is stopped: so is the step.
        if process.returncode is None:
            process.terminate()
"#
    )
}

/// The task that runs a step.
pub(super) fn step() -> String {
    r#"
@task(cache_policy=NO_CACHE, retry_condition_fn=may_pass)
async def step(name, run, chosen, item=None):
    """Runs a step, or an item of it, and returns what it returned."""
    options = ["--attempt", str(task_run.run_count)]
    if item is not None:
        options += ["--item", str(item)]
    with tempfile.TemporaryDirectory() as folder:
        ending = Path(folder, "ending.json")
        options += ["--skip-exit-code", "0", "--ending-to", str(ending)]
        code, message = await wharf("exec", name, run, chosen, *options)
        ended = json.loads(ending.read_text()) if ending.exists() else {}
    if code != 0:
        raise StepFailed(ended.get("message") or message, may_pass=code not in (1, 2))
    if ended["status"] == "skipped":
        return Completed(name="Skipped", message=ended["message"])
    await show(name if item is None else f"{name}-{item}", ended)
    return ended["results"]


async def show(name, ended):
    """Shows what a step returned and wrote."""
    table = [{"what": "results", "value": json.dumps(ended["results"])}]
    for output, it in ended["outputs"].items():
        table.append({"what": output, "value": it["uri"], "digest": it["digest"]})
    for artifact in ended["published"]:
        table.append({"what": "published", "value": artifact})
    await acreate_table_artifact(table, key=f"{KEY}-{name}", description=ended["status"])
"#
    .to_owned()
}

/// The task that lists the items of a step.
pub(super) fn items(workflow: &Workflow) -> String {
    if !workflow.maps() {
        return String::new();
    }
    r#"
@task(cache_policy=NO_CACHE)
async def items(name, run, chosen):
    """Lists the items of a step."""
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder, "items.json")
        options = ["--skip-exit-code", "0", "--results-to", str(listed)]
        code, message = await wharf("items", name, run, chosen, *options)
        if code != 0:
            raise StepFailed(message, may_pass=False)
        return json.loads(listed.read_text()) or []


def listed(items):
    """The items; none where they could not be listed, and then nothing comes after them."""
    items.wait()
    return items.result() if items.state.is_completed() else []
"#
    .to_owned()
}
