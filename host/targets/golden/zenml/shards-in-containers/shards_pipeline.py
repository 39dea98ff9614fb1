"""shards: Counts "shards" of a region.

Made by `wharf pipeline compile shards-in-containers.yaml --target zenml --stack prod`.
Change the pipeline, and make this anew. The pipeline itself is in the store: a task
needs that and `wharf`, and nothing else.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated, Any, Dict, List, Literal, Optional, Tuple, Union

from zenml import get_step_context, log_metadata, pipeline, step
from zenml.client import Client
from zenml.config import ResourceSettings
from zenml.metadata.metadata_types import StorageSize, Uri


WHARF = "wharf"
COMMON = [
    "--store", "s3://bucket/wharf",
    "--pipeline", "sha256:1b0aabab456a15eaae9b018db768d05c69620f65a5f307b483c42658c75e28b6",
    "--secret", "AWS_SECRET_ACCESS_KEY=file:/run/secrets/key",
]
ENVIRONMENT = {
    "AWS_REGION": "eu-central-1",
}

# Where an output is, and what it is.
Output = Optional[Dict[str, Any]]


def wharf(command, step, chosen, *options, timeout=None):
    """Runs `wharf`, and returns the code that it ended with."""
    run = get_step_context().pipeline_run
    while run.original_run:
        # What is replayed is the same run.
        run = run.original_run
    command = [WHARF, "step", command, *COMMON, "--step", step, "--run-id", str(run.id)]
    variables = {**os.environ, **ENVIRONMENT}
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
            artifact = f"shards.{step}.{output}"
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
    command = [WHARF, "artifact", "put", f"shards-{name}", str(value), "--json", *COMMON[:2]]
    put = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    version = json.loads(put.stdout)
    return f"artifact:{version['name']}@{version['number']}"


@step
def run_parameters(chosen: Dict[str, Any], text: Any = None) -> Annotated[
    Dict[str, Any], "shards.parameters"
]:
    """What was chosen, for all steps."""
    chosen["text"] = bring("text", text)
    return chosen


@step(settings={"resources": ResourceSettings(memory="1280MiB")})
def split(chosen: Dict[str, Any]) -> Tuple[
    Annotated[Output, "shards.split.train"],
    Annotated[Output, "shards.split.test"],
    Annotated[Any, "shards.split"],
]:
    """Runs steps/split.wasm."""
    train, test, results = execute(
        "split", chosen, outputs=["train", "test"], retries="step", timeout=480
    )
    return train, test, results


@step(settings={"resources": ResourceSettings(memory="1280MiB")})
def count(chosen: Dict[str, Any], item: int) -> Tuple[
    Annotated[Output, "shards.count.counts"], Annotated[Any, "shards.count"]
]:
    """Runs steps/count.wasm, once for each item."""
    counts, results = execute(
        "count", chosen, outputs=["counts"], item=item, retries="step", timeout=1500
    )
    return counts, results


@step(settings={"resources": ResourceSettings(memory="3328MiB")})
def merge(chosen: Dict[str, Any]) -> Tuple[
    Annotated[Output, "shards.merge.table"], Annotated[Any, "shards.merge"]
]:
    """Runs steps/merge.wasm, and publishes all-shards."""
    table, results = execute("merge", chosen, outputs=["table"], timeout=7260)
    return table, results


@step(settings={"resources": ResourceSettings(memory="1280MiB")})
def last(chosen: Dict[str, Any]) -> Annotated[Any, "shards.last"]:
    """Publishes all-shards:prod."""
    return execute("last", chosen)


@pipeline(name="shards", enable_cache=False, tags=["wharf"])
def shards(
    partition: Literal["north", "south"],
    text: Union[str, List[str]],
    top: int = 10,
    title: str = "It's {{ a }} $TITLE",
    strict: bool = False,
    weights: Any = [0.5, 1.0],
):
    """Counts "shards" of a region.

    Args:
        partition: The partition
        text: What is read
        top: How many words: the "top" ones
    """
    values = {
        "partition": partition, "top": top, "title": title, "strict": strict, "weights": weights
    }
    chosen = run_parameters(values, text=artifact(text))
    split(chosen, id="split")
    count(chosen, item=0, id="count-0", after=["split"])
    count(chosen, item=1, id="count-1", after=["split"])
    merge(chosen, id="merge", after=["count-0", "count-1"])
    last(chosen, id="last", after=["merge"])
