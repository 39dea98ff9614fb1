"""all: Has "all" that a pipeline can have.

Made by `wharf pipeline compile all-in-containers.yaml --target kfp --stack prod`.
Change the pipeline, and make this anew. The pipeline itself is in the store: a task
needs that and `wharf`, and nothing else.
"""

from kfp import Client, dsl, kubernetes


IMAGE = "registry.example.com/wharf:0.1.0"
COMMAND = ["wharf"]

STEP = [
    "step", "exec",
    "--store", "s3://bucket/wharf",
    "--pipeline", "sha256:b877ab22a3aa0e196087411ae4c14676a763fc850de2057e3cbd1aabfdf64d15",
    "--run-id", dsl.PIPELINE_JOB_ID_PLACEHOLDER,
    "--executor-input", "{{$}}",
    "--skip-exit-code", "0",
    "--retries", "step",
]

ITEMS = [
    "step", "items",
    "--store", "s3://bucket/wharf",
    "--pipeline", "sha256:b877ab22a3aa0e196087411ae4c14676a763fc850de2057e3cbd1aabfdf64d15",
    "--run-id", dsl.PIPELINE_JOB_ID_PLACEHOLDER,
    "--executor-input", "{{$}}",
]


@dsl.container_component
def list_files(
    text: str,
    top: int,
    rate: float,
    title: str,
    strict: bool,
    weights: list,
    results: dsl.OutputPath(str),
):
    """Runs steps/list.wasm."""
    return dsl.ContainerSpec(
        image=IMAGE,
        command=COMMAND,
        args=STEP + ["--step", "list-files", "--results-to", results],
    )


@dsl.container_component
def count_items(
    text: str,
    top: int,
    rate: float,
    title: str,
    strict: bool,
    weights: list,
    results: dsl.OutputPath(list),
):
    """Lists the items of count."""
    return dsl.ContainerSpec(
        image=IMAGE,
        command=COMMAND,
        args=ITEMS + ["--step", "count", "--results-to", results],
    )


@dsl.container_component
def count(
    text: str,
    top: int,
    rate: float,
    title: str,
    strict: bool,
    weights: list,
    item: int,
    counts: dsl.Output[dsl.Artifact],
    results: dsl.OutputPath(str),
):
    """Runs steps/count.wasm."""
    return dsl.ContainerSpec(
        image=IMAGE,
        command=COMMAND,
        args=STEP + ["--step", "count", "--item", item, "--results-to", results],
    )


@dsl.container_component
def import_(
    text: str,
    top: int,
    rate: float,
    title: str,
    strict: bool,
    weights: list,
    item: int,
    counts: dsl.Output[dsl.Artifact],
    results: dsl.OutputPath(str),
):
    """Runs steps/count.wasm."""
    return dsl.ContainerSpec(
        image=IMAGE,
        command=COMMAND,
        args=STEP + ["--step", "import", "--item", item, "--results-to", results],
    )


@dsl.container_component
def merge_all(
    text: str,
    top: int,
    rate: float,
    title: str,
    strict: bool,
    weights: list,
    table: dsl.Output[dsl.Artifact],
    results: dsl.OutputPath(str),
):
    """Runs steps/merge.wasm, and publishes all-counts."""
    return dsl.ContainerSpec(
        image=IMAGE,
        command=COMMAND,
        args=STEP + ["--step", "merge-all", "--results-to", results],
    )


@dsl.container_component
def last(
    text: str,
    top: int,
    rate: float,
    title: str,
    strict: bool,
    weights: list,
    results: dsl.OutputPath(str),
):
    """Publishes all-counts:prod."""
    return dsl.ContainerSpec(
        image=IMAGE,
        command=COMMAND,
        args=STEP + ["--step", "last", "--results-to", results],
    )


def configured(task, memory, timeout=None):
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
    if timeout:
        kubernetes.set_timeout(task, timeout)
    return task


@dsl.pipeline(name="count-each")
def count_each(
    items: list,
    text: str,
    top: int,
    rate: float,
    title: str,
    strict: bool,
    weights: list,
):
    parameters = dict(
        text=text,
        top=top,
        rate=rate,
        title=title,
        strict=strict,
        weights=weights,
    )
    with dsl.ParallelFor(items, parallelism=8) as item:
        configured(count(**parameters, item=item), memory="1280Mi", timeout=490)


@dsl.pipeline(name="all", description="Has \"all\" that a pipeline can have.")
def pipeline(
    text: str = "",
    top: int = 10,
    rate: float = 0.5,
    title: str = "It's {{ a }} $TITLE",
    strict: bool = False,
    weights: list = [0.5, 1.0],
):
    parameters = dict(
        text=text,
        top=top,
        rate=rate,
        title=title,
        strict=strict,
        weights=weights,
    )

    list_files_task = configured(list_files(**parameters), memory="1280Mi")

    count_list = configured(count_items(**parameters), memory="256Mi")
    count_list.after(list_files_task)
    count_task = count_each(items=count_list.outputs["results"], **parameters)
    count_task.set_caching_options(False)

    import_0_task = configured(import_(**parameters, item=0), memory="1280Mi", timeout=7260)
    import_0_task.set_display_name("import[0]")

    import_1_task = configured(import_(**parameters, item=1), memory="1280Mi", timeout=7260)
    import_1_task.set_display_name("import[1]")

    import_2_task = configured(import_(**parameters, item=2), memory="1280Mi", timeout=7260)
    import_2_task.set_display_name("import[2]")

    merge_all_task = configured(merge_all(**parameters), memory="3328Mi")
    merge_all_task.after(count_task, import_0_task, import_1_task, import_2_task)

    last_task = configured(last(**parameters), memory="1280Mi")
    last_task.after(merge_all_task)


if __name__ == "__main__":
    Client(namespace="ml").create_run_from_pipeline_func(
        pipeline,
        arguments={},
        namespace="ml",
        service_account="wharf",
    )
