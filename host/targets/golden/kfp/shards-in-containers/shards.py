"""shards: Counts "shards" of a region.

Made by `wharf pipeline compile shards-in-containers.yaml --target kfp --stack prod`.
Change the pipeline, and make this anew. The pipeline itself is in the store: a task
needs that and `wharf`, and nothing else.
"""

from kfp import Client, dsl, kubernetes


IMAGE = "registry.example.com/wharf:0.1.0"
COMMAND = ["wharf"]

STEP = [
    "step", "exec",
    "--store", "s3://bucket/wharf",
    "--pipeline", "sha256:1b0aabab456a15eaae9b018db768d05c69620f65a5f307b483c42658c75e28b6",
    "--run-id", dsl.PIPELINE_JOB_ID_PLACEHOLDER,
    "--executor-input", "{{$}}",
    "--skip-exit-code", "0",
    "--retries", "step",
]


@dsl.container_component
def split(
    text: str,
    top: int,
    title: str,
    strict: bool,
    weights: list,
    partition: str,
    train: dsl.Output[dsl.Artifact],
    test: dsl.Output[dsl.Artifact],
    results: dsl.OutputPath(str),
):
    """Runs steps/split.wasm."""
    return dsl.ContainerSpec(
        image=IMAGE,
        command=COMMAND,
        args=STEP + ["--step", "split", "--partition", partition, "--results-to", results],
    )


@dsl.container_component
def count(
    text: str,
    top: int,
    title: str,
    strict: bool,
    weights: list,
    partition: str,
    item: int,
    counts: dsl.Output[dsl.Artifact],
    results: dsl.OutputPath(str),
):
    """Runs steps/count.wasm."""
    return dsl.ContainerSpec(
        image=IMAGE,
        command=COMMAND,
        args=STEP + [
            "--step", "count",
            "--item", item,
            "--partition", partition,
            "--results-to", results,
        ],
    )


@dsl.container_component
def merge(
    text: str,
    top: int,
    title: str,
    strict: bool,
    weights: list,
    partition: str,
    table: dsl.Output[dsl.Artifact],
    results: dsl.OutputPath(str),
):
    """Runs steps/merge.wasm, and publishes all-shards."""
    return dsl.ContainerSpec(
        image=IMAGE,
        command=COMMAND,
        args=STEP + ["--step", "merge", "--partition", partition, "--results-to", results],
    )


@dsl.container_component
def last(
    text: str,
    top: int,
    title: str,
    strict: bool,
    weights: list,
    partition: str,
    results: dsl.OutputPath(str),
):
    """Publishes all-shards:prod."""
    return dsl.ContainerSpec(
        image=IMAGE,
        command=COMMAND,
        args=STEP + ["--step", "last", "--partition", partition, "--results-to", results],
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


@dsl.pipeline(name="shards", description="Counts \"shards\" of a region.")
def pipeline(
    text: str,
    partition: str,
    top: int = 10,
    title: str = "It's {{ a }} $TITLE",
    strict: bool = False,
    weights: list = [0.5, 1.0],
):
    parameters = dict(
        text=text,
        top=top,
        title=title,
        strict=strict,
        weights=weights,
        partition=partition,
    )

    split_task = configured(split(**parameters), memory="1280Mi", timeout=243)

    count_0_task = configured(count(**parameters, item=0), memory="1280Mi", timeout=490)
    count_0_task.set_display_name("count[0]")
    count_0_task.after(split_task)

    count_1_task = configured(count(**parameters, item=1), memory="1280Mi", timeout=490)
    count_1_task.set_display_name("count[1]")
    count_1_task.after(split_task)

    merge_task = configured(merge(**parameters), memory="3328Mi", timeout=7260)
    merge_task.after(count_0_task, count_1_task)

    last_task = configured(last(**parameters), memory="1280Mi")
    last_task.after(merge_task)


if __name__ == "__main__":
    Client(namespace="ml").create_run_from_pipeline_func(
        pipeline,
        arguments={"text": ..., "partition": ...},
        namespace="ml",
        service_account="wharf",
    )
