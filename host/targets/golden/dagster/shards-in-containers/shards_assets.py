"""shards: Counts "shards" of a region.

Made by `wharf pipeline compile shards-in-containers.yaml --target dagster --stack prod`.
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
    "--store", "s3://bucket/wharf",
    "--pipeline", "sha256:1b0aabab456a15eaae9b018db768d05c69620f65a5f307b483c42658c75e28b6",
    "--secret", "AWS_SECRET_ACCESS_KEY=file:/run/secrets/key",
]
ENVIRONMENT = {
    "AWS_REGION": "eu-central-1",
}

PARTITIONS = dg.StaticPartitionsDefinition(["north", "south"])


class Parameters(dg.ConfigurableResource):
    """What can be chosen for each run."""

    text: Any = Field(description="What is read")
    top: int = Field(default=10, description="How many words: the \"top\" ones")
    title: str = "It's {{ a }} $TITLE"
    strict: bool = False
    weights: Any = [0.5, 1.0]

    def variables(self) -> dict[str, str]:
        chosen = {
            "text": self.text,
            "top": self.top,
            "title": self.title,
            "strict": self.strict,
            "weights": self.weights,
        }
        return {"WHARF_PARAMETERS": json.dumps(chosen)}


def wharf(context, command, step):
    # A run that goes on where another has failed is the same run.
    run_id = context.run.root_run_id or context.run.run_id
    return [
        *[WHARF, "step", command, *COMMON],
        *["--step", step, "--run-id", run_id, "--partition", context.partition_key],
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
        variables = {**os.environ, **ENVIRONMENT, **parameters.variables()}
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

    @dg.op(name=f"shards_{name}", description=about, ins=after(needs), out=OUT)
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
    "count_0": ["split"],
    "count_1": ["split"],
    "merge": ["count_0", "count_1"],
    "last": ["merge"],
}


@dg.graph(
    name="shards_assets",
    out={asset: dg.GraphOut() for asset in LINEAGE},
)
def pipeline():
    split = step(
        "split",
        "split",
        "Runs steps/split.wasm.",
        retries=2,
        backoff=1,
        max_backoff=60,
        timeout=120,
    )
    count_0 = step(
        "count_0",
        "count",
        "Runs steps/count.wasm.",
        item=0,
        needs=[split.ended],
        retries=3,
        backoff=10,
        max_backoff=300,
        timeout=150,
    )
    count_1 = step(
        "count_1",
        "count",
        "Runs steps/count.wasm.",
        item=1,
        needs=[split.ended],
        retries=3,
        backoff=10,
        max_backoff=300,
        timeout=150,
    )
    merge = step(
        "merge",
        "merge",
        "Runs steps/merge.wasm, and publishes all-shards.",
        needs=[count_0.ended, count_1.ended],
        timeout=7260,
    )
    last = step("last", "last", "Publishes all-shards:prod.", needs=[merge.ended])
    return {
        "split": split.made,
        "count_0": count_0.made,
        "count_1": count_1.made,
        "merge": merge.made,
        "last": last.made,
    }


KEYS = {asset: dg.AssetKey(["shards", asset]) for asset in LINEAGE}

assets = dg.AssetsDefinition.from_graph(
    pipeline,
    group_name="shards",
    keys_by_output_name=KEYS,
    internal_asset_deps={
        asset: {KEYS[it] for it in needs} for asset, needs in LINEAGE.items()
    },
    code_versions_by_output_name={asset: COMMON[3] for asset in LINEAGE},
    partitions_def=PARTITIONS,
)

job = dg.define_asset_job(
    "shards",
    selection=[assets],
    description="Counts \"shards\" of a region.",
    executor_def=dg.multiprocess_executor.configured({"max_concurrent": 8}),
)

defs = dg.Definitions(
    assets=[assets], jobs=[job], resources={"parameters": Parameters.configure_at_launch()}
)
