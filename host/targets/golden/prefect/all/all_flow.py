"""all: Has "all" that a pipeline can have.

Made by `wharf pipeline compile all.yaml --target prefect --stack local`.
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
from typing import Any

from prefect import flow, get_run_logger, task, unmapped
from prefect.artifacts import acreate_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run, task_run
from prefect.states import Completed


WHARF = "wharf"
COMMON = [
    "--store", "/srv/wharf store",
    "--pipeline", "sha256:b877ab22a3aa0e196087411ae4c14676a763fc850de2057e3cbd1aabfdf64d15",
]
# The beginning of the names of artifacts.
KEY = "all"


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
        env={**os.environ, "WHARF_PARAMETERS": json.dumps(chosen)},
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


@flow(name="all")
def all(
    text: str | list[str] | None = None,
    top: int = 10,
    rate: float = 0.5,
    title: str = "It's {{ a }} $TITLE",
    strict: bool = False,
    weights: Any = [0.5, 1.0],
):
    """Has "all" that a pipeline can have.

    Args:
        text: What is read
        top: How many words: the "top" ones
    """
    stop_with_flow()
    chosen = {
        "text": text, "top": top, "rate": rate, "title": title, "strict": strict, "weights": weights
    }
    run = ["--run-id", flow_run.id]

    # Runs steps/list.wasm.
    list_files = step.with_options(name="list-files", retries=2, retry_delay_seconds=[1, 2]).submit(
        "list-files", run, chosen
    )

    # Runs steps/count.wasm.
    import_0 = step.with_options(name="import-0", timeout_seconds=7260).submit(
        "import", run, chosen, 0
    )

    # Runs steps/count.wasm.
    import_1 = step.with_options(name="import-1", timeout_seconds=7260).submit(
        "import", run, chosen, 1
    )

    # Runs steps/count.wasm.
    import_2 = step.with_options(name="import-2", timeout_seconds=7260).submit(
        "import", run, chosen, 2
    )

    # Runs steps/count.wasm, once for each item.
    count_items = items.with_options(name="count-items").submit(
        "count", run, chosen, wait_for=[list_files]
    )
    count = step.with_options(
        name="count",
        task_run_name="count-{item}",
        retries=3,
        retry_delay_seconds=[10, 20, 40],
        timeout_seconds=150,
    ).map("count", unmapped(run), unmapped(chosen), listed(count_items))
    count = [count_items, *count]

    # Runs steps/merge.wasm, and publishes all-counts.
    merge_all = step.with_options(name="merge-all").submit(
        "merge-all", run, chosen, wait_for=[*count, import_0, import_1, import_2]
    )

    # Publishes all-counts:prod.
    last = step.with_options(name="last").submit("last", run, chosen, wait_for=[merge_all])

    # It ends as they do.
    return [list_files, *count, import_0, import_1, import_2, merge_all, last]


if __name__ == "__main__":
    all.serve(name="local", tags=["wharf"])
