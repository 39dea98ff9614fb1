"""promote: Trains a model, and tags it `prod` where it beats the one that is.

Made by `wharf pipeline compile promote.yaml --target dagster --stack local`.
Change the pipeline, and make this anew. The pipeline itself is in the store: a task
needs that and `wharf`, and nothing else.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field


WHARF = "wharf"
COMMON = [
    "--store", "/srv/wharf store",
    "--pipeline", "sha256:14c2556cd49e12d4253b85f69a8c4acd828a40c8336deed13ded154d924eabb4",
]


class Parameters(dg.ConfigurableResource):
    """What can be chosen for each run."""

    epochs: int = Field(default=5, description="How long to train")
    data: Any = Field(
        default=None, description="An artifact (artifact:NAME); breast-cancer.csv by default"
    )

    def variables(self) -> dict[str, str]:
        chosen = {"epochs": self.epochs, "data": self.data}
        return {"WHARF_PARAMETERS": json.dumps(chosen)}


def wharf(context, command, step):
    # A run that goes on where another has failed is the same run.
    run_id = context.run.root_run_id or context.run.run_id
    return [
        *[WHARF, "step", command, *COMMON],
        *["--step", step, "--run-id", run_id],
        *["--skip-exit-code", "0"],
    ]


def execute(
    context, parameters, step, item=None, retries=0, backoff=0, max_backoff=0, timeout=None
):
    """Runs a step, or an item of it, and returns how it ended."""
    command = wharf(context, "exec", step)
    command += ["--attempt", str(context.retry_number + 1)]
    if item is not None:
        command += ["--item", str(item)]
    with tempfile.TemporaryDirectory() as folder:
        ending = Path(folder, "ending.json")
        command += ["--ending-to", str(ending)]
        variables = {**os.environ, **parameters.variables()}
        with subprocess.Popen(command, env=variables) as process:
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.kill()
            except BaseException:
                process.terminate()
                raise
        ended = json.loads(ending.read_text()) if ending.exists() else {}
    if process.returncode == 0:
        if ended["status"] == "skipped":
            context.log.info(f"Skipped: {ended['message']}")
        return ended
    message = ended.get("message") or f"wharf ended with {process.returncode}"
    # Of failures, only those are tried again that may pass.
    if process.returncode not in (1, 2) and context.retry_number < retries:
        context.log.warning(message)
        wait = min(backoff * 2**context.retry_number, max_backoff)
        raise dg.RetryRequested(max_retries=retries, seconds_to_wait=wait)
    raise dg.Failure(message, allow_retries=False)


# A step that is skipped makes no asset. Those that come after it wait for its end.
OUT = {
    "made": dg.Out(dg.Nothing, is_required=False),
    "ended": dg.Out(dg.Nothing, is_required=False),
}


def after(needs):
    return {"needs": dg.In(dg.Nothing)} if needs else {}


def shown(ended):
    """What a step returned and wrote."""
    keys = ["results", "outputs", "published"]
    return {key: ended[key] for key in keys if ended[key]}


def step(name, step, about, item=None, needs=(), **options):
    """Runs a step in an op."""

    @dg.op(name=f"promote_{name}", description=about, ins=after(needs), out=OUT)
    def op(context: dg.OpExecutionContext, parameters: Parameters):
        ended = execute(context, parameters, step, item, **options)
        if ended["status"] != "skipped":
            version = ended["commit"] and dg.DataVersion(ended["commit"])
            yield dg.Output(None, "made", metadata=shown(ended), data_version=version)
        if "ended" in context.selected_output_names:
            yield dg.Output(None, "ended")

    return op.alias(name)(needs=needs) if needs else op.alias(name)()


# What each asset is made after.
LINEAGE = {
    "split": [],
    "train": ["split"],
    "compare": ["split", "train"],
    "promote": ["train", "compare"],
}


@dg.graph(
    name="promote_assets",
    out={asset: dg.GraphOut() for asset in LINEAGE},
)
def pipeline():
    split = step("split", "split", "Runs steps/split.wasm.")
    train = step(
        "train", "train", "Runs steps/train.wasm, and publishes cancer-model.", needs=[split.ended]
    )
    compare = step(
        "compare", "compare", "Runs steps/compare.wasm.", needs=[split.ended, train.ended]
    )
    promote = step(
        "promote", "promote", "Publishes cancer-model:prod.", needs=[train.ended, compare.ended]
    )
    return {
        "split": split.made, "train": train.made, "compare": compare.made, "promote": promote.made
    }


KEYS = {asset: dg.AssetKey(["promote", asset]) for asset in LINEAGE}

assets = dg.AssetsDefinition.from_graph(
    pipeline,
    group_name="promote",
    keys_by_output_name=KEYS,
    internal_asset_deps={
        asset: {KEYS[it] for it in needs} for asset, needs in LINEAGE.items()
    },
    code_versions_by_output_name={asset: COMMON[3] for asset in LINEAGE},
)

job = dg.define_asset_job(
    "promote",
    selection=[assets],
    description="Trains a model, and tags it `prod` where it beats the one that is.",
)

defs = dg.Definitions(
    assets=[assets], jobs=[job], resources={"parameters": Parameters.configure_at_launch()}
)
