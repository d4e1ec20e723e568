"""What is compared with what: the same quantity of the same networks, or the same steps of the same equation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Contender:
    """One program with its settings.

    Arguments:
        label: its name in tables.
        environment: where it runs; None is limitbench's own.
        program, task: file in `programs/` and what is asked of it.
        extra: settings beside the comparison's.
    """

    label: str
    environment: str | None
    program: str
    task: str
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def ours(self) -> bool:
        """Whether this is limitbench."""
        return self.environment is None


@dataclass(frozen=True)
class Comparison:
    """One row of figures: contenders that make the same thing.

    Arguments:
        name: short, unique.
        group: what is drawn; the comparisons of a group differ in size.
        title: for people.
        unit: what is counted, in the singular.
        settings: those of every contender.
        contenders: ours first.
        law: settings that replace these where laws are compared: a size at which the two could be told apart.
        counts: how many values of ours and of each peer enter the comparison of laws.
    """

    name: str
    group: str
    title: str
    unit: str
    settings: dict[str, Any]
    contenders: tuple[Contender, ...]
    law: dict[str, Any]
    counts: tuple[int, int]


def _ours(task: str) -> tuple[Contender, ...]:
    return tuple(
        Contender(f"limitbench, {name}", None, "exact", task, {"generator": name}) for name in ("torch", "vsl")
    )


def _dense(task: str) -> Contender:
    return Contender("dense torch", "dense-torch", "dense", task)


def _forward(width: int) -> Comparison:
    return Comparison(
        f"forward-{width}",
        "forward",
        f"correlation and norm, shaped ReLU, depth = width = {width}",
        "network",
        {"width": width, "depth": width},
        (*_ours("forward"), _dense("forward")),
        {"width": 16, "depth": 16},
        (1 << 16, 1 << 13),
    )


def _tangent(width: int) -> Comparison:
    return Comparison(
        f"tangent-{width}",
        "tangent",
        f"NTK (forward and backward), shaped ReLU, depth = width = {width}",
        "network",
        {"width": width, "depth": width, "rate": 0.5},
        (*_ours("tangent"), _dense("tangent")),
        {"width": 16, "depth": 16, "rate": 0.5},
        (1 << 16, 1 << 12),
    )


_NEURAL_TANGENTS = tuple(
    Contender(
        f"neural-tangents, {words}",
        "neural-tangents",
        "neural_tangents_kernel",
        "tangent",
        {"samples": 4, "form": form},
    )
    for form, words in (("default", "default"), ("structured", "best settings"))
)

COMPARISONS = (
    *map(_forward, (64, 256, 1024)),
    *map(_tangent, (64, 256, 1024)),
    Comparison(
        "neural-tangents",
        "neural-tangents",
        "NTK, ReLU, width 256, depth 64",
        "network",
        {"width": 256, "depth": 64},
        (
            *(Contender(c.label, None, c.program, c.task, c.extra | {"rate": None}) for c in _ours("tangent")),
            Contender("dense torch", "dense-torch", "dense", "tangent", {"rate": None}),
            *_NEURAL_TANGENTS,
        ),
        {"width": 8, "depth": 4},
        (1 << 16, 1 << 12),
    ),
    Comparison(
        "correlation-sde",
        "correlation-sde",
        "Euler's steps of the correlation SDE, 100 a path",
        "path-step",
        {"steps": 100},
        (
            *(Contender(c.label, None, c.program, c.task, c.extra | {"paths": 1 << 17}) for c in _ours("paths")),
            *(
                Contender(f"diffrax, {words}", "diffrax", "diffrax_paths", "paths", {"form": form, "paths": 1 << 14})
                for form, words in (("each", "vmap over paths"), ("together", "paths in one state"))
            ),
            *(
                Contender(f"torchsde, {words}", "torchsde", "torchsde_paths", "paths", {"form": form, "paths": 1 << 18})
                for form, words in (("default", "default noise"), ("stepwise", "noise that knows the step"))
            ),
        ),
        {},
        (1 << 17, 1 << 17),
    ),
)
