"""Looks at the columns of a sweep: how many blocks a cell has when it is scored, and at which level.

A column of fixed size is looked at once. One that is sampled until its verdicts are clear is looked at after 1, 2, 4,
... blocks, up to all of them; a cell whose verdicts are clear is drawn no further, while the others go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from limitbench.statistics.sequential import Looks
from limitbench.sweep.spec import LEVEL, Spec


@dataclass(frozen=True)
class ColumnLooks:
    """The looks at one column.

    Attributes:
        plan: sizes in blocks, and levels.
        sequential: whether a cell may stop before the last look.
    """

    plan: Looks
    sequential: bool

    @property
    def most(self) -> int:
        """Blocks of a cell that takes every look."""
        return self.plan.sizes[-1]

    def reach(self, looks: Sequence[int]) -> int:
        """Blocks that cells at these looks have together."""
        return max((self.plan.sizes[look] for look in looks), default=0)


def looks_of(spec: Spec, slug: str) -> ColumnLooks:
    """The looks at the column named `slug`."""
    size, most = spec.meaning.block_samples, spec.samples[slug]
    first = spec.first.get(slug)
    if first is None:
        return ColumnLooks(Looks((most // size,), (LEVEL,)), sequential=False)
    return ColumnLooks(Looks.plan(first // size, most // size, LEVEL), sequential=True)
