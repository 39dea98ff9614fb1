"""flights: Counts a month of flights by carrier.

Made by `wharf pipeline compile flights-by-schedule.yaml --target prefect --stack prod`.
Change the pipeline, and make this anew. The pipeline itself is in the store: a task
needs that and `wharf`, and nothing else.
"""

import asyncio
import json
import os
import signal
import tempfile
import threading
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.artifacts import acreate_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run, task_run
from prefect.schedules import Cron
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner


WHARF = "wharf"
COMMON = [
    "--store", "s3://bucket/wharf",
    "--pipeline", "sha256:426d0a263e05ec5a65583c4d1e0135c707beb40b0131d4f639e51fcb2b3ac0cb",
    "--secret", "AWS_SECRET_ACCESS_KEY=file:/run/secrets/key",
]
ENVIRONMENT = {
    "AWS_REGION": "eu-central-1",
}
# The beginning of the names of artifacts.
KEY = "flights"


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
        env={**os.environ, **ENVIRONMENT, "WHARF_PARAMETERS": json.dumps(chosen)},
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


@flow(name="flights", task_runner=ThreadPoolTaskRunner(max_workers=8))
def flights(partition: str | None = None, flights: str | list[str] | None = None):
    """Counts a month of flights by carrier.

    Args:
        partition: The month, such as 2013-01
        flights: An artifact (artifact:NAME); flights.csv by default
    """
    stop_with_flow()
    chosen = {"flights": flights}
    run = ["--run-id", flow_run.id]
    # By schedule, the one that has ended.
    scheduled = flow_run.scheduled_start_time.isoformat()
    run += ["--partition", partition] if partition else ["--partition-before", scheduled]

    # Runs steps/summarise.wasm, and publishes flights-of-a-month.
    summarise = step.with_options(name="summarise").submit("summarise", run, chosen)

    # It ends as they do.
    return [summarise]


if __name__ == "__main__":
    flights.serve(name="prod", schedule=Cron("0 6 1 * *", timezone="Europe/Berlin"), tags=["wharf"])
