"""flights-year: Counts each month of a year, and makes one table of them.

Made by `wharf pipeline compile flights-year.yaml --target metaflow --stack local`.
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

from metaflow import FlowSpec, JSONType, Parameter, current, resources, step


WHARF = "wharf"
COMMON = [
    "--store", "/srv/wharf store",
    "--pipeline", "sha256:74345cbaf763c8945c7f3a6a39a17edff419a0b56154b249f327c679c3dcb1d3",
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


class FlightsYearFlow(FlowSpec):
    """Counts each month of a year, and makes one table of them."""

    flights = Parameter(
        "flights", type=str, help="An artifact (artifact:NAME); flights.csv by default"
    )
    months = Parameter(
        "months",
        type=JSONType,
        default="[\"2013-01\",\"2013-02\",\"2013-03\",\"2013-04\",\"2013-05\",\"2013-06\",\"2013-07\",\"2013-08\",\"2013-09\",\"2013-10\",\"2013-11\",\"2013-12\"]",
    )

    @step
    def start(self):
        # Kept, so that a run that is resumed is the same run.
        self.run_options = ["--run-id", f"{current.flow_name}-{current.run_id}"]
        chosen = {"flights": self.flights, "months": self.months}
        self.run_options += given(chosen)
        self.next(self.summarise_items)

    @step
    def summarise_items(self):
        self.items = items(self, "summarise")
        self.next(self.summarise, foreach="items")

    # Runs steps/summarise.wasm, once for each item.
    @resources(memory=272)
    @step
    def summarise(self):
        # Nothing, where there are no items.
        if self.input is not None:
            execute(self, "summarise", item=self.input)
        self.next(self.summarise_join)

    @step
    def summarise_join(self, inputs):
        self.merge_artifacts(inputs, include=["run_options"])
        self.next(self.merge)

    # Runs steps/merge.wasm, and publishes flights-of-a-year.
    @resources(memory=1280)
    @step
    def merge(self):
        execute(self, "merge")
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    FlightsYearFlow()
