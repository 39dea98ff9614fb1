"""flights-year: Counts each month of a year, and makes one table of them.

Made by `wharf pipeline compile flights-year.yaml --target airflow --stack local`.
Change the pipeline, and make this anew. The pipeline itself is in the store: a task
needs that and `wharf`, and nothing else.
"""

import json

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param


STEP = (
    "exec wharf step exec"
    " --store '/srv/wharf store'"
    " --pipeline sha256:74345cbaf763c8945c7f3a6a39a17edff419a0b56154b249f327c679c3dcb1d3"
    " --run-id \"$RUN_ID\""
)

ITEMS = (
    "exec wharf step items"
    " --store '/srv/wharf store'"
    " --pipeline sha256:74345cbaf763c8945c7f3a6a39a17edff419a0b56154b249f327c679c3dcb1d3"
    " --run-id \"$RUN_ID\""
)

DEFAULT_ARGS = {
    "env": {
        "RUN_ID": "{{ run_id }}",
        "WHARF_PARAMETERS": "{{ params | tojson }}",
    },
    "append_env": True,
    # What a step returns, which is the last line that it prints.
    "output_processor": json.loads,
    # The host decides whether a step runs, from all that came before it.
    "skip_on_exit_code": 99,
    "trigger_rule": "none_failed",
}


with DAG(
    dag_id="flights-year",
    description="Counts each month of a year, and makes one table of them.",
    schedule=None,
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
    summarise_items = BashOperator(
        task_id="summarise-items",
        bash_command=ITEMS + " --step summarise",
    )

    # Runs steps/summarise.wasm, once for each item.
    summarise = BashOperator.partial(
        task_id="summarise",
    ).expand(
        bash_command=summarise_items.output.map(
            lambda item: STEP + f" --step summarise --item {item}"
        )
    )

    # Runs steps/merge.wasm, and publishes flights-of-a-year.
    merge = BashOperator(
        task_id="merge",
        bash_command=STEP + " --step merge",
    )

    summarise >> merge
