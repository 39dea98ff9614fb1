"""flights: Counts a month of flights by carrier.

Made by `wharf pipeline compile flights.yaml --target zenml --stack local`.
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
    "--pipeline", "sha256:426d0a263e05ec5a65583c4d1e0135c707beb40b0131d4f639e51fcb2b3ac0cb",
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
            artifact = f"flights.{step}.{output}"
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
    command = [WHARF, "artifact", "put", f"flights-{name}", str(value), "--json", *COMMON[:2]]
    put = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    version = json.loads(put.stdout)
    return f"artifact:{version['name']}@{version['number']}"


@step
def run_parameters(chosen: Dict[str, Any], flights: Any = None) -> Annotated[
    Dict[str, Any], "flights.parameters"
]:
    """What was chosen, for all steps."""
    chosen["flights"] = bring("flights", flights)
    return chosen


@step(settings={"resources": ResourceSettings(memory="272MiB")})
def summarise(chosen: Dict[str, Any]) -> Tuple[
    Annotated[Output, "flights.summarise.summary"], Annotated[Any, "flights.summarise"]
]:
    """Runs steps/summarise.wasm, and publishes flights-of-a-month."""
    summary, results = execute("summarise", chosen, outputs=["summary"])
    return summary, results


@pipeline(name="flights", enable_cache=False, tags=["wharf"])
def flights(partition: str, flights: Optional[Union[str, List[str]]] = None):
    """Counts a month of flights by carrier.

    Args:
        partition: The month, such as 2013-01
        flights: An artifact (artifact:NAME); flights.csv by default
    """
    values = {"partition": partition}
    chosen = run_parameters(values, flights=artifact(flights))
    summarise(chosen, id="summarise")
