"""flights: Counts a month of flights by carrier.

Made by `wharf pipeline compile flights.yaml --target metaflow --stack local`.
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

from metaflow import FlowSpec, Parameter, current, resources, step


WHARF = "wharf"
COMMON = [
    "--store", "/srv/wharf store",
    "--pipeline", "sha256:426d0a263e05ec5a65583c4d1e0135c707beb40b0131d4f639e51fcb2b3ac0cb",
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


class FlightsFlow(FlowSpec):
    """Counts a month of flights by carrier."""

    partition = Parameter("partition", required=True, help="The month, such as 2013-01")
    flights = Parameter(
        "flights", type=str, help="An artifact (artifact:NAME); flights.csv by default"
    )

    @step
    def start(self):
        # Kept, so that a run that is resumed is the same run.
        self.run_options = ["--run-id", f"{current.flow_name}-{current.run_id}"]
        self.run_options += ["--partition", self.partition]
        chosen = {"flights": self.flights}
        self.run_options += given(chosen)
        self.next(self.summarise)

    # Runs steps/summarise.wasm, and publishes flights-of-a-month.
    @resources(memory=272)
    @step
    def summarise(self):
        execute(self, "summarise")
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    FlightsFlow()
