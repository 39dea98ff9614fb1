"""Has Prefect run a flow once, and says how each of its tasks ended."""

import asyncio
import glob
import json
import os
import re
import signal
import subprocess
import sys

# Of this folder, only what is meant: it has a file with the name of the library.
sys.path.append(sys.path.pop(0))

import shared

RUN = """
import importlib, json, sys
sys.path.insert(0, ".")
module = importlib.import_module(sys.argv[1])
name = sys.argv[2]
flow = getattr(module, name + "_", None) or getattr(module, name)
state = flow(**json.loads(sys.argv[3]), return_state=True)
"""


def main():
    of = shared.request()
    os.chdir(of["folder"])
    (file,) = glob.glob("*_flow.py")
    name = of["name"].replace("-", "_")
    given = {key.replace("-", "_"): value for key, value in of["parameters"].items()}
    if of["partition"]:
        given["partition"] = of["partition"]
    command = [sys.executable, "-c", RUN, file.removesuffix(".py"), name, json.dumps(given)]
    run = subprocess.Popen(command, start_new_session=True)
    shared.stop_during(of, lambda: os.kill(run.pid, signal.SIGTERM))
    run.wait()
    tasks, tries, said = asyncio.run(ended(of))
    shared.answer(tasks, tries, said)


async def ended(of):
    from prefect import get_client
    from prefect.client.schemas.filters import FlowRunFilter
    from prefect.client.schemas.sorting import FlowRunSort

    tasks, tries, said = {}, {}, {}
    async with get_client() as client:
        (last,) = await client.read_flow_runs(limit=1, sort=FlowRunSort.EXPECTED_START_TIME_DESC)
        chosen = FlowRunFilter(id={"any_": [last.id]})
        for run in await client.read_task_runs(flow_run_filter=chosen):
            task = name_of(run.name)
            if task is None:
                continue
            tasks[task] = state_of(run.state_type.value, run.state_name)
            tries[task] = run.run_count
            said[task] = run.state.message or ""
            if of["cancel_during"] == task and tasks[task] != "succeeded":
                tasks[task] = "cancelled"
    return tasks, tries, said


def state_of(kind, name):
    if kind == "COMPLETED":
        return "skipped" if name == "Skipped" else "succeeded"
    return "not-run" if kind == "PENDING" else "failed"


def name_of(name):
    mapped = re.fullmatch(r"(.+)-(\d+)", name)
    plain = re.sub(r"-[0-9a-f]{3}$", "", name)
    if mapped and plain == name or mapped and len(mapped[2]) < 3:
        return f"{shared.step_of(mapped[1])}[{int(mapped[2])}]"
    return None if plain.endswith("items") else shared.step_of(plain)


main()
