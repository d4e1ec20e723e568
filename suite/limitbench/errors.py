"""What ends a command: a value that cannot be accepted, or a run that something outside it stopped."""

from __future__ import annotations


class InputError(ValueError):
    """A field holds a value that cannot be accepted; the message is one line, fit for a terminal.

    Arguments:
        field: name of the field as the user wrote it, for example ``rho0`` or ``--set width``.
        value: the value seen.
        accepted: what would be accepted, for example ``a number in [-1, 1]``.

    The command line prints ``str(error)`` and exits with code 2.
    """

    def __init__(self, field: str, value: object, accepted: str) -> None:
        self.field, self.value, self.accepted = field, value, accepted
        super().__init__(" ".join(f"{field}: got {value!r}, expected {accepted}".split()))

    def __reduce__(self) -> tuple[type, tuple[str, object, str]]:
        return type(self), (self.field, self.value, self.accepted)


class _Nothing:
    def __repr__(self) -> str:
        return "nothing"


#: The value of a field that was left out, for messages: `got nothing, expected ...`.
NOTHING = _Nothing()


class Stopped(RuntimeError):
    """A run that cannot go on for a reason outside its blocks; finished blocks are kept, the same command resumes.

    The message is one line, fit for a terminal; the command line prints it and exits with code 3.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(" ".join(reason.split()))


class StoreError(Stopped):
    """The store cannot be read or written: disk full, read-only, no permission, server out of reach."""


class ClusterError(Stopped):
    """The Ray cluster is gone, or none of its workers starts."""
