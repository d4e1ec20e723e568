"""A starting file for a study of one's own: complete, commented, and running as it stands."""

from __future__ import annotations

import keyword
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from string import Template

from limitbench.errors import InputError

TEMPLATE = Path(__file__).with_name("study.py.txt")
ACCEPTED = (
    "lower-case words and numbers with hyphens between, a letter first, no word of Python's own, for example "
    "wide-resnet, at most 40 letters"
)


def write_study(name: str, directory: str | Path = ".") -> Path:
    """Write the starting file of a study called `name` into `directory` (made where it is missing); its path.

    The file is NAME.py with underscores for hyphens. Raises `InputError` where the name is not accepted or taken by a
    study or network family that is installed, the file is there, or the directory cannot be written; then nothing has
    changed.
    """
    from limitbench import networks, studies

    module = name.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or len(name) > 40 or keyword.iskeyword(module):
        raise InputError("NAME", name, ACCEPTED)
    if name in studies.known() or name in networks.families():
        raise InputError("NAME", name, "a name that no study or network family has, see `limitbench list`")
    words = [word.capitalize() for word in name.split("-")]
    text = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        name=name,
        file=f"{module}.py",
        title=" ".join([words[0], *(word.lower() for word in words[1:])]),
        network="".join(words) + "Network",
        theory="".join(words) + "Theory",
    )
    path = Path(directory) / f"{module}.py"
    try:
        if path.exists():
            raise InputError("--out", str(path), "a place without such a file: it is never overwritten")
        if module in sys.stdlib_module_names or module in packages_distributions():  # would be hidden by the file
            raise InputError("NAME", name, f"a name that no Python module has: {path.name} would hide that of {module}")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except InputError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError("--out", str(directory), f"a directory that can be written ({reason})") from None
    return path
