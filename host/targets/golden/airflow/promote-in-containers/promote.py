"""promote: Trains a model, and tags it `prod` where it beats the one that is.

Made by `wharf pipeline compile promote-in-containers.yaml --target airflow --stack prod`.
Change the pipeline, and make this anew. The pipeline itself is in the store: a task
needs that and `wharf`, and nothing else.
"""

import pendulum
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.cncf.kubernetes.secret import Secret
from airflow.sdk import DAG, CronTriggerTimetable, Param
from kubernetes.client import models as k8s


STEP = [
    "step", "exec",
    "--store", "s3://bucket/wharf",
    "--pipeline", "sha256:14c2556cd49e12d4253b85f69a8c4acd828a40c8336deed13ded154d924eabb4",
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
    dag_id="promote",
    description="Trains a model, and tags it `prod` where it beats the one that is.",
    schedule=CronTriggerTimetable("30 5 * * 1", timezone="Europe/Berlin"),
    start_date=pendulum.datetime(2000, 1, 1, tz="Europe/Berlin"),
    catchup=False,
    max_active_tasks=8,
    params={
        "epochs": Param(5, type="integer", description="How long to train"),
        "data": Param(
            None,
            type=["null", "string", "array"],
            description="An artifact (artifact:NAME); breast-cancer.csv by default",
        ),
    },
    default_args=DEFAULT_ARGS,
    tags=["wharf"],
):
    # Runs steps/split.wasm.
    split = KubernetesPodOperator(
        task_id="split",
        arguments=STEP + ["--step", "split"],
        container_resources=resources("1280Mi", cpu="500m"),
    )

    # Runs steps/train.wasm, and publishes cancer-model.
    train = KubernetesPodOperator(
        task_id="train",
        arguments=STEP + ["--step", "train"],
        container_resources=resources("1280Mi", cpu="500m"),
    )

    # Runs steps/compare.wasm.
    compare = KubernetesPodOperator(
        task_id="compare",
        arguments=STEP + ["--step", "compare"],
        container_resources=resources("1280Mi", cpu="500m"),
    )

    # Publishes cancer-model:prod.
    promote = KubernetesPodOperator(
        task_id="promote",
        arguments=STEP + ["--step", "promote"],
        container_resources=resources("1280Mi", cpu="500m"),
    )

    split >> train
    [split, train] >> compare
    [train, compare] >> promote
