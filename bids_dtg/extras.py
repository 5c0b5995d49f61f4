"""Packages that only some of the work needs, and how to install them.

They are extras in `pyproject.toml`; `pip install .` brings none of them.
"""

from __future__ import annotations

import importlib.util

from bids_dtg.errors import SettingsError

# Extras by the packages that they bring, as Python imports these.
_EXTRA_OF = {
    "bids": "bids",
    "distributed": "cluster",
    "lightning": "train",
    "torch": "torch",
    "umap": "umap",
}


def install_line(extra: str) -> str:
    """Return what a user types to add an extra.

    Examples
    --------
    >>> install_line("train")
    "pip install '.[train]' in the copy of the repository"
    """
    return f"pip install '.[{extra}]' in the copy of the repository"


def require(purpose: str, *packages: str, extra: str, otherwise: str = "") -> None:
    """Check that packages are installed.

    Parameters
    ----------
    purpose
        What needs them: the beginning of the error's sentence.
    packages
        Their names, as Python imports them.
    extra
        Brings all of them.
    otherwise
        What can be done without them; empty: nothing.

    Raises
    ------
    SettingsError
        One is missing.

    Examples
    --------
    >>> require("a sum", "math", extra="train")
    """
    for name in packages:
        if importlib.util.find_spec(name) is None:
            raise SettingsError(
                f"{purpose} needs the package {name}, which is not installed",
                remedy=install_line(extra) + (f", or {otherwise}" if otherwise else ""),
            )


def missing_extra(err: ImportError) -> SettingsError | None:
    """Return the error for users where an import failed for want of an extra; else None.

    Examples
    --------
    >>> missing_extra(ModuleNotFoundError(name="bids_dtg.nothing")) is None
    True
    """
    name = (err.name or "").partition(".")[0]
    extra = _EXTRA_OF.get(name)
    if extra is None or importlib.util.find_spec(name) is not None:
        return None
    return SettingsError(
        f"this needs the package {name}, which is not installed", remedy=install_line(extra)
    )
