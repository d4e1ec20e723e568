"""The ledger of `mean-field-resnet`: what networks decide, then what long recurrences say about laws in depth."""

from __future__ import annotations

from limitbench.studies.base import Claim
from limitbench.studies.evidence import Evidence
from limitbench.studies.mean_field_resnet.claims import measured_claims
from limitbench.studies.mean_field_resnet.law_claims import law_claims


def ledger(evidence: Evidence) -> list[Claim]:
    """All claims."""
    return [*measured_claims(evidence), *law_claims(evidence)]
