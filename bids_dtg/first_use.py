"""Public names of a package, whose modules are imported when a name is first used (PEP 562)."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def at_first_use(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package that imports the module of a public name.

    Parameters
    ----------
    package
        Name of the package.
    modules
        The module of each public name, relative to the package.

    Examples
    --------
    >>> at_first_use("bids_dtg", {"counted": "notices"})("counted")(2, "run")
    '2 runs'
    """

    def public_name(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{modules[name]}"), name)

    return public_name
