"""What drivers have in common that run containers by podman: what these have said."""

import subprocess


def podman(*words, check=True):
    """What a command of podman prints."""
    ended = subprocess.run(["podman", *words], capture_output=True, text=True)
    if check and ended.returncode != 0:
        raise RuntimeError(f"podman {' '.join(words)}: {ended.returncode}\n{ended.stderr}")
    return ended.stdout


def task_of(arguments):
    """The task that a command line of `wharf` runs; None for one that lists items."""
    if "exec" not in arguments:
        return None
    step = arguments[arguments.index("--step") + 1]
    item = arguments[arguments.index("--item") + 1] if "--item" in arguments else None
    return step if item is None else f"{step}[{item}]"


def tries(task, log):
    """How often the host has tried a task, as its log says."""
    lines = [line for line in log.splitlines() if f"{task}: " in line]
    return 1 + sum("; again in " in line for line in lines)
