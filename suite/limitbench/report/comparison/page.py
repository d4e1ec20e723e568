"""The comparison as one self-contained page."""

from __future__ import annotations

from markupsafe import Markup

from limitbench.report import shell
from limitbench.report.comparison.compare import Comparison
from limitbench.report.comparison.words import groups, lead, sentences, study_sentences

#: A study lists this many changed cells one by one; the rest are in `--json`.
MOST_ROWS = 200


def comparison_page(found: Comparison) -> str:
    """The page as text: the answer, then every study with what differs, what was compared, and what changed."""
    studies = [
        {
            "study": study,
            "sentences": study_sentences(study, found.level),
            "groups": groups(study, found.level),
            "changes": study.changes(found.level),
        }
        for study in found.studies
    ]
    environment = shell.environment()
    return environment.get_template("comparison.html").render(
        css=Markup(shell.style_sheet() + environment.get_template("site.css").render()),
        found=found,
        lead=lead(found),
        sentences=sentences(found),
        studies=studies,
        most=MOST_ROWS,
    )
