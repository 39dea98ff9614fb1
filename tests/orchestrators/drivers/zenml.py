"""Has ZenML run a pipeline once, and says how each of its steps ended."""

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
function = getattr(module, name + "_", None) or getattr(module, name)
function(**json.loads(sys.argv[3]))
"""


def main():
    of = shared.request()
    os.chdir(of["folder"])
    (file,) = glob.glob("*_pipeline.py")
    name = of["name"].replace("-", "_")
    given = {key.replace("-", "_"): value for key, value in of["parameters"].items()}
    if of["partition"]:
        given["partition"] = of["partition"]
    # ZenML finds steps by the file that runs.
    with open("started_here.py", "w") as script:
        script.write(RUN)
    command = [sys.executable, "started_here.py", file.removesuffix(".py"), name, json.dumps(given)]
    run = subprocess.Popen(command, start_new_session=True)
    shared.stop_during(of, lambda: os.kill(run.pid, signal.SIGTERM))
    run.wait()
    from zenml.client import Client

    client = Client()
    last = client.list_pipeline_runs(sort_by="desc:created", size=1, hydrate=True)[0]
    tasks, tries, said = {}, {}, {}
    for step in client.list_run_steps(pipeline_run_id=last.id, size=100, hydrate=True):
        task = name_of(step.name)
        if task is None:
            continue
        metadata = step.run_metadata
        status = metadata.get("status")
        tasks[task] = {"cached": "succeeded"}.get(status, status or "failed")
        if str(step.status) not in ("completed", "ExecutionStatus.COMPLETED"):
            tasks[task] = "failed"
        message = step.exception_info.message if getattr(step, "exception_info", None) else ""
        said[task] = f"{metadata.get('message', '')}\n{message}"
        if of["cancel_during"] == task and tasks[task] == "failed":
            tasks[task] = "cancelled"
    shared.answer(tasks, tries, said)


def name_of(name):
    mapped = re.fullmatch(r"map:(.+):(\d+)", name)
    unrolled = re.fullmatch(r"(.+)-(\d+)", name)
    if name == "run_parameters" or name.endswith("-items"):
        return None
    if mapped or unrolled:
        step, item = (mapped or unrolled).groups()
        return f"{shared.step_of(step)}[{int(item)}]"
    return shared.step_of(name)


main()
