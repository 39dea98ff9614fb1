"""flights: Counts a month of flights by carrier.

Made by `wharf pipeline compile flights.yaml --target airflow --stack local`.
Change the pipeline, and make this anew. The pipeline itself is in the store: a task
needs that and `wharf`, and nothing else.
"""

import json

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param


STEP = (
    "exec wharf step exec"
    " --store '/srv/wharf store'"
    " --pipeline sha256:426d0a263e05ec5a65583c4d1e0135c707beb40b0131d4f639e51fcb2b3ac0cb"
    " --run-id \"$RUN_ID\""
    " --partition \"$PARTITION\""
)

DEFAULT_ARGS = {
    "env": {
        "RUN_ID": "{{ run_id }}",
        "PARTITION": "{{ params.partition or partition_key or '' }}",
        "WHARF_PARAMETERS": "{{ {'flights': params['flights']} | tojson }}",
    },
    "append_env": True,
    # What a step returns, which is the last line that it prints.
    "output_processor": json.loads,
    # The host decides whether a step runs, from all that came before it.
    "skip_on_exit_code": 99,
    "trigger_rule": "none_failed",
}


with DAG(
    dag_id="flights",
    description="Counts a month of flights by carrier.",
    schedule=None,
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
    summarise = BashOperator(
        task_id="summarise",
        bash_command=STEP + " --step summarise",
    )
