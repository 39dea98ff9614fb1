"""shards: Counts "shards" of a region.

Made by `wharf pipeline compile shards-in-containers.yaml --target prefect --stack prod`.
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
from typing import Any, Literal

from prefect import flow, get_run_logger, task
from prefect.artifacts import acreate_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run, task_run
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner


WHARF = "wharf"
COMMON = [
    "--store", "s3://bucket/wharf",
    "--pipeline", "sha256:1b0aabab456a15eaae9b018db768d05c69620f65a5f307b483c42658c75e28b6",
    "--secret", "AWS_SECRET_ACCESS_KEY=file:/run/secrets/key",
]
ENVIRONMENT = {
    "AWS_REGION": "eu-central-1",
}
# The beginning of the names of artifacts.
KEY = "shards"


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


@flow(name="shards", task_runner=ThreadPoolTaskRunner(max_workers=8))
def shards(
    partition: Literal["north", "south"],
    text: str | list[str],
    top: int = 10,
    title: str = "It's {{ a }} $TITLE",
    strict: bool = False,
    weights: Any = [0.5, 1.0],
):
    """Counts "shards" of a region.

    Args:
        partition: The partition
        text: What is read
        top: How many words: the "top" ones
    """
    stop_with_flow()
    chosen = {"text": text, "top": top, "title": title, "strict": strict, "weights": weights}
    run = ["--run-id", flow_run.id]
    run += ["--partition", partition]

    # Runs steps/split.wasm.
    split = step.with_options(name="split", retries=2, retry_delay_seconds=[1, 2], timeout_seconds=120).submit(
        "split", run, chosen
    )

    # Runs steps/count.wasm.
    count_0 = step.with_options(
        name="count-0", retries=3, retry_delay_seconds=[10, 20, 40], timeout_seconds=150
    ).submit("count", run, chosen, 0, wait_for=[split])

    # Runs steps/count.wasm.
    count_1 = step.with_options(
        name="count-1", retries=3, retry_delay_seconds=[10, 20, 40], timeout_seconds=150
    ).submit("count", run, chosen, 1, wait_for=[split])

    # Runs steps/merge.wasm, and publishes all-shards.
    merge = step.with_options(name="merge", timeout_seconds=7260).submit(
        "merge", run, chosen, wait_for=[count_0, count_1]
    )

    # Publishes all-shards:prod.
    last = step.with_options(name="last").submit("last", run, chosen, wait_for=[merge])

    # It ends as they do.
    return [split, count_0, count_1, merge, last]


if __name__ == "__main__":
    shards.serve(name="prod", tags=["wharf"])
