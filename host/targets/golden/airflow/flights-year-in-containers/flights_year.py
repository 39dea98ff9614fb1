"""flights-year: Counts each month of a year, and makes one table of them.

Made by `wharf pipeline compile flights-year-in-containers.yaml --target airflow --stack prod`.
Change the pipeline, and make this anew. The pipeline itself is in the store: a task
needs that and `wharf`, and nothing else.
"""

import json

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.cncf.kubernetes.secret import Secret
from airflow.sdk import DAG, Param
from kubernetes.client import models as k8s


STEP = [
    "step", "exec",
    "--store", "s3://bucket/wharf",
    "--pipeline", "sha256:74345cbaf763c8945c7f3a6a39a17edff419a0b56154b249f327c679c3dcb1d3",
    "--run-id", "$(RUN_ID)",
]

ITEMS = [
    "step", "items",
    "--store", "s3://bucket/wharf",
    "--pipeline", "sha256:74345cbaf763c8945c7f3a6a39a17edff419a0b56154b249f327c679c3dcb1d3",
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
    dag_id="flights-year",
    description="Counts each month of a year, and makes one table of them.",
    schedule=None,
    max_active_tasks=8,
    params={
        "flights": Param(
            None,
            type=["null", "string", "array"],
            description="An artifact (artifact:NAME); flights.csv by default",
        ),
        "months": Param(
            ["2013-01", "2013-02", "2013-03", "2013-04", "2013-05", "2013-06", "2013-07", "2013-08", "2013-09", "2013-10", "2013-11", "2013-12"],
        ),
    },
    default_args=DEFAULT_ARGS,
    tags=["wharf"],
):
    summarise_items = KubernetesPodOperator(
        task_id="summarise-items",
        arguments=ITEMS + ["--step", "summarise"],
        do_xcom_push=True,
        container_resources=resources("256Mi"),
    )

    # Runs steps/summarise.wasm, once for each item.
    summarise = KubernetesPodOperator.partial(
        task_id="summarise",
        container_resources=resources("272Mi", cpu="500m"),
    ).expand(
        arguments=summarise_items.output.map(
            lambda item: STEP + ["--step", "summarise", "--item", str(item)]
        )
    )

    # Runs steps/merge.wasm, and publishes flights-of-a-year.
    merge = KubernetesPodOperator(
        task_id="merge",
        arguments=STEP + ["--step", "merge"],
        container_resources=resources("1280Mi", cpu="500m"),
    )

    summarise >> merge
