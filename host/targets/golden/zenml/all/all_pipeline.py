"""all: Has "all" that a pipeline can have.

Made by `wharf pipeline compile all.yaml --target zenml --stack local`.
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
    "--store", "/srv/wharf store",
    "--pipeline", "sha256:b877ab22a3aa0e196087411ae4c14676a763fc850de2057e3cbd1aabfdf64d15",
]
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
            artifact = f"all.{step}.{output}"
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
    command = [WHARF, "artifact", "put", f"all-{name}", str(value), "--json", *COMMON[:2]]
    put = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    version = json.loads(put.stdout)
    return f"artifact:{version['name']}@{version['number']}"


@step
def run_parameters(chosen: Dict[str, Any], text: Any = None) -> Annotated[
    Dict[str, Any], "all.parameters"
]:
    """What was chosen, for all steps."""
    chosen["text"] = bring("text", text)
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


@step(settings={"resources": ResourceSettings(memory="1280MiB")})
def list_files(chosen: Dict[str, Any]) -> Annotated[Any, "all.list-files"]:
    """Runs steps/list.wasm."""
    return execute("list-files", chosen, retries="step")


@step(settings={"resources": ResourceSettings(memory="1280MiB")})
def count(chosen: Dict[str, Any], item: int) -> Tuple[
    Annotated[Output, "all.count.counts"], Annotated[Any, "all.count"]
]:
    """Runs steps/count.wasm, once for each item."""
    counts, results = execute(
        "count", chosen, outputs=["counts"], item=item, retries="step", timeout=1500
    )
    return counts, results


@step(settings={"resources": ResourceSettings(memory="1280MiB")})
def import_(chosen: Dict[str, Any], item: int) -> Tuple[
    Annotated[Output, "all.import.counts"], Annotated[Any, "all.import"]
]:
    """Runs steps/count.wasm, once for each item."""
    counts, results = execute("import", chosen, outputs=["counts"], item=item, timeout=7260)
    return counts, results


@step(settings={"resources": ResourceSettings(memory="3328MiB")})
def merge_all(chosen: Dict[str, Any]) -> Tuple[
    Annotated[Output, "all.merge-all.table"], Annotated[Any, "all.merge-all"]
]:
    """Runs steps/merge.wasm, and publishes all-counts."""
    table, results = execute("merge-all", chosen, outputs=["table"])
    return table, results


@step(settings={"resources": ResourceSettings(memory="1280MiB")})
def last(chosen: Dict[str, Any]) -> Annotated[Any, "all.last"]:
    """Publishes all-counts:prod."""
    return execute("last", chosen)


@pipeline(name="all", enable_cache=False, dynamic=True, tags=["wharf"])
def all(
    text: Optional[Union[str, List[str]]] = None,
    top: int = 10,
    rate: float = 0.5,
    title: str = "It's {{ a }} $TITLE",
    strict: bool = False,
    weights: Any = [0.5, 1.0],
):
    """Has "all" that a pipeline can have.

    Args:
        text: What is read
        top: How many words: the "top" ones
    """
    values = {"top": top, "rate": rate, "title": title, "strict": strict, "weights": weights}
    chosen = run_parameters(values, text=artifact(text))
    done = {}
    done["list-files"] = list_files.submit(chosen, id="list-files")
    listed = items.submit(chosen, name="count", id="count-items", after=[done["list-files"]])
    done["count"] = count.map(chosen=unmapped(chosen), item=listed)
    done["import-0"] = import_.submit(chosen, item=0, id="import-0")
    done["import-1"] = import_.submit(chosen, item=1, id="import-1")
    done["import-2"] = import_.submit(chosen, item=2, id="import-2")
    done["merge-all"] = merge_all.submit(
        chosen,
        id="merge-all",
        after=[done["count"], done["import-0"], done["import-1"], done["import-2"]],
    )
    done["last"] = last.submit(chosen, id="last", after=[done["merge-all"]])


if __name__ == "__main__":
    all()
