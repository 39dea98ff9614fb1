"""flights: Counts a month of flights by carrier.

Made by `wharf pipeline compile flights-by-schedule.yaml --target airflow --stack prod`.
Change the pipeline, and make this anew. The pipeline itself is in the store: a task
needs that and `wharf`, and nothing else.
"""

import pendulum
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.cncf.kubernetes.secret import Secret
from airflow.sdk import DAG, CronPartitionTimetable, Param
from kubernetes.client import models as k8s


STEP = [
    "step", "exec",
    "--store", "s3://bucket/wharf",
    "--pipeline", "sha256:426d0a263e05ec5a65583c4d1e0135c707beb40b0131d4f639e51fcb2b3ac0cb",
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
        "WHARF_PARAMETERS": "{{ {'flights': params['flights']} | tojson | replace('$', '$$') }}",
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
    dag_id="flights",
    description="Counts a month of flights by carrier.",
    schedule=CronPartitionTimetable(
        "0 6 1 * *", timezone="Europe/Berlin", run_offset=-1, key_format="%Y-%m"
    ),
    start_date=pendulum.datetime(2000, 1, 1, tz="Europe/Berlin"),
    catchup=False,
    max_active_tasks=8,
    params={
        "flights": Param(
            None,
            type=["null", "string", "array"],
            description="An artifact (artifact:NAME); flights.csv by default",
        ),
        "partition": Param(None, type=["null", "string"], description="The month, such as 2013-01"),
    },
    default_args=DEFAULT_ARGS,
    tags=["wharf"],
):
    # Runs steps/summarise.wasm, and publishes flights-of-a-month.
    summarise = KubernetesPodOperator(
        task_id="summarise",
        arguments=STEP + ["--step", "summarise"],
        container_resources=resources("272Mi", cpu="500m"),
    )
