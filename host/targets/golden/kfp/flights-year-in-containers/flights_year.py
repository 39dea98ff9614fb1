"""flights-year: Counts each month of a year, and makes one table of them.

Made by `wharf pipeline compile flights-year-in-containers.yaml --target kfp --stack prod`.
Change the pipeline, and make this anew. The pipeline itself is in the store: a task
needs that and `wharf`, and nothing else.
"""

from kfp import Client, dsl, kubernetes


IMAGE = "registry.example.com/wharf:0.1.0"
COMMAND = ["wharf"]

STEP = [
    "step", "exec",
    "--store", "s3://bucket/wharf",
    "--pipeline", "sha256:74345cbaf763c8945c7f3a6a39a17edff419a0b56154b249f327c679c3dcb1d3",
    "--run-id", dsl.PIPELINE_JOB_ID_PLACEHOLDER,
    "--executor-input", "{{$}}",
    "--skip-exit-code", "0",
]

ITEMS = [
    "step", "items",
    "--store", "s3://bucket/wharf",
    "--pipeline", "sha256:74345cbaf763c8945c7f3a6a39a17edff419a0b56154b249f327c679c3dcb1d3",
    "--run-id", dsl.PIPELINE_JOB_ID_PLACEHOLDER,
    "--executor-input", "{{$}}",
]


@dsl.container_component
def summarise_items(flights: str, months: list, results: dsl.OutputPath(list)):
    """Lists the items of summarise."""
    return dsl.ContainerSpec(
        image=IMAGE,
        command=COMMAND,
        args=ITEMS + ["--step", "summarise", "--results-to", results],
    )


@dsl.container_component
def summarise(
    flights: str,
    months: list,
    item: int,
    summary: dsl.Output[dsl.Artifact],
    results: dsl.OutputPath(str),
):
    """Runs steps/summarise.wasm."""
    return dsl.ContainerSpec(
        image=IMAGE,
        command=COMMAND,
        args=STEP + ["--step", "summarise", "--item", item, "--results-to", results],
    )


@dsl.container_component
def merge(
    flights: str,
    months: list,
    table: dsl.Output[dsl.Artifact],
    results: dsl.OutputPath(str),
):
    """Runs steps/merge.wasm, and publishes flights-of-a-year."""
    return dsl.ContainerSpec(
        image=IMAGE,
        command=COMMAND,
        args=STEP + ["--step", "merge", "--results-to", results],
    )


def configured(task, memory):
    """What all tasks have in common; what is done already, Wharf knows itself."""
    task.set_caching_options(False)
    task.set_memory_request(memory).set_memory_limit(memory)
    kubernetes.set_security_context(task, run_as_non_root=True)
    task.set_cpu_request("500m")
    task.set_env_variable("AWS_REGION", "eu-central-1")
    kubernetes.use_secret_as_env(task, "wharf-store", {
        "AWS_SECRET_ACCESS_KEY": "AWS_SECRET_ACCESS_KEY",
    })
    kubernetes.add_node_selector(task, "pool", "batch")
    return task


@dsl.pipeline(name="summarise-each")
def summarise_each(items: list, flights: str, months: list):
    parameters = dict(flights=flights, months=months)
    with dsl.ParallelFor(items, parallelism=8) as item:
        configured(summarise(**parameters, item=item), memory="272Mi")


@dsl.pipeline(
    name="flights-year",
    description="Counts each month of a year, and makes one table of them.",
)
def pipeline(
    flights: str = "",
    months: list = ["2013-01", "2013-02", "2013-03", "2013-04", "2013-05", "2013-06", "2013-07", "2013-08", "2013-09", "2013-10", "2013-11", "2013-12"],
):
    parameters = dict(flights=flights, months=months)

    summarise_list = configured(summarise_items(**parameters), memory="256Mi")
    summarise_task = summarise_each(items=summarise_list.outputs["results"], **parameters)
    summarise_task.set_caching_options(False)

    merge_task = configured(merge(**parameters), memory="1280Mi")
    merge_task.after(summarise_task)


if __name__ == "__main__":
    Client(namespace="ml").create_run_from_pipeline_func(
        pipeline,
        arguments={},
        namespace="ml",
        service_account="wharf",
    )
