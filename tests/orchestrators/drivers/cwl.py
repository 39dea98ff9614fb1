"""Has cwltool run a workflow, and says how each step ended."""

import glob
import json
import os
import re
import signal
import subprocess
import time

import shared


def main():
    of = shared.request()
    os.chdir(of["folder"])
    run_id = f"run-{time.time_ns()}"
    given = {"run_id": run_id, **of["parameters"]}
    if of["partition"]:
        given["run_partition"] = of["partition"]
    with open("run.json", "w") as file:
        json.dump(given, file)
    out = f"out-{run_id}"
    command = ["cwltool", "--no-container", "--on-error", "continue", "--outdir", out]
    command += ["--preserve-environment", "WHARF_CACHE", f"{of['name']}.cwl", "run.json"]
    with open(f"{out}.log", "w") as log:
        run = subprocess.Popen(command, stderr=log, start_new_session=True)
        shared.stop_during(of, lambda: os.killpg(run.pid, signal.SIGINT))
        run.wait()
    log = open(f"{out}.log").read()
    print(log)
    tasks, said, tries = {}, {}, {}
    for path in glob.glob(f"{out}/*.json"):
        ending = json.load(open(path))
        if "status" not in ending:
            continue
        item = ending.get("item")
        task = ending["step"] if item is None else f"{ending['step']}[{item}]"
        tasks[task] = {"cached": "succeeded"}.get(ending["status"], ending["status"])
    # What failed, or was stopped, as the runner tells it.
    for step, how in re.findall(r"\[job ([^\]]+)\] completed (\w+)", log):
        if how != "success":
            tasks.setdefault(step, "failed")
    if of["cancel_during"] and of["cancel_during"] not in tasks:
        tasks[of["cancel_during"]] = "cancelled"
    for task in tasks:
        said[task] = log
        lines = [line for line in log.splitlines() if line.strip().startswith(f"{task}: ")]
        tries[task] = 1 + sum("; again in " in line for line in lines)
    shared.answer(tasks, tries, said)


main()
