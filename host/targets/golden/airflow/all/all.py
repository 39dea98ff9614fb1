"""all: Has "all" that a pipeline can have.

Made by `wharf pipeline compile all.yaml --target airflow --stack local`.
Change the pipeline, and make this anew. The pipeline itself is in the store: a task
needs that and `wharf`, and nothing else.
"""

import json
import re
from datetime import timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param, RetryDecision, RetryPolicy


class OnlyWhatMayPass(RetryPolicy):
    """Fails at once where `wharf` says that trying again cannot help (1, 2)."""

    def evaluate(self, exception, try_number, max_tries, context=None):
        code = re.search(r"exit code (\d+)\.$", str(exception))
        if code and code[1] in ("1", "2"):
            return RetryDecision.fail()
        return RetryDecision.default()


STEP = (
    "exec wharf step exec"
    " --store '/srv/wharf store'"
    " --pipeline sha256:b877ab22a3aa0e196087411ae4c14676a763fc850de2057e3cbd1aabfdf64d15"
    " --run-id \"$RUN_ID\""
)

ITEMS = (
    "exec wharf step items"
    " --store '/srv/wharf store'"
    " --pipeline sha256:b877ab22a3aa0e196087411ae4c14676a763fc850de2057e3cbd1aabfdf64d15"
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
    dag_id="all",
    description="Has \"all\" that a pipeline can have.",
    schedule=None,
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
    list_files = BashOperator(
        task_id="list-files",
        bash_command=STEP + " --step list-files",
        retries=2,
        retry_delay=timedelta(seconds=1),
        retry_exponential_backoff=True,
        max_retry_delay=timedelta(minutes=1),
        retry_policy=OnlyWhatMayPass(),
    )

    count_items = BashOperator(
        task_id="count-items",
        bash_command=ITEMS + " --step count",
    )

    # Runs steps/count.wasm, once for each item.
    count = BashOperator.partial(
        task_id="count",
        retries=3,
        retry_delay=timedelta(seconds=10),
        retry_exponential_backoff=True,
        max_retry_delay=timedelta(minutes=5),
        retry_policy=OnlyWhatMayPass(),
        execution_timeout=timedelta(seconds=150),
    ).expand(
        bash_command=count_items.output.map(
            lambda item: STEP + f" --step count --item {item}"
        )
    )

    # Runs steps/count.wasm.
    import_0 = BashOperator(
        task_id="import-0",
        bash_command=STEP + " --step import --item 0",
        execution_timeout=timedelta(minutes=121),
    )

    # Runs steps/count.wasm.
    import_1 = BashOperator(
        task_id="import-1",
        bash_command=STEP + " --step import --item 1",
        execution_timeout=timedelta(minutes=121),
    )

    # Runs steps/count.wasm.
    import_2 = BashOperator(
        task_id="import-2",
        bash_command=STEP + " --step import --item 2",
        execution_timeout=timedelta(minutes=121),
    )

    # Runs steps/merge.wasm, and publishes all-counts.
    merge_all = BashOperator(
        task_id="merge-all",
        bash_command=STEP + " --step merge-all",
    )

    # Publishes all-counts:prod.
    last = BashOperator(
        task_id="last",
        bash_command=STEP + " --step last",
    )

    list_files >> count_items
    [count, import_0, import_1, import_2] >> merge_all
    merge_all >> last
