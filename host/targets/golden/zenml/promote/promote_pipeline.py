"""promote: Trains a model, and tags it `prod` where it beats the one that is.

Made by `wharf pipeline compile promote.yaml --target zenml --stack local`.
Change the pipeline, and make this anew. The pipeline itself is in the store: a task
needs that and `wharf`, and nothing else.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated, Any, Dict, List, Optional, Tuple, Union

from zenml import get_step_context, log_metadata, pipeline, step
from zenml.client import Client
from zenml.config import ResourceSettings
from zenml.metadata.metadata_types import StorageSize, Uri


WHARF = "wharf"
COMMON = [
    "--store", "/srv/wharf store",
    "--pipeline", "sha256:14c2556cd49e12d4253b85f69a8c4acd828a40c8336deed13ded154d924eabb4",
]

# Where an output is, and what it is.
Output = Optional[Dict[str, Any]]


def wharf(command, step, chosen, *options, timeout=None):
    """Runs `wharf`, and returns the code that it ended with."""
    run = get_step_context().pipeline_run
    while run.original_run:
        # What is replayed is the same run.
        run = run.original_run
    command = [WHARF, "step", command, *COMMON, "--step", step, "--run-id", str(run.id)]
    variables = {**os.environ}
    variables["WHARF_PARTITION"] = chosen.pop("partition", "")
    variables["WHARF_PARAMETERS"] = json.dumps(chosen)
    with subprocess.Popen([*command, *options], env=variables) as process:
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        except BaseException:
            process.terminate()
            raise


def execute(step, chosen, outputs=(), item=None, retries=None, timeout=None):
    """Runs a step, or an item of it, and returns its outputs, and what it returned."""
    options = []
    if item is not None:
        options += ["--item", str(item)]
    if retries is not None:
        options += ["--retries", retries]
    with tempfile.TemporaryDirectory() as folder:
        ending = Path(folder, "ending.json")
        options += ["--skip-exit-code", "0", "--ending-to", str(ending)]
        code = wharf("exec", step, dict(chosen), *options, timeout=timeout)
        ended = json.loads(ending.read_text()) if ending.exists() else {}
    if code != 0:
        raise RuntimeError(ended.get("message") or f"wharf ended with {code}")
    log_metadata({key: ended[key] for key in ["status", "message", "commit"] if ended.get(key)})
    if ended.get("published"):
        log_metadata({"published": ended["published"]})
    written = [ended.get("outputs", {}).get(output) for output in outputs]
    for output, it in zip(outputs, written):
        if it is not None:
            metadata = {"uri": Uri(it["uri"]), "digest": it["digest"]}
            metadata["size"] = StorageSize(it["size"])
            artifact = f"promote.{step}.{output}"
            log_metadata(metadata, artifact_name=artifact, infer_artifact=True)
    results = ended.get("results")
    return (*written, results) if outputs else results


def artifact(value):
    """An artifact of ZenML where it is named, as `zenml:NAME` or `zenml:NAME@VERSION`."""
    if not isinstance(value, str) or not value.startswith("zenml:"):
        return value
    name, _, version = value.removeprefix("zenml:").partition("@")
    return Client().get_artifact_version(name, version or None)


def bring(name, value):
    """What Wharf calls an artifact; a file or folder of ZenML becomes one of the store."""
    if value is None or isinstance(value, (str, list)):
        return value
    if not isinstance(value, Path):
        raise TypeError(f"{name} is a {type(value).__name__}, and no file or folder")
    command = [WHARF, "artifact", "put", f"promote-{name}", str(value), "--json", *COMMON[:2]]
    put = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    version = json.loads(put.stdout)
    return f"artifact:{version['name']}@{version['number']}"


@step
def run_parameters(chosen: Dict[str, Any], data: Any = None) -> Annotated[
    Dict[str, Any], "promote.parameters"
]:
    """What was chosen, for all steps."""
    chosen["data"] = bring("data", data)
    return chosen


@step(settings={"resources": ResourceSettings(memory="1280MiB")})
def split(chosen: Dict[str, Any]) -> Tuple[
    Annotated[Output, "promote.split.train"],
    Annotated[Output, "promote.split.test"],
    Annotated[Any, "promote.split"],
]:
    """Runs steps/split.wasm."""
    train, test, results = execute("split", chosen, outputs=["train", "test"])
    return train, test, results


@step(settings={"resources": ResourceSettings(memory="1280MiB")})
def train(chosen: Dict[str, Any]) -> Tuple[
    Annotated[Output, "promote.train.model"], Annotated[Any, "promote.train"]
]:
    """Runs steps/train.wasm, and publishes cancer-model."""
    model, results = execute("train", chosen, outputs=["model"])
    return model, results


@step(settings={"resources": ResourceSettings(memory="1280MiB")})
def compare(chosen: Dict[str, Any]) -> Annotated[Any, "promote.compare"]:
    """Runs steps/compare.wasm."""
    return execute("compare", chosen)


@step(settings={"resources": ResourceSettings(memory="1280MiB")})
def promote(chosen: Dict[str, Any]) -> Annotated[Any, "promote.promote"]:
    """Publishes cancer-model:prod."""
    return execute("promote", chosen)


@pipeline(name="promote", enable_cache=False, tags=["wharf"])
def promote_(epochs: int = 5, data: Optional[Union[str, List[str]]] = None):
    """Trains a model, and tags it `prod` where it beats the one that is.

    Args:
        epochs: How long to train
        data: An artifact (artifact:NAME); breast-cancer.csv by default
    """
    values = {"epochs": epochs}
    chosen = run_parameters(values, data=artifact(data))
    split(chosen, id="split")
    train(chosen, id="train", after=["split"])
    compare(chosen, id="compare", after=["split", "train"])
    promote(chosen, id="promote", after=["train", "compare"])


if __name__ == "__main__":
    promote_()
