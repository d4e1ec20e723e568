"""The answer of a whole page in words: how many claims hold and fail, and which theory describes which networks.

Every sentence, and every number in it, is computed from the scores and the ledgers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from limitbench.report.tables import ClaimRow
from limitbench.report.view import StudyView
from limitbench.report.words import claims_sentence, listing, standings


@dataclass(frozen=True)
class Named:
    """A claim with the study that it belongs to."""

    study: str
    row: ClaimRow


@dataclass(frozen=True)
class Answer:
    """What the studies of a page say together."""

    views: Sequence[StudyView]

    def claims(self, verdict: str) -> list[Named]:
        """The claims of one verdict, in the order of the studies."""
        return [Named(view.results.name, row) for view in self.views for row in view.claims if row.verdict == verdict]

    @property
    def undecided(self) -> list[tuple[StudyView, int]]:
        """Studies with undecided claims, and how many."""
        counted = [(view, sum(row.verdict == "undecided" for row in view.claims)) for view in self.views]
        return [(view, count) for view, count in counted if count]

    @cached_property
    def lead(self) -> str:
        """How many claims hold and fail."""
        return claims_sentence([row.verdict for view in self.views for row in view.claims], len(self.views))

    @cached_property
    def sentences(self) -> list[str]:
        """Which theory describes which networks, and the studies where none does."""
        best: dict[str, list[str]] = {}
        groups: dict[str, list[str]] = {"fails": [], "undecided": [], "": []}
        for view in self.views:
            results = view.results
            ranked = standings(results)
            if not ranked:
                groups[""].append(results.name)
                continue
            first = ranked[0]
            if first.holds > first.scored / 2:
                best.setdefault(results.theory_title(first.theory), []).append(results.name)
            else:
                groups["undecided" if first.undecided > first.fails else "fails"].append(results.name)
        said = []
        described = sum(len(names) for names in best.values())
        if described:
            parts = [f"{title} ({', '.join(names)})" for title, names in best.items()]
            where = f"In {described} of {len(self.views)} studies" if len(self.views) > 1 else "Here"
            said.append(f"{where} one theory holds in most of its scores: {'; '.join(parts)}.")
        if groups["fails"]:
            said.append(f"No theory holds in most scores of {listing(groups['fails'])}.")
        if groups["undecided"]:
            said.append(
                f"More scores are undecided than settled for the best theory of {listing(groups['undecided'])}."
            )
        if groups[""]:
            said.append(f"Without a score: {listing(groups[''])}.")
        return said
