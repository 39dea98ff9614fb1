"""Has Snakemake run a workflow, and says how each job ended."""

import glob
import json
import os
import re
import shutil
import signal
import subprocess

import shared


def main():
    of = shared.request()
    os.chdir(of["folder"])
    with open("given.json", "w") as file:
        given = dict(of["parameters"])
        if of["partition"]:
            given["partition"] = of["partition"]
        json.dump(given, file)
    # A run of its own: what is there would be gone on with.
    for folder in ("results", "logs"):
        shutil.rmtree(folder, ignore_errors=True)
    command = ["snakemake", "--cores", "2", "--configfile", "given.json"]
    run = subprocess.Popen(command, start_new_session=True)
    shared.stop_during(of, lambda: os.killpg(run.pid, signal.SIGINT))
    run.wait()
    tasks, said, tries = {}, {}, {}
    results = os.path.join("results", of["partition"] or "")
    logs = os.path.join("logs", of["partition"] or "")
    for path in glob.glob(f"{results}/**/*.json*", recursive=True):
        name = os.path.relpath(path, results)
        name, unfinished = re.subn(r"\.json\.part$", "", name)
        ending = json.load(open(path))
        if "status" not in ending:
            continue
        task = name_of(name.removesuffix(".json"))
        tasks[task] = {"cached": "succeeded"}.get(ending["status"], ending["status"])
        log = os.path.join(logs, name.removesuffix(".json") + ".log")
        said[task] = open(log).read() if os.path.exists(log) else ""
        tries[task] = 1 + said[task].count("; again in ")
    for path in glob.glob(f"{logs}/**/*.log", recursive=True):
        task = name_of(os.path.relpath(path, logs).removesuffix(".log"))
        if task not in tasks and task != "run-id" and not task.endswith("items"):
            # It was begun, and says nothing of its end.
            tasks[task], said[task] = "failed", open(path).read()
    shared.answer(tasks, tries, said)


def name_of(path):
    step, _, item = path.partition("/")
    return f"{step}[{int(item)}]" if item.isdigit() else step


main()
