"""What all drivers have in common: the request, the answer, and the task to stop."""

import json
import os
import sys
import threading
import time


def request():
    return json.loads(sys.argv[1])


def answer(tasks, tries=None, said=None):
    with open(sys.argv[2], "w") as file:
        json.dump({"tasks": tasks, "tries": tries or {}, "said": said or {}}, file)


def is_at_work(store, step):
    """Whether a process of this machine runs a step with a store."""
    for entry in os.listdir("/proc"):
        try:
            words = open(f"/proc/{entry}/cmdline", "rb").read().decode(errors="replace").split("\0")
        except OSError:
            continue
        if words[0].endswith("wharf") and "exec" in words and step in words and store in words:
            return True
    return False


def stop_during(of, stop):
    """Calls `stop` once the step is at work that the request says, if it says one."""
    step = of["cancel_during"]

    def watch():
        while not is_at_work(of["store"], step):
            time.sleep(0.05)
        # A moment, so that it is at its work.
        time.sleep(0.5)
        stop()

    if step:
        threading.Thread(target=watch, daemon=True).start()


def step_of(name):
    """A step as Wharf calls it, of an identifier that stands for it."""
    return name.rstrip("_").replace("_", "-")
