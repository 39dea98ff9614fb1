"""all: Has "all" that a pipeline can have.

Made by `wharf pipeline compile all.yaml --target metaflow --stack local`.
Change the pipeline, and make this anew. The pipeline itself is in the store: a task
needs that and `wharf`, and nothing else.
"""

import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from metaflow import FlowSpec, JSONType, Parameter, current, resources, retry, step, timeout


WHARF = "wharf"
COMMON = [
    "--store", "/srv/wharf store",
    "--pipeline", "sha256:b877ab22a3aa0e196087411ae4c14676a763fc850de2057e3cbd1aabfdf64d15",
]


def given(chosen):
    """What was chosen, as arguments."""
    chosen = {name: "" if value is None else value for name, value in chosen.items()}
    text = {name: it if isinstance(it, str) else json.dumps(it) for name, it in chosen.items()}
    return [f"{name}={value}" for name, value in text.items()]


def wharf(command, step, *options):
    """Runs `wharf`, and returns the code that it ended with."""
    # Where this task is stopped, so is the step.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    command = [WHARF, "step", command, *COMMON, "--step", step, *options]
    with subprocess.Popen(command) as process:
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            raise


def execute(flow, step, item=None, retries=None, backoff=0, max_backoff=0):
    """Runs a step, or an item of it, and keeps how it ended as artifacts."""
    if current.retry_count > 0:
        time.sleep(min(backoff * 2 ** (current.retry_count - 1), max_backoff))
    options = [*flow.run_options, "--attempt", str(current.retry_count + 1)]
    if item is not None:
        options += ["--item", str(item)]
    if retries is not None:
        options += ["--retries", retries]
    with tempfile.TemporaryDirectory() as folder:
        ending = Path(folder, "ending.json")
        options += ["--skip-exit-code", "0", "--ending-to", str(ending)]
        code = wharf("exec", step, *options)
        ended = json.loads(ending.read_text()) if ending.exists() else {}
    if code in (1, 2):
        # Trying again cannot help, which is what this code tells Metaflow.
        raise SystemExit(202)
    if code != 0:
        raise RuntimeError(ended.get("message") or f"wharf ended with {code}")
    flow.status = ended["status"]
    flow.results = ended["results"]
    flow.outputs = ended["outputs"]
    flow.published = ended["published"]


def items(flow, step):
    """The items of a step; where there are none, one that is nothing."""
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder, "items.json")
        options = ["--skip-exit-code", "0", "--results-to", str(listed)]
        if wharf("items", step, *flow.run_options, *options) != 0:
            raise RuntimeError(f"the items of {step} are not known")
        return json.loads(listed.read_text()) or [None]


class AllFlow(FlowSpec):
    """Has "all" that a pipeline can have."""

    text = Parameter("text", type=str, help="What is read")
    top = Parameter("top", type=int, default=10, help="How many words: the \"top\" ones")
    rate = Parameter("rate", type=float, default=0.5)
    title = Parameter("title", type=str, default="It's {{ a }} $TITLE")
    strict = Parameter("strict", type=bool, default=False)
    weights = Parameter("weights", type=JSONType, default="[0.5,1.0]")

    @step
    def start(self):
        # Kept, so that a run that is resumed is the same run.
        self.run_options = ["--run-id", f"{current.flow_name}-{current.run_id}"]
        chosen = {
            "text": self.text,
            "top": self.top,
            "rate": self.rate,
            "title": self.title,
            "strict": self.strict,
            "weights": self.weights,
        }
        self.run_options += given(chosen)
        self.next(self.list_files, self.import__items)

    # Runs steps/list.wasm.
    @retry(times=2, minutes_between_retries=0)
    @resources(memory=1280)
    @step
    def list_files(self):
        execute(self, "list-files", backoff=1, max_backoff=60)
        self.next(self.join_1)

    @step
    def import__items(self):
        self.items = list(range(3))
        self.next(self.import_, foreach="items")

    # Runs steps/count.wasm, once for each item.
    @timeout(seconds=7260)
    @resources(memory=1280)
    @step
    def import_(self):
        execute(self, "import", item=self.input)
        self.next(self.import__join)

    @step
    def import__join(self, inputs):
        self.merge_artifacts(inputs, include=["run_options"])
        self.next(self.join_1)

    @step
    def join_1(self, inputs):
        self.merge_artifacts(inputs, include=["run_options"])
        self.next(self.count_items)

    @step
    def count_items(self):
        self.items = items(self, "count")
        self.next(self.count, foreach="items")

    # Runs steps/count.wasm, once for each item.
    @retry(times=3, minutes_between_retries=0)
    @timeout(seconds=190)
    @resources(memory=1280)
    @step
    def count(self):
        # Nothing, where there are no items.
        if self.input is not None:
            execute(self, "count", item=self.input, backoff=10, max_backoff=300)
        self.next(self.count_join)

    @step
    def count_join(self, inputs):
        self.merge_artifacts(inputs, include=["run_options"])
        self.next(self.merge_all)

    # Runs steps/merge.wasm, and publishes all-counts.
    @resources(memory=3328)
    @step
    def merge_all(self):
        execute(self, "merge-all")
        self.next(self.last)

    # Publishes all-counts:prod.
    @resources(memory=1280)
    @step
    def last(self):
        execute(self, "last")
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    AllFlow()
