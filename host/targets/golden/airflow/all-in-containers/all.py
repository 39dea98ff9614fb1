"""all: Has "all" that a pipeline can have.

Made by `wharf pipeline compile all-in-containers.yaml --target airflow --stack prod`.
Change the pipeline, and make this anew. The pipeline itself is in the store: a task
needs that and `wharf`, and nothing else.
"""

import json
import re
from datetime import timedelta

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.cncf.kubernetes.secret import Secret
from airflow.sdk import DAG, Param, RetryDecision, RetryPolicy
from kubernetes.client import models as k8s


class OnlyWhatMayPass(RetryPolicy):
    """Fails at once where `wharf` says that trying again cannot help (1, 2)."""

    def evaluate(self, exception, try_number, max_tries, context=None):
        code = re.search(r"'exit_code': (\d+)", str(exception))
        if code and code[1] in ("1", "2"):
            return RetryDecision.fail()
        return RetryDecision.default()


STEP = [
    "step", "exec",
    "--store", "s3://bucket/wharf",
    "--pipeline", "sha256:b877ab22a3aa0e196087411ae4c14676a763fc850de2057e3cbd1aabfdf64d15",
    "--run-id", "$(RUN_ID)",
]

ITEMS = [
    "step", "items",
    "--store", "s3://bucket/wharf",
    "--pipeline", "sha256:b877ab22a3aa0e196087411ae4c14676a763fc850de2057e3cbd1aabfdf64d15",
    "--run-id", "$(RUN_ID)",
]

DEFAULT_ARGS = {
    "image": "registry.example.com/wharf:0.1.0",
    "cmds": ["wharf"],
    "namespace": "ml",
    "service_account_name": "wharf",
    "node_selector": {"pool": "batch"},
    "env_vars": {
        "AWS_REGION": "eu-central-1",
        "RUN_ID": "{{ run_id }}",
        "WHARF_PARAMETERS": "{{ params | tojson | replace('$', '$$') }}",
        "AIRFLOW_CTX_DAG_ID": "{{ dag.dag_id }}",
        "AIRFLOW_CTX_TASK_ID": "{{ task.task_id }}",
        "AIRFLOW_CTX_DAG_RUN_ID": "{{ run_id }}",
        "AIRFLOW_CTX_TRY_NUMBER": "{{ ti.try_number }}",
    },
    "secrets": [
        Secret("env", "AWS_SECRET_ACCESS_KEY", "wharf-store", "AWS_SECRET_ACCESS_KEY"),
    ],
    "container_security_context": k8s.V1SecurityContext(
        run_as_non_root=True,
        read_only_root_filesystem=True,
        allow_privilege_escalation=False,
        capabilities=k8s.V1Capabilities(drop=["ALL"]),
    ),
    "volumes": [k8s.V1Volume(name="tmp", empty_dir=k8s.V1EmptyDirVolumeSource())],
    "volume_mounts": [k8s.V1VolumeMount(name="tmp", mount_path="/tmp")],
    # The host decides whether a step runs, from all that came before it.
    "skip_on_exit_code": 99,
    "trigger_rule": "none_failed",
}


def resources(memory, cpu=None):
    requests = {"memory": memory} if cpu is None else {"memory": memory, "cpu": cpu}
    return k8s.V1ResourceRequirements(requests=requests, limits={"memory": memory})


with DAG(
    dag_id="all",
    description="Has \"all\" that a pipeline can have.",
    schedule=None,
    max_active_tasks=8,
    params={
        "text": Param(None, type=["null", "string", "array"], description="What is read"),
        "top": Param(10, type="integer", description="How many words: the \"top\" ones"),
        "rate": Param(0.5, type="number"),
        "title": Param("It's {{ a }} $TITLE", type="string"),
        "strict": Param(False, type="boolean"),
        "weights": Param([0.5, 1.0]),
    },
    default_args=DEFAULT_ARGS,
    tags=["wharf"],
):
    # Runs steps/list.wasm.
    list_files = KubernetesPodOperator(
        task_id="list-files",
        arguments=STEP + ["--step", "list-files"],
        container_resources=resources("1280Mi", cpu="500m"),
        retries=2,
        retry_delay=timedelta(seconds=1),
        retry_exponential_backoff=True,
        max_retry_delay=timedelta(minutes=1),
        retry_policy=OnlyWhatMayPass(),
    )

    count_items = KubernetesPodOperator(
        task_id="count-items",
        arguments=ITEMS + ["--step", "count"],
        do_xcom_push=True,
        container_resources=resources("256Mi"),
    )

    # Runs steps/count.wasm, once for each item.
    count = KubernetesPodOperator.partial(
        task_id="count",
        container_resources=resources("1280Mi", cpu="500m"),
        retries=3,
        retry_delay=timedelta(seconds=10),
        retry_exponential_backoff=True,
        max_retry_delay=timedelta(minutes=5),
        retry_policy=OnlyWhatMayPass(),
        execution_timeout=timedelta(seconds=150),
    ).expand(
        arguments=count_items.output.map(
            lambda item: STEP + ["--step", "count", "--item", str(item)]
        )
    )

    # Runs steps/count.wasm.
    import_0 = KubernetesPodOperator(
        task_id="import-0",
        arguments=STEP + ["--step", "import", "--item", "0"],
        container_resources=resources("1280Mi", cpu="500m"),
        execution_timeout=timedelta(minutes=121),
    )

    # Runs steps/count.wasm.
    import_1 = KubernetesPodOperator(
        task_id="import-1",
        arguments=STEP + ["--step", "import", "--item", "1"],
        container_resources=resources("1280Mi", cpu="500m"),
        execution_timeout=timedelta(minutes=121),
    )

    # Runs steps/count.wasm.
    import_2 = KubernetesPodOperator(
        task_id="import-2",
        arguments=STEP + ["--step", "import", "--item", "2"],
        container_resources=resources("1280Mi", cpu="500m"),
        execution_timeout=timedelta(minutes=121),
    )

    # Runs steps/merge.wasm, and publishes all-counts.
    merge_all = KubernetesPodOperator(
        task_id="merge-all",
        arguments=STEP + ["--step", "merge-all"],
        container_resources=resources("3328Mi", cpu="500m"),
    )

    # Publishes all-counts:prod.
    last = KubernetesPodOperator(
        task_id="last",
        arguments=STEP + ["--step", "last"],
        container_resources=resources("1280Mi", cpu="500m"),
    )

    list_files >> count_items
    [count, import_0, import_1, import_2] >> merge_all
    merge_all >> last
