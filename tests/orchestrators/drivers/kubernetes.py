"""Has the pod of a Job run on this machine, and says how each of its containers ended.

There is no cluster: this stands in for the Job's controller, which makes a pod of the Job's
template with labels of its own, and podman for the kubelet (`podman kube play`). Nobody makes
the pod again. What podman lacks:
- annotations of more than 63 characters, Secrets: they come from ConfigMaps;
- variables in the values of others: they are filled in here;
- folders that a pod has for itself: they are in the driver's folder, for podman has one
  volume of a name for all pods;
- the message of a container's end: a file that is mounted where Kubernetes has it.
"""

import copy
import datetime
import json
import os
import re
import subprocess
import time
import uuid

import kubernetes_validate
import yaml

import shared
from containers import podman, task_of, tries

# The version of Kubernetes whose schema the file keeps.
VERSION = "1.37"


def main():
    of = shared.request()
    job = yaml.safe_load(open(os.path.join(of["folder"], f"{of['name']}-job.yaml")))
    kubernetes_validate.validate(job, VERSION, strict=True)
    name = f"{of['name']}-{uuid.uuid4().hex[:8]}"
    folder = os.path.join(os.getcwd(), name)
    os.mkdir(folder)
    documents, containers = pod_of(of, job, name, folder)
    path = os.path.join(folder, "pod.yaml")
    with open(path, "w") as file:
        yaml.safe_dump_all(documents, file, sort_keys=False)
    log = os.path.join(folder, "log")
    try:
        # As the kubelet does where a pod is deleted. podman itself stops none that has not
        # got to its last container.
        shared.stop_during(of, lambda: stop(of["cancel_during"], containers, name))
        codes = play(path, log, containers, name)
        said = read(log)
        print(said)
    finally:
        podman("kube", "down", path, check=False)
    answer(containers, folder, codes, said)


def pod_of(of, job, name, folder):
    """The pod that the controller would make, and what it refers to; and its containers."""
    template = copy.deepcopy(job["spec"]["template"])
    spec, metadata = template["spec"], template["metadata"]
    annotations = metadata.pop("annotations", {})
    if of["partition"]:
        annotations["wharf/partition"] = of["partition"]
    if of["parameters"]:
        given = {**json.loads(annotations["wharf/parameters"]), **of["parameters"]}
        annotations["wharf/parameters"] = json.dumps(given)
    metadata["name"] = name
    metadata["labels"] = {
        "batch.kubernetes.io/controller-uid": str(uuid.uuid4()),
        "batch.kubernetes.io/job-name": name,
    }
    maps = {
        "annotations": {key.replace("/", "."): value for key, value in annotations.items()},
        "wharf-store": of["secrets"],
    }
    # The store is at an address of this machine.
    spec["hostNetwork"] = True
    for volume in spec["volumes"]:
        if "emptyDir" in volume:
            del volume["emptyDir"]
            volume["hostPath"] = {"path": os.path.join(folder, volume["name"]), "type": "Directory"}
            os.mkdir(volume["hostPath"]["path"])
            os.chmod(volume["hostPath"]["path"], 0o777)
    containers = spec.get("initContainers", []) + spec["containers"]
    for container in containers:
        container["imagePullPolicy"] = "Never"
        for variable in container.get("env", []):
            source = variable.get("valueFrom", {})
            if "secretKeyRef" in source:
                source["configMapKeyRef"] = source.pop("secretKeyRef")
            field = re.fullmatch(
                r"metadata\.annotations\['(.+)'\]", source.get("fieldRef", {}).get("fieldPath", "")
            )
            if field:
                key = field[1].replace("/", ".")
                variable["valueFrom"] = {"configMapKeyRef": {"name": "annotations", "key": key}}
            if "value" in variable:
                variable["value"] = variable["value"].replace("$(JOB_NAME)", name)
        message = message_of(folder, container)
        open(message, "w").close()
        os.chmod(message, 0o666)
        volume = f"message-{container['name']}"
        mount = {"name": volume, "mountPath": "/dev/termination-log"}
        container["volumeMounts"].append(mount)
        spec["volumes"].append({"name": volume, "hostPath": {"path": message, "type": "File"}})
    documents = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
        for name, data in maps.items()
    ]
    documents.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    return documents, containers


def play(path, log, containers, name):
    """Runs the pod; the exit codes of the containers that it had, by name."""
    begun = datetime.datetime.now(datetime.timezone.utc).isoformat()
    command = ["podman", "kube", "play", "--build=false", "--log-driver", "k8s-file"]
    command += ["--log-opt", f"path={log}", path]
    played = subprocess.run(command, capture_output=True, text=True)
    last = containers[-1]["name"]
    # All but the last one have ended: those before it are waited for.
    is_begun = played.returncode == 0
    if is_begun:
        podman("wait", f"{name}-{last}")
    elif "exited with code" not in played.stderr:
        raise RuntimeError(played.stderr)
    # They are removed as they end: what has happened is all that there is.
    while True:
        events = podman("events", "--stream=false", "--since", begun, "--format", "json")
        codes = {}
        for event in map(json.loads, events.splitlines()):
            if event["Status"] == "died" and event["Name"].startswith(f"{name}-"):
                container = event["Name"].removeprefix(f"{name}-")
                codes[container] = event.get("ContainerExitCode", 0)
        if last in codes or not is_begun and any(codes.values()):
            return codes
        time.sleep(0.02)


def stop(task, containers, name):
    for container in containers:
        if task_of(container["args"]) == task:
            podman("kill", "--signal", "TERM", f"{name}-{container['name']}")


def answer(containers, folder, codes, said):
    tasks, tried, messages = {}, {}, {}
    for container in containers:
        task, code = task_of(container["args"]), codes.get(container["name"])
        message = open(message_of(folder, container)).read()
        if code is None:
            tasks[task] = "not-run"
        elif code != 0:
            tasks[task] = "failed"
        else:
            # One that was skipped has a message why, and one that succeeded has none.
            tasks[task] = "skipped" if message else "succeeded"
        messages[task], tried[task] = message, tries(task, said)
    shared.answer(tasks, tried, messages)


def message_of(folder, container):
    return os.path.join(folder, f"{container['name']}.message")


def read(path):
    """What containers have said, of a log as the kubelet writes it."""
    lines = open(path).read().splitlines() if os.path.exists(path) else []
    return "".join(line.split(" ", 3)[-1] + "\n" for line in lines)


main()
