"""flights-year: Counts each month of a year, and makes one table of them.

Made by `wharf pipeline compile flights-year-in-containers.yaml --target zenml --stack prod`.
Change the pipeline, and make this anew. The pipeline itself is in the store: a task
needs that and `wharf`, and nothing else.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated, Any, Dict, List, Optional, Tuple, Union

from zenml import get_step_context, log_metadata, pipeline, step, unmapped
from zenml.client import Client
from zenml.config import ResourceSettings
from zenml.metadata.metadata_types import StorageSize, Uri


WHARF = "wharf"
COMMON = [
    "--store", "s3://bucket/wharf",
    "--pipeline", "sha256:74345cbaf763c8945c7f3a6a39a17edff419a0b56154b249f327c679c3dcb1d3",
    "--secret", "AWS_SECRET_ACCESS_KEY=file:/run/secrets/key",
]
ENVIRONMENT = {
    "AWS_REGION": "eu-central-1",
}
# The one item of a list that has none.
NOTHING = -1

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
        if item == NOTHING:
            code, ended = 0, {"status": "skipped", "message": "There are no items"}
        else:
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
            artifact = f"flights-year.{step}.{output}"
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
    command = [WHARF, "artifact", "put", f"flights-year-{name}", str(value), "--json", *COMMON[:2]]
    put = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    version = json.loads(put.stdout)
    return f"artifact:{version['name']}@{version['number']}"


@step
def run_parameters(chosen: Dict[str, Any], flights: Any = None) -> Annotated[
    Dict[str, Any], "flights-year.parameters"
]:
    """What was chosen, for all steps."""
    chosen["flights"] = bring("flights", flights)
    return chosen


@step
def items(chosen: Dict[str, Any], name: str) -> List[int]:
    """Lists the items of a step."""
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder, "items.json")
        options = ["--skip-exit-code", "0", "--results-to", str(listed)]
        if wharf("items", name, dict(chosen), *options) != 0:
            raise RuntimeError(f"the items of {name} are not known")
        return json.loads(listed.read_text()) or [NOTHING]


@step(settings={"resources": ResourceSettings(memory="272MiB")})
def summarise(chosen: Dict[str, Any], item: int) -> Tuple[
    Annotated[Output, "flights-year.summarise.summary"], Annotated[Any, "flights-year.summarise"]
]:
    """Runs steps/summarise.wasm, once for each item."""
    summary, results = execute("summarise", chosen, outputs=["summary"], item=item)
    return summary, results


@step(settings={"resources": ResourceSettings(memory="1280MiB")})
def merge(chosen: Dict[str, Any]) -> Tuple[
    Annotated[Output, "flights-year.merge.table"], Annotated[Any, "flights-year.merge"]
]:
    """Runs steps/merge.wasm, and publishes flights-of-a-year."""
    table, results = execute("merge", chosen, outputs=["table"])
    return table, results


@pipeline(name="flights-year", enable_cache=False, dynamic=True, tags=["wharf"])
def flights_year(
    flights: Optional[Union[str, List[str]]] = None,
    months: Any = ["2013-01", "2013-02", "2013-03", "2013-04", "2013-05", "2013-06", "2013-07", "2013-08", "2013-09", "2013-10", "2013-11", "2013-12"],
):
    """Counts each month of a year, and makes one table of them.

    Args:
        flights: An artifact (artifact:NAME); flights.csv by default
    """
    values = {"months": months}
    chosen = run_parameters(values, flights=artifact(flights))
    done = {}
    listed = items.submit(chosen, name="summarise", id="summarise-items")
    done["summarise"] = summarise.map(chosen=unmapped(chosen), item=listed)
    done["merge"] = merge.submit(chosen, id="merge", after=[done["summarise"]])


if __name__ == "__main__":
    flights_year()
