from limitbench.studies.trainability.study import STUDY

__all__ = ["STUDY"]
