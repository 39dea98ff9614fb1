"""Has Dagster run a job once, and says how each of its steps ended."""

import glob
import json
import os
import re
import signal
import subprocess
import sys

# Of this folder, only what is meant: it has a file with the name of the library.
sys.path.append(sys.path.pop(0))

import dagster as dg

import shared


def main():
    of = shared.request()
    os.chdir(of["folder"])
    (file,) = glob.glob("*.py")
    job = re.sub(r"_assets\.py$", "", file)
    command = ["dagster", "job", "execute", "-f", file, "-j", job]
    if of["parameters"]:
        with open("run.json", "w") as config:
            json.dump({"resources": {"parameters": {"config": of["parameters"]}}}, config)
        command += ["-c", "run.json"]
    if of["partition"]:
        command += ["--tags", json.dumps({"dagster/partition": of["partition"]})]
    run = subprocess.Popen(command, start_new_session=True)
    shared.stop_during(of, lambda: os.kill(run.pid, signal.SIGINT))
    run.wait()
    tasks, tries, said = {}, {}, {}
    with dg.DagsterInstance.get() as instance:
        last = instance.get_runs(limit=1)[0]
        made = set()
        for entry in instance.all_logs(last.run_id):
            event = entry.dagster_event
            step = name_of(entry.step_key or (event and event.step_key) or "")
            said[step] = said.get(step, "") + entry.user_message + "\n"
            if event and event.event_type_value == "ASSET_MATERIALIZATION":
                made.add(step)
            if event and event.event_type_value == "STEP_FAILURE":
                said[step] += str(event.event_specific_data.error.message) + "\n"
        for stats in instance.get_run_step_stats(last.run_id):
            step, status = name_of(stats.step_key), stats.status.value
            skipped = status == "SUCCESS" and step not in made and "Skipped: " in said.get(step, "")
            tasks[step] = "skipped" if skipped else {"SUCCESS": "succeeded"}.get(status, "failed")
            tries[step] = stats.attempts
            if of["cancel_during"] == step and "Interrupt" in said.get(step, ""):
                tasks[step] = "cancelled"
    shared.answer(tasks, tries, said)


def name_of(key):
    key = key.rpartition(".")[2]
    item = re.fullmatch(r"(.+)\[(\d+)\]", key)
    if item:
        return f"{shared.step_of(item[1])}[{item[2]}]"
    unrolled = re.fullmatch(r"(.+)_(\d+)", key)
    return f"{shared.step_of(unrolled[1])}[{int(unrolled[2])}]" if unrolled else shared.step_of(key)


main()
