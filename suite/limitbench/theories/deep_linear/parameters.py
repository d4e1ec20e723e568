"""Checks that the deep-linear theories share."""

from __future__ import annotations

from numbers import Integral

from limitbench.errors import InputError


def check_count(field: str, value: object) -> None:
    """Raise `InputError` unless `value` is a positive integer."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise InputError(field, value, "a positive integer")


def mixing_observables(outputs: int) -> tuple[str, ...]:
    """Observables of a D x D mixing matrix; one output has no off-diagonal entry."""
    coupling = ("q12",) if outputs > 1 else ()
    return ("log_q11", *coupling, "log_det", "log_lambda_min", "log_lambda_max")
