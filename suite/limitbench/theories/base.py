"""The interface of a theory: parameters in, the law of an observable out."""

from __future__ import annotations

import abc
import dataclasses
from typing import ClassVar

from limitbench.display import facts
from limitbench.errors import InputError
from limitbench.statistics.laws import Law


class Theory(abc.ABC):
    """A prediction for the law of one or more observables.

    Implementations are frozen dataclasses of the numbers that their formula needs (a time, slopes, a correlation, a
    width where the theory has a finite-size correction), independent of any network class.
    """

    #: Short identifier, for example `covariance-sde`.
    name: ClassVar[str]
    #: A few words for headings.
    title: ClassVar[str]
    #: arXiv id and the result it comes from.
    reference: ClassVar[str]
    #: Time variable, for example `t = l/n`.
    time_variable: ClassVar[str]
    #: Where it is meant to hold, in words.
    validity: ClassVar[str]

    @property
    @abc.abstractmethod
    def observables(self) -> tuple[str, ...]:
        """Names of the observables that this theory says something about at these parameters."""

    @abc.abstractmethod
    def _law(self, observable: str) -> Law: ...

    def law(self, observable: str) -> Law:
        """The law of `observable`; raises `InputError` where the theory says nothing about it."""
        if observable not in self.observables:
            raise InputError("observable", observable, "one of " + ", ".join(self.observables))
        return self._law(observable)

    def _repr_html_(self) -> str:
        """What it predicts, where it holds and its parameters, for notebooks."""
        words = ("reference", "time_variable", "validity")
        rows = [(word.replace("_", " "), getattr(self, word, "")) for word in words]
        names: list[str] = [field.name for field in dataclasses.fields(self)] if dataclasses.is_dataclass(self) else []
        parameters = [(name, getattr(self, name)) for name in names]
        heading = getattr(self, "title", type(self).__name__)
        return facts(heading, [*rows, ("observables", self.observables), *parameters])
