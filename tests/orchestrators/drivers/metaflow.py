"""Has Metaflow run a flow once, and says how each of its tasks ended."""

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


def main():
    of = shared.request()
    os.chdir(of["folder"])
    (file,) = glob.glob("*_flow.py")
    flow = "".join(part.capitalize() for part in of["name"].split("-")) + "Flow"
    signal.signal(signal.SIGINT, signal.default_int_handler)
    command = [sys.executable, file, "run"]
    for name, value in of["parameters"].items():
        command += [f"--{name}", value if isinstance(value, str) else json.dumps(value)]
    if of["partition"]:
        command += ["--partition", of["partition"]]
    with open("run.log", "w") as log:
        run = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        shared.stop_during(of, lambda: os.killpg(run.pid, signal.SIGINT))
        run.wait()
    print(open("run.log").read())
    from metaflow import Flow, namespace

    namespace(None)
    tasks, tries, said = {}, {}, {}
    for step in Flow(flow).latest_run.steps():
        if re.fullmatch(r"start|end|join_\d+|fork_\d+|count_.*|.*_(items|join)", step.id):
            continue
        for task in step.tasks():
            index = task.index if task.index is not None else None
            name = name_of(step.id, index)
            status = getattr(task.data, "status", None) if task.successful else None
            tasks[name] = "skipped" if status == "skipped" else "succeeded"
            if not task.successful:
                tasks[name] = "failed"
            tries[name] = task.current_attempt + 1
            said[name] = f"{task.stdout}\n{task.stderr}\n{task.exception or ''}"
            if of["cancel_during"] == name and not task.successful:
                tasks[name] = "cancelled"
    shared.answer(tasks, tries, said)


def name_of(step, index):
    unrolled = re.fullmatch(r"(.+)_(\d+)", step)
    if index is not None:
        return f"{shared.step_of(step)}[{index}]"
    return f"{shared.step_of(unrolled[1])}[{int(unrolled[2])}]" if unrolled else shared.step_of(step)


main()
