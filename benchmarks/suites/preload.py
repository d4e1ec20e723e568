"""Imports what benchmarks use before asv forks a process for each: then an import inside `setup` costs nothing.

Benchmarks import limitbench inside functions, so that one whose part an older commit lacks fails there alone.
"""

from __future__ import annotations

import contextlib
import importlib
import pkgutil

import limitbench

for _package in ("numerics", "statistics", "networks", "theories", "studies"):
    for _module in pkgutil.walk_packages([f"{limitbench.__path__[0]}/{_package}"], f"limitbench.{_package}."):
        with contextlib.suppress(ImportError):
            importlib.import_module(_module.name)
