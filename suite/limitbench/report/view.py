"""What the templates say of one study: words, legends and tables, ready to print."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from limitbench.report import tables, words
from limitbench.report.provenance import provenance, repeat_command
from limitbench.report.results import Results
from limitbench.report.selectors import scored
from limitbench.report.style import HEAT_EDGES, VERDICTS, number, plain, theory_style
from limitbench.report.tables import Table
from limitbench.studies.references import REFERENCES, Reference, cited


@dataclass(frozen=True)
class Key:
    """Legend entry of a theory."""

    theory: str
    title: str
    css: str
    dashes: str
    mark: str
    formula: str


@dataclass
class StudyView:
    """Everything that the page says about one study.

    Attributes:
        results: what is shown.
        ident: prefix of its identifiers.
        timings: whether to say what differs between two runs of the same numbers: seconds, hosts, dates.
    """

    results: Results
    ident: str
    timings: bool = True

    @cached_property
    def headline(self) -> str:
        """The verdict in one sentence."""
        return words.headline(self.results)

    @cached_property
    def sentences(self) -> list[str]:
        """What follows the headline: the other theories, and each observable."""
        return words.verdict_sentences(self.results)[1:]

    @cached_property
    def along(self) -> list[str]:
        """What changes along the axes of the grid."""
        return words.along_sentences(self.results)

    @cached_property
    def facts(self) -> dict[str, object]:
        """Words of the study and the state of the run."""
        study = self.results.study
        return {
            "question": study.question if study else "",
            "reference": study.reference if study else "",
            "size": " ".join(filter(None, (words.size_sentence(self.results), words.sampling_sentence(self.results)))),
            "notice": words.completeness(self.results),
            "complete": words.complete(self.results),
        }

    @cached_property
    def keys(self) -> dict[str, Key]:
        """Legend by theory."""
        results = self.results
        known = {t.name: t.formula for t in results.study.theories} if results.study else {}
        titles, formulas = (
            [results.theory_title(t) for t in results.theories],
            [known.get(t, "") for t in results.theories],
        )
        return {key.theory: key for key in theory_keys(results.theories, titles, formulas)}

    @cached_property
    def margin(self) -> str:
        """Largest D at which a theory holds."""
        return plain(self.results.margin)

    @cached_property
    def heat(self) -> list[tuple[str, str]]:
        """Colour classes of D with their ranges."""
        edges = [number(edge * self.results.margin, 2) for edge in HEAT_EDGES]
        labels = [f"≤ {edges[0]}", *(f"{a} – {b}" for a, b in itertools.pairwise(edges)), f"> {edges[-1]}"]
        return [(f"h{k}", label) for k, label in enumerate(labels)]

    @cached_property
    def claims(self) -> list[tables.ClaimRow]:
        """The ledger, failures first."""
        return tables.ledger(self.results, self.ident)

    @cached_property
    def formula(self) -> str:
        """The network in one line of LaTeX; empty where the study has none."""
        return self.results.study.formula if self.results.study else ""

    @cached_property
    def formulas(self) -> list[Key]:
        """Theories that have a formula."""
        return [key for key in self.keys.values() if key.formula]

    @cached_property
    def claimed(self) -> str:
        """How many claims hold and fail."""
        return words.claims_sentence([row.verdict for row in self.claims])

    @cached_property
    def references(self) -> list[Reference]:
        """The papers of the study, then those of single claims."""
        own = cited(str(self.facts["reference"]))
        return [
            *own,
            *(
                REFERENCES[key]
                for key in dict.fromkeys(r.reference for r in self.claims)
                if key in REFERENCES and REFERENCES[key] not in own
            ),
        ]

    def cites(self, row: tables.ClaimRow) -> list[Reference]:
        """The paper behind one claim where it is not the study's."""
        return [entry for entry in self.references if entry.key == row.reference]

    @cached_property
    def tally(self) -> list[tuple[str, str, str, int]]:
        """Claims by verdict: verdict, mark, words, number."""
        found = [row.verdict for row in self.claims]
        return [(verdict, mark, word, found.count(verdict)) for verdict, (mark, word) in VERDICTS.items()]

    @cached_property
    def rankings(self) -> list[tuple[str, list[tables.RankRow]]]:
        """All observables together, then each."""
        results = self.results
        single = [(results.observable_title(o), tables.ranking(results, o)) for o in scored(results)]
        return single if len(single) <= 1 else [("all observables", tables.ranking(results)), *single]

    @cached_property
    def score_tables(self) -> list[Table]:
        """Every score in full."""
        return [tables.scores_table(self.results, o) for o in scored(self.results)]

    @cached_property
    def provenance(self) -> list[tuple[str, str]]:
        """Where the numbers come from."""
        return list(provenance(self.results, timings=self.timings))

    @cached_property
    def command(self) -> str:
        """The command that makes the run again."""
        return repeat_command(self.results)


def theory_keys(names: Sequence[str], titles: Sequence[str] = (), formulas: Sequence[str] = ()) -> list[Key]:
    """Legend entries of theories in report order; without titles, the looks alone."""
    found = []
    for k, (name, title, formula) in enumerate(itertools.zip_longest(names, titles, formulas, fillvalue="")):
        look = theory_style(k)
        dashes = "" if isinstance(look.dashes, str) else " ".join(f"{1.6 * d:g}" for d in look.dashes[1])
        found.append(Key(name, title, look.css, dashes, look.mark, formula))
    return found
