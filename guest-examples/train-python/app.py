"""Fits a classifier: the contract of the Rust step `train`, in Python.

The model has the same format, so that `evaluate` takes it. No package beyond
the standard library, so that nothing has to be compiled.
"""

import json
import math

import wit_world
from componentize_py_types import Err
from wit_world.imports import context, telemetry
from wit_world.imports.artifacts import Input, Output
from wit_world.imports.telemetry import Level

CHUNK = 1 << 20
DEFAULT_RATE = 0.1
LOSS_POINTS = 10

Row = tuple[list[float], float]


class WitWorld(wit_world.WitWorld):
    """The exports of the world."""

    def run(self, data: Input, model: Output, epochs: int, rate: float | None) -> wit_world.Scores:
        rate = DEFAULT_RATE if rate is None else rate
        if not (math.isfinite(rate) and rate > 0.0):
            raise Err(f"rate is {rate}; it must be above 0")
        features, rows = read_table(read_all(data))
        log("table read", rows=len(rows), features=len(features))
        means, scales = moments(rows, len(features))
        scaled = [(standardised(row, means, scales), label) for row, label in rows]
        weights, bias = fit(scaled, epochs, rate)
        log("model fitted", epochs=epochs)
        write_json(
            model,
            {
                "format": "logistic/1",
                "features": features,
                "means": means,
                "scales": scales,
                "weights": weights,
                "bias": bias,
            },
        )
        return scores(scaled, weights, bias)


def read_all(data: Input) -> str:
    chunks = []
    offset, size = 0, data.size()
    while offset < size:
        chunk = data.read(offset, CHUNK)
        chunks.append(chunk)
        offset += len(chunk)
    return b"".join(chunks).decode()


def read_table(text: str) -> tuple[list[str], list[Row]]:
    lines = text.splitlines()
    names = lines[0].split(",") if lines else []
    if len(names) < 2:
        raise Err("line 1: the header needs two columns or more")
    rows = [read_row(line, number, names) for number, line in enumerate(lines[1:], start=2)]
    if not rows:
        raise Err("the table has no rows")
    return names[:-1], rows


def read_row(line: str, number: int, names: list[str]) -> Row:
    cells = line.split(",")
    if len(cells) != len(names):
        raise Err(f"line {number}: {len(cells)} columns where the header has {len(names)}")
    values = [read_number(cell, number, name) for cell, name in zip(cells, names)]
    label = values.pop()
    if label not in (0.0, 1.0):
        raise Err(f"line {number}, column {names[-1]}: {label:g} is neither 0 nor 1")
    return values, label


def read_number(cell: str, line: int, column: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise Err(f'line {line}, column {column}: "{cell}" is not a number')
    return value


def moments(rows: list[Row], width: int) -> tuple[list[float], list[float]]:
    count = len(rows)
    means = [sum(row[i] for row, _ in rows) / count for i in range(width)]
    variances = [sum((row[i] - means[i]) ** 2 for row, _ in rows) / count for i in range(width)]
    # A feature that never changes says nothing; it must not divide by 0.
    return means, [math.sqrt(variance) or 1.0 for variance in variances]


def standardised(row: list[float], means: list[float], scales: list[float]) -> list[float]:
    return [(value - mean) / scale for value, mean, scale in zip(row, means, scales)]


def fit(rows: list[Row], epochs: int, rate: float) -> tuple[list[float], float]:
    width = len(rows[0][0])
    weights, bias = [0.0] * width, 0.0
    for epoch in range(1, epochs + 1):
        weights, bias, loss = descend(rows, weights, bias, rate)
        if not math.isfinite(loss):
            raise Err(f"the loss is {loss} after {epoch} epochs: the rate {rate} is too high")
        report(epoch, epochs, loss)
    return weights, bias


def descend(rows: list[Row], weights: list[float], bias: float, rate: float) -> tuple[list[float], float, float]:
    """One step down the gradient, and the mean loss before it."""
    count = len(rows)
    gradient = [0.0] * len(weights)
    bias_gradient = total = 0.0
    for row, label in rows:
        m = margin(row, weights, bias)
        total += loss_of(m, label)
        error = probability(m) - label
        gradient = [slope + error * value for slope, value in zip(gradient, row)]
        bias_gradient += error
    weights = [weight - rate * (slope + weight) / count for weight, slope in zip(weights, gradient)]
    return weights, bias - rate * bias_gradient / count, total / count


def scores(rows: list[Row], weights: list[float], bias: float) -> wit_world.Scores:
    margins = [(margin(row, weights, bias), label) for row, label in rows]
    right = sum((m > 0.0) == (label > 0.5) for m, label in margins)
    loss = sum(loss_of(m, label) for m, label in margins) / len(rows)
    return wit_world.Scores(right / len(rows), loss, len(rows))


def margin(row: list[float], weights: list[float], bias: float) -> float:
    return bias + sum(value * weight for value, weight in zip(row, weights))


def probability(m: float) -> float:
    """Written so that neither branch overflows."""
    return 1.0 / (1.0 + math.exp(-m)) if m >= 0.0 else math.exp(m) / (1.0 + math.exp(m))


def loss_of(m: float, label: float) -> float:
    signed = m if label > 0.5 else -m
    return max(-signed, 0.0) + math.log1p(math.exp(-abs(signed)))


def report(epoch: int, epochs: int, loss: float) -> None:
    if context.is_cancelled():
        raise Err(f"cancelled after {epoch} epochs")
    telemetry.progress(epoch, epochs, "epochs")
    if epoch == epochs or epoch % max(epochs // LOSS_POINTS, 1) == 0:
        telemetry.metric("loss", loss, epoch)


def write_json(output: Output, value: dict[str, object]) -> None:
    output.set_media_type("application/json")
    output.write((json.dumps(value, indent=2) + "\n").encode())


def log(message: str, **fields: int) -> None:
    telemetry.log(Level.INFO, message, [(name, str(value)) for name, value in fields.items()])
