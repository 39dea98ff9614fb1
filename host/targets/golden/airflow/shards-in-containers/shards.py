"""shards: Counts "shards" of a region.

Made by `wharf pipeline compile shards-in-containers.yaml --target airflow --stack prod`.
Change the pipeline, and make this anew. The pipeline itself is in the store: a task
needs that and `wharf`, and nothing else.
"""

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
    "--pipeline", "sha256:1b0aabab456a15eaae9b018db768d05c69620f65a5f307b483c42658c75e28b6",
    "--run-id", "$(RUN_ID)",
    "--partition", "$(PARTITION)",
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
        "PARTITION": "{{ params.partition or partition_key or '' }}",
        "WHARF_PARAMETERS": "{{ {'text': params['text'], 'top': params['top'], 'title': params['title'], 'strict': params['strict'], 'weights': params['weights']} | tojson | replace('$', '$$') }}",
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
    dag_id="shards",
    description="Counts \"shards\" of a region.",
    schedule=None,
    max_active_tasks=8,
    params={
        "text": Param(type=["string", "array"], description="What is read"),
        "top": Param(10, type="integer", description="How many words: the \"top\" ones"),
        "title": Param("It's {{ a }} $TITLE", type="string"),
        "strict": Param(False, type="boolean"),
        "weights": Param([0.5, 1.0]),
        "partition": Param(None, enum=[None, "north", "south"], description="The partition"),
    },
    default_args=DEFAULT_ARGS,
    tags=["wharf"],
):
    # Runs steps/split.wasm.
    split = KubernetesPodOperator(
        task_id="split",
        arguments=STEP + ["--step", "split"],
        container_resources=resources("1280Mi", cpu="500m"),
        retries=2,
        retry_delay=timedelta(seconds=1),
        retry_exponential_backoff=True,
        max_retry_delay=timedelta(minutes=1),
        retry_policy=OnlyWhatMayPass(),
        execution_timeout=timedelta(minutes=2),
    )

    # Runs steps/count.wasm.
    count_0 = KubernetesPodOperator(
        task_id="count-0",
        arguments=STEP + ["--step", "count", "--item", "0"],
        container_resources=resources("1280Mi", cpu="500m"),
        retries=3,
        retry_delay=timedelta(seconds=10),
        retry_exponential_backoff=True,
        max_retry_delay=timedelta(minutes=5),
        retry_policy=OnlyWhatMayPass(),
        execution_timeout=timedelta(seconds=150),
    )

    # Runs steps/count.wasm.
    count_1 = KubernetesPodOperator(
        task_id="count-1",
        arguments=STEP + ["--step", "count", "--item", "1"],
        container_resources=resources("1280Mi", cpu="500m"),
        retries=3,
        retry_delay=timedelta(seconds=10),
        retry_exponential_backoff=True,
        max_retry_delay=timedelta(minutes=5),
        retry_policy=OnlyWhatMayPass(),
        execution_timeout=timedelta(seconds=150),
    )

    # Runs steps/merge.wasm, and publishes all-shards.
    merge = KubernetesPodOperator(
        task_id="merge",
        arguments=STEP + ["--step", "merge"],
        container_resources=resources("3328Mi", cpu="500m"),
        execution_timeout=timedelta(minutes=121),
    )

    # Publishes all-shards:prod.
    last = KubernetesPodOperator(
        task_id="last",
        arguments=STEP + ["--step", "last"],
        container_resources=resources("1280Mi", cpu="500m"),
    )

    split >> count_0
    split >> count_1
    [count_0, count_1] >> merge
    merge >> last
