"""regions

Made by `wharf pipeline compile regions.yaml --target airflow --stack local`.
Change the pipeline, and make this anew. The pipeline itself is in the store: a task
needs that and `wharf`, and nothing else.
"""

import json

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param


STEP = (
    "exec wharf step exec"
    " --store '/srv/wharf store'"
    " --pipeline sha256:64b8bd7bd9ee0da4cf466ce7b50434dafa0c7ef0f2e92f503b56112b74490b18"
    " --run-id \"$RUN_ID\""
    " --partition \"$PARTITION\""
)

DEFAULT_ARGS = {
    "env": {
        "RUN_ID": "{{ run_id }}",
        "PARTITION": "{{ params.partition or partition_key or '' }}",
    },
    "append_env": True,
    # What a step returns, which is the last line that it prints.
    "output_processor": json.loads,
    # The host decides whether a step runs, from all that came before it.
    "skip_on_exit_code": 99,
    "trigger_rule": "none_failed",
}


with DAG(
    dag_id="regions",
    schedule=None,
    params={
        "partition": Param(None, enum=[None, "north", "south"], description="The partition"),
    },
    default_args=DEFAULT_ARGS,
    tags=["wharf"],
):
    # Runs steps/count.wasm.
    count = BashOperator(
        task_id="count",
        bash_command=STEP + " --step count",
    )
