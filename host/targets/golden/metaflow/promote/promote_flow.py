"""promote: Trains a model, and tags it `prod` where it beats the one that is.

Made by `wharf pipeline compile promote.yaml --target metaflow --stack local`.
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
    "--pipeline", "sha256:14c2556cd49e12d4253b85f69a8c4acd828a40c8336deed13ded154d924eabb4",
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


class PromoteFlow(FlowSpec):
    """Trains a model, and tags it `prod` where it beats the one that is."""

    epochs = Parameter("epochs", type=int, default=5, help="How long to train")
    data = Parameter(
        "data", type=str, help="An artifact (artifact:NAME); breast-cancer.csv by default"
    )

    @step
    def start(self):
        # Kept, so that a run that is resumed is the same run.
        self.run_options = ["--run-id", f"{current.flow_name}-{current.run_id}"]
        chosen = {"epochs": self.epochs, "data": self.data}
        self.run_options += given(chosen)
        self.next(self.split)

    # Runs steps/split.wasm.
    @resources(memory=1280)
    @step
    def split(self):
        execute(self, "split")
        self.next(self.train)

    # Runs steps/train.wasm, and publishes cancer-model.
    @resources(memory=1280)
    @step
    def train(self):
        execute(self, "train")
        self.next(self.compare)

    # Runs steps/compare.wasm.
    @resources(memory=1280)
    @step
    def compare(self):
        execute(self, "compare")
        self.next(self.promote)

    # Publishes cancer-model:prod.
    @resources(memory=1280)
    @step
    def promote(self):
        execute(self, "promote")
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    PromoteFlow()
