"""regions

Made by `wharf pipeline compile regions.yaml --target zenml --stack local`.
Change the pipeline, and make this anew. The pipeline itself is in the store: a task
needs that and `wharf`, and nothing else.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated, Any, Dict, Literal, Optional, Tuple

from zenml import get_step_context, log_metadata, pipeline, step
from zenml.config import ResourceSettings
from zenml.metadata.metadata_types import StorageSize, Uri


WHARF = "wharf"
COMMON = [
    "--store", "/srv/wharf store",
    "--pipeline", "sha256:64b8bd7bd9ee0da4cf466ce7b50434dafa0c7ef0f2e92f503b56112b74490b18",
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
            artifact = f"regions.{step}.{output}"
            log_metadata(metadata, artifact_name=artifact, infer_artifact=True)
    results = ended.get("results")
    return (*written, results) if outputs else results


@step
def run_parameters(chosen: Dict[str, Any]) -> Annotated[
    Dict[str, Any], "regions.parameters"
]:
    """What was chosen, for all steps."""
    return chosen


@step(settings={"resources": ResourceSettings(memory="1280MiB")})
def count(chosen: Dict[str, Any]) -> Tuple[
    Annotated[Output, "regions.count.counts"], Annotated[Any, "regions.count"]
]:
    """Runs steps/count.wasm."""
    counts, results = execute("count", chosen, outputs=["counts"])
    return counts, results


@pipeline(name="regions", enable_cache=False, tags=["wharf"])
def regions(partition: Literal["north", "south"]):
    """Runs regions.

    Args:
        partition: The partition
    """
    values = {"partition": partition}
    chosen = run_parameters(values)
    count(chosen, id="count")
