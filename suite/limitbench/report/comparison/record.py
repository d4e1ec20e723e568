"""A comparison as plain JSON: every change with its numbers, NaN as null."""

from __future__ import annotations

import math

from limitbench.report.comparison.compare import Comparison, StudyComparison
from limitbench.report.comparison.findings import Finding
from limitbench.report.comparison.words import lead, sentences


def record(found: Comparison) -> dict[str, object]:
    """Everything that `Comparison` holds; cells that did not change are counted, not listed."""
    return {
        "a": found.a,
        "b": found.b,
        "level": found.level,
        "tests": found.tests,
        "changed": found.changed,
        "identical": found.identical,
        "only_a": found.only_a,
        "only_b": found.only_b,
        "text": [lead(found), *sentences(found)],
        "studies": [_study(study, found.level) for study in found.studies],
    }


def _study(study: StudyComparison, level: float) -> dict[str, object]:
    turned = sorted(study.turned(level).items())
    return {
        "study": study.name,
        "differences": [dict(zip(("field", "a", "b"), row, strict=True)) for row in study.differences],
        "cells": study.cells,
        "cells_only_a": study.lacking[0],
        "cells_only_b": study.lacking[1],
        "only_a": study.only_a,
        "only_b": study.only_b,
        "compared": {kind: t.compared for kind, t in study.tallies.items()},
        "identical": {kind: t.identical for kind, t in study.tallies.items()},
        "untested": dict(study.untested),
        "verdicts_within_errors": [{"before": a, "after": b, "count": n} for (a, b), n in turned],
        "changes": [_change(f) for f in study.changes(level)],
        "notes": study.notes,
    }


def _change(f: Finding) -> dict[str, object]:
    return {
        "kind": f.kind,
        "subject": f.subject,
        "where": f.where.replace("\u00a0", " "),
        "before": f.before,
        "after": f.after,
        "difference": _finite(f.difference),
        "unit": f.unit,
        "allowed": _finite(f.allowed),
        "adjusted_pvalue": _finite(f.adjusted),
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
