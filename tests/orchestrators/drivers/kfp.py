"""Has Kubeflow Pipelines run a pipeline on this machine, and says how each task ended.

Its local runner (`kfp.local.DockerRunner`) starts a container for each task, by podman, which
speaks as Docker does. Where the runner lacks what a cluster has, this stands in:
- it ignores Secrets: they are added to the environment of containers;
- it has containers removed when they end, and takes one that is gone for one that has
  succeeded: they are kept, and removed in the end;
- it stops nothing: who wants to stops the container.
"""

import os
import subprocess
import sys
import tempfile
import time

import shared
from containers import task_of, tries

# Here, this file is called as the package is.
sys.path.pop(0)


def main():
    of = shared.request()
    source = os.path.join(of["folder"], f"{identifier(of['name'])}.py")
    compiled = os.path.join(of["folder"], "compiled.yaml")
    command = ["kfp", "dsl", "compile", "--py", source, "--function", "pipeline"]
    subprocess.run([*command, "--output", compiled], check=True)
    arguments = dict(of["parameters"])
    if of["partition"]:
        arguments["partition"] = of["partition"]
    arguments = {identifier(name): value for name, value in arguments.items()}
    # Users of containers write what tasks return in there.
    root = tempfile.mkdtemp(prefix="root-", dir=os.getcwd())
    os.chmod(root, 0o777)
    socket = os.path.join(root, "docker.sock")
    os.environ["DOCKER_HOST"] = f"unix://{socket}"
    service = subprocess.Popen(["podman", "system", "service", "--time=0", f"unix://{socket}"])
    try:
        while not os.path.exists(socket):
            if service.poll() is not None:
                raise RuntimeError("podman does not listen")
            time.sleep(0.02)
        run(of, compiled, arguments, root)
    finally:
        service.terminate()
        service.wait()


def run(of, compiled, arguments, root):
    from docker.models.containers import ContainerCollection
    from kfp import components, local
    from kfp.local import docker_task_handler

    started, ended = {}, {}
    start, handle = ContainerCollection.run, docker_task_handler.DockerTaskHandler.run

    def start_and_keep(self, *words, **options):
        options["auto_remove"] = False
        options["environment"] = {**(options.get("environment") or {}), **of["secrets"]}
        container = start(self, *words, **options)
        started.setdefault(task_of(options["command"]), []).append(container)
        return container

    def handle_and_tell(self):
        status = handle(self)
        ended[task_of(self.full_command)] = str(status)
        return status

    ContainerCollection.run = start_and_keep
    docker_task_handler.DockerTaskHandler.run = handle_and_tell
    runner = local.DockerRunner(network_mode="host")
    local.init(runner=runner, pipeline_root=root, raise_on_error=False)
    shared.stop_during(of, lambda: started[of["cancel_during"]][-1].kill("SIGTERM"))
    try:
        components.load_component_from_file(compiled)(**arguments)
        tasks, said, tried = {}, {}, {}
        for task, status in ended.items():
            if task is None:
                continue
            log = "".join(container.logs().decode() for container in started[task])
            said[task] = log
            tried[task] = tries(task, log)
            tasks[task] = state(task, status, log)
        shared.answer(tasks, tried, said)
    finally:
        for container in sum(started.values(), []):
            container.remove(force=True)


def state(task, status, log):
    if status != "Status.SUCCESS":
        return "failed"
    # There is no such state: the log says it.
    return "skipped" if f"{task}  skipped: " in log else "succeeded"


def identifier(name):
    """A name as Python has it."""
    return name.replace("-", "_")


main()
