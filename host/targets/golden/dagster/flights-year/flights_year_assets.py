"""flights-year: Counts each month of a year, and makes one table of them.

Made by `wharf pipeline compile flights-year.yaml --target dagster --stack local`.
Change the pipeline, and make this anew. The pipeline itself is in the store: a task
needs that and `wharf`, and nothing else.
"""

import hashlib
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
    "--pipeline", "sha256:74345cbaf763c8945c7f3a6a39a17edff419a0b56154b249f327c679c3dcb1d3",
]


class Parameters(dg.ConfigurableResource):
    """What can be chosen for each run."""

    flights: Any = Field(
        default=None, description="An artifact (artifact:NAME); flights.csv by default"
    )
    months: Any = ["2013-01", "2013-02", "2013-03", "2013-04", "2013-05", "2013-06", "2013-07", "2013-08", "2013-09", "2013-10", "2013-11", "2013-12"]

    def variables(self) -> dict[str, str]:
        chosen = {"flights": self.flights, "months": self.months}
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

    @dg.op(name=f"flights_year_{name}", description=about, ins=after(needs), out=OUT)
    def op(context: dg.OpExecutionContext, parameters: Parameters):
        ended = execute(context, parameters, step, item, **options)
        if ended["status"] != "skipped":
            version = ended["commit"] and dg.DataVersion(ended["commit"])
            yield dg.Output(None, "made", metadata=shown(ended), data_version=version)
        if "ended" in context.selected_output_names:
            yield dg.Output(None, "ended")

    return op.alias(name)(needs=needs) if needs else op.alias(name)()


def each(name, step, about, needs=(), **options):
    """Runs a step for each item of its list, in ops of their own."""

    @dg.op(
        name=f"flights_year_{name}_items",
        description=f"The items of {name}.",
        ins=after(needs),
        out=dg.DynamicOut(int),
    )
    def items(context: dg.OpExecutionContext, parameters: Parameters):
        command = wharf(context, "items", step)
        variables = {**os.environ, **parameters.variables()}
        listed = subprocess.run(command, env=variables, stdout=subprocess.PIPE, check=True)
        for item in json.loads(listed.stdout) or []:
            yield dg.DynamicOutput(item, str(item))

    @dg.op(name=f"flights_year_{name}_item", description=about)
    def op(context: dg.OpExecutionContext, item: int, parameters: Parameters):
        return execute(context, parameters, step, item, **options)

    @dg.op(name=f"flights_year_{name}", description=f"All items of {name}.", out=OUT)
    def gather(context: dg.OpExecutionContext, endings: list):
        made = [ended for ended in endings if ended["status"] != "skipped"]
        if made:
            commits = " ".join(ended["commit"] or "" for ended in made)
            version = dg.DataVersion(hashlib.sha256(commits.encode()).hexdigest())
            metadata = {"items": [{"item": it["item"], **shown(it)} for it in made]}
            yield dg.Output(None, "made", metadata=metadata, data_version=version)
        if "ended" in context.selected_output_names:
            yield dg.Output(None, "ended")

    listing = items.alias(f"{name}_items")
    listing = listing(needs=needs) if needs else listing()
    return gather.alias(name)(listing.map(op.alias(f"{name}_item")).collect())


# What each asset is made after.
LINEAGE = {
    "summarise": [],
    "merge": ["summarise"],
}


@dg.graph(
    name="flights_year_assets",
    out={asset: dg.GraphOut() for asset in LINEAGE},
)
def pipeline():
    summarise = each("summarise", "summarise", "Runs steps/summarise.wasm, once for each item.")
    merge = step(
        "merge",
        "merge",
        "Runs steps/merge.wasm, and publishes flights-of-a-year.",
        needs=[summarise.ended],
    )
    return {"summarise": summarise.made, "merge": merge.made}


KEYS = {asset: dg.AssetKey(["flights_year", asset]) for asset in LINEAGE}

assets = dg.AssetsDefinition.from_graph(
    pipeline,
    group_name="flights_year",
    keys_by_output_name=KEYS,
    internal_asset_deps={
        asset: {KEYS[it] for it in needs} for asset, needs in LINEAGE.items()
    },
    code_versions_by_output_name={asset: COMMON[3] for asset in LINEAGE},
)

job = dg.define_asset_job(
    "flights_year",
    selection=[assets],
    description="Counts each month of a year, and makes one table of them.",
)

defs = dg.Definitions(
    assets=[assets], jobs=[job], resources={"parameters": Parameters.configure_at_launch()}
)
