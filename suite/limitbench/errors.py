"""What ends a command: a value that cannot be accepted, or a run that something outside it stopped."""

from __future__ import annotations

import reprlib


def one_line(text: object, most: int = 4000) -> str:
    """`text` fit for one line of a terminal: white space collapsed, control characters as escapes, not too long."""
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(str(text).split()))
    return line if len(line) <= most else f"{line[: most // 2]} ... {line[-most // 2 :]}"


class _Shown(reprlib.Repr):
    """Like `repr`, but it never takes long: big and deeply nested values are cut short."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 400
        self.maxlong = 60
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = 20

    def repr_int(self, x: int, level: int) -> str:
        """Python itself writes no integer of more than some thousand digits."""
        return super().repr_int(x, level) if x.bit_length() < 10_000 else f"an integer of {x.bit_length()} bits"


_repr = _Shown().repr


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
        shown = one_line(_repr(value), 500)
        super().__init__(one_line(f"{one_line(field, 300)}: got {shown}, expected {accepted}"))

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
        super().__init__(one_line(reason))


class StoreError(Stopped):
    """The store cannot be read or written: disk full, read-only, no permission, server out of reach."""


class ClusterError(Stopped):
    """The Ray cluster is gone, or none of its workers starts."""
