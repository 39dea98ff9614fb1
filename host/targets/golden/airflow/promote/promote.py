"""promote: Trains a model, and tags it `prod` where it beats the one that is.

Made by `wharf pipeline compile promote.yaml --target airflow --stack local`.
Change the pipeline, and make this anew. The pipeline itself is in the store: a task
needs that and `wharf`, and nothing else.
"""

import json

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param


STEP = (
    "exec wharf step exec"
    " --store '/srv/wharf store'"
    " --pipeline sha256:14c2556cd49e12d4253b85f69a8c4acd828a40c8336deed13ded154d924eabb4"
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
    dag_id="promote",
    description="Trains a model, and tags it `prod` where it beats the one that is.",
    schedule=None,
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
    split = BashOperator(
        task_id="split",
        bash_command=STEP + " --step split",
    )

    # Runs steps/train.wasm, and publishes cancer-model.
    train = BashOperator(
        task_id="train",
        bash_command=STEP + " --step train",
    )

    # Runs steps/compare.wasm.
    compare = BashOperator(
        task_id="compare",
        bash_command=STEP + " --step compare",
    )

    # Publishes cancer-model:prod.
    promote = BashOperator(
        task_id="promote",
        bash_command=STEP + " --step promote",
    )

    split >> train
    [split, train] >> compare
    [train, compare] >> promote
