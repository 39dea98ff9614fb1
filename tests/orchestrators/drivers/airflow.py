"""Has Airflow run a DAG once, and says how each task ended.

Takes a request as JSON (dag, conf, cancel_during) and a file that it writes the answer to.
`airflow dags test` runs tasks as the scheduler does, one after the other, with retries.
"""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time

STATES = {
    "success": "succeeded",
    "skipped": "skipped",
    "failed": "failed",
    "upstream_failed": "not-run",
    None: "not-run",
    "scheduled": "not-run",
}


def main(request, answer):
    command = ["airflow", "dags", "test", request["dag"], "--conf", json.dumps(request["conf"])]
    test = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    said, task = {}, None
    for line in test.stdout:
        sys.stdout.write(line)
        begun = re.search(r"\[DAG TEST\] starting task_id=(\S+) map_index=(\S+)", line)
        if begun:
            task = name(begun[1], int(begun[2]))
        if task:
            said[task] = said.get(task, "") + line
        if task == request["cancel_during"] and "Output:" in line:
            # As the scheduler stops a task that a user marks failed, once it is at work.
            time.sleep(1)
            os.kill(test.pid, signal.SIGTERM)
    test.wait()
    tasks, tries = {}, {}
    for task_id, index, state, number in last_run(request["dag"]):
        if index < 0 and any(other[0] == task_id and other[1] >= 0 for other in last_run(request["dag"])):
            continue
        tasks[name(task_id, index)] = STATES.get(state, state)
        tries[name(task_id, index)] = number
    with open(answer, "w") as file:
        json.dump({"tasks": tasks, "tries": tries, "said": said}, file)


def name(task_id, index):
    """The step, and its item: a task of its own, or one that was mapped."""
    unrolled = re.fullmatch(r"(.+)-(\d+)", task_id)
    if index >= 0:
        return f"{task_id}[{index}]"
    return f"{unrolled[1]}[{int(unrolled[2])}]" if unrolled else task_id


def last_run(dag):
    database = sqlite3.connect(os.path.join(os.environ["AIRFLOW_HOME"], "airflow.db"))
    query = "select run_id from dag_run where dag_id = ? order by id desc limit 1"
    (run,) = database.execute(query, (dag,)).fetchone()
    query = """select task_id, map_index, state, try_number from task_instance
               where run_id = ? and dag_id = ? order by task_id, map_index"""
    return database.execute(query, (run, dag)).fetchall()


main(json.loads(sys.argv[1]), sys.argv[2])
