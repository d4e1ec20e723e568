"""What `limitbench predict` does: typed words to a description, answers to a table, sentences or JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from limitbench.advice.architecture import Architecture
from limitbench.advice.budget import QUANTITIES, Answer, Budget, Knob, knobs, within_budget
from limitbench.advice.describe import describe
from limitbench.advice.merging import PRECISIONS
from limitbench.advice.predict import Prediction, predict_network
from limitbench.advice.rows import Moments, Row
from limitbench.advice.words import answer_sentences, sentences
from limitbench.config import axis_value
from limitbench.errors import NOTHING, InputError
from limitbench.networks.checks import number

#: Options that hold words; the others hold numbers.
_WORDS = ("activation", "block")
#: What columns mean, where they are shown.
_LEGEND = {
    "1-ρ": "1-ρ: its median",
    "P(on)": "P(on): expected fraction of active units",
    "D norm": "D: distance to the law of the last theory that has one, over that law's sd",
}


def show(
    architecture: str,
    options: Mapping[str, Any],
    *,
    precision: str,
    gradient_budget: str | None,
    budget: str | None,
    vary: str | None,
    confirm: bool,
    as_json: bool,
) -> None:
    """Print what the theories say about one network, and where a budget is met; `InputError` names the option."""
    try:
        numbers = _numbers(options)
        if "depth" not in numbers:
            raise InputError("depth", NOTHING, "the number of hidden layers or residual blocks")
        network = describe(architecture, **numbers)
        if precision not in PRECISIONS:
            raise InputError("precision", precision, ", ".join(PRECISIONS))
        asked = _budget(network, budget, vary)
        ratio = None if gradient_budget is None else number("gradient_budget", axis_value(gradient_budget))
        found = predict_network(network, precision, ratio)
        answer = None if asked is None else within_budget(network, asked[0], asked[1], confirm=confirm)
    except InputError as error:
        field = error.field.replace("_", "-")
        raise InputError(field if field == "architecture" else f"--{field}", error.value, error.accepted) from None
    if as_json:
        print(json.dumps(record(found, answer), indent=2))
        return
    console = Console()
    console.print(f"[bold]{network.words}[/bold]: t = {found.time:.4g}, ρ0 = {network.rho0:g}\n", highlight=False)
    table = _table(found)
    console.print(table)
    legend = [_LEGEND[str(column.header)] for column in table.columns if column.header in _LEGEND]
    console.print("", f"Mean ± sd of each law; {'; '.join(legend)}.\n", sep="\n", highlight=False, markup=False)
    for note in _notes(found):
        console.print(note, style="dim", highlight=False, markup=False)
    console.print()
    for sentence in [*sentences(found), *([] if answer is None else answer_sentences(answer))]:
        console.print(sentence, highlight=False, markup=False)


def record(found: Prediction, answer: Answer | None = None) -> dict[str, Any]:
    """The answer as plain JSON: NaN and infinity as null."""
    plain: dict[str, Any] = {
        "network": {"kind": found.network.kind, **_fields(found.network)},
        "time": found.time,
        "death_probability": found.death_probability,
        "indistinguishable": None if found.merging is None else _fields(found.merging),
        "theories": [_row(row) for row in found.rows],
        "gradient": None if found.gradient is None else _fields(found.gradient),
        "blocks": None if found.blocks is None else _fields(found.blocks),
        "advice": sentences(found),
    }
    if answer is not None:
        kept = {name: value for name, value in _fields(answer).items() if name not in ("network", "confirmation")}
        plain["budget"] = kept | {
            "budget": _fields(answer.budget),
            "confirmation": None if answer.confirmation is None else _fields(answer.confirmation),
            "text": answer_sentences(answer),
        }
    cleaned: dict[str, Any] = _finite(plain)
    return cleaned


def _numbers(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as they were typed, with numbers as numbers and those that were not given left out."""
    found: dict[str, Any] = {}
    for name, value in options.items():
        if value is None:
            continue
        if name == "widths":
            found[name] = tuple(axis_value(part.strip()) for part in value.split(","))
        else:
            found[name] = value if isinstance(value, bool) or name in _WORDS else axis_value(value)
    return found


def _budget(network: Architecture, text: str | None, vary: str | None) -> tuple[Budget, Knob] | None:
    if text is None:
        if vary is not None:
            raise InputError("budget", NOTHING, "sd-log-norm=0.5, gap=0.01 or log-norm=0 with --vary")
        return None
    name, sign, value = text.partition("=")
    if not sign:
        raise InputError("budget", text, "QUANTITY=VALUE, for example sd-log-norm=0.5")
    budget = Budget(name.strip(), axis_value(value))
    fitting = knobs(network, budget.quantity)
    if not fitting:
        quantities = [name for name in QUANTITIES if knobs(network, name)]
        raise InputError("budget", budget.quantity, " or ".join(quantities) + ", which this network can be turned to")
    knob = next((name for name in fitting if name == vary), None)
    if knob is None:
        raise InputError("vary", NOTHING if vary is None else vary, " or ".join(fitting))
    return budget, knob


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def _row(row: Row) -> dict[str, Any]:
    plain = _fields(row)
    for name in ("log_norm", "correlation"):
        plain[name] = plain[name]._asdict()
    return plain


def _finite(value: Any) -> Any:
    """Without NaN and infinity, which JSON does not know."""
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _table(found: Prediction) -> Table:
    """One row a theory that applies, without the columns that none of them fills."""
    names = ("log-norm", "correlation", "1-ρ", "P(on)", "D norm", "D corr")
    rows = [row for row in found.rows if row.applies]
    cells = [
        (
            _pair(row.log_norm),
            _pair(row.correlation),
            *(_number(value) for value in (row.median_gap, row.active_fraction)),
            *(f"{row.error[name]:.3f}" if name in row.error else "" for name in ("log_norm", "correlation")),
        )
        for row in rows
    ]
    filled = [column for column in range(len(names)) if any(line[column] for line in cells)]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0)
    table.add_column("theory", min_width=5)
    for column in filled:
        table.add_column(names[column], no_wrap=not names[column].startswith("D"), min_width=5)
    for row, line in zip(rows, cells, strict=True):
        table.add_row(row.theory, *(line[column] for column in filled))
    return table


def _notes(found: Prediction) -> list[str]:
    """Where each theory is meant to hold and what is special about it here."""
    parts = ((row.theory, "; ".join(part for part in (row.note, row.error_order) if part)) for row in found.rows)
    return [f"{theory}: {text}" for theory, text in parts if text]


def _pair(moments: Moments) -> str:
    if math.isnan(moments.mean):
        return ""
    return _number(moments.mean) + (f" ± {moments.std:.{3 if moments.std >= 1 else 2}g}" if moments.std > 0 else "")


def _number(value: float) -> str:
    """Three digits; rounding noise is 0."""
    return "" if math.isnan(value) else "0" if abs(value) < 1e-14 else f"{value:.3g}"
