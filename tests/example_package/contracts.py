"""The contracts of limitbench, inherited: `pytest` in this directory checks network, theory, law and study."""

import pytest
from limitbench.testing.laws import LawContract
from limitbench.testing.networks import NetworkContract
from limitbench.testing.studies import StudyContract
from limitbench.testing.theories import TheoryContract

from gated_linear import STUDY, GatedLimit, GatedLinear


class TestNetwork(NetworkContract):
    @pytest.fixture
    def network(self):
        return GatedLinear(8, 64)


class TestTheory(TheoryContract):
    theories = (GatedLimit(0.5), GatedLimit(2.0, keep=0.8))


class TestLaw(LawContract):
    def make_law(self):
        return GatedLimit(1.0).law("log_norm")


class TestStudy(StudyContract):
    study = STUDY
