"""Optional packages, and how to install them.

They are extras in `pyproject.toml`; `pip install .` installs none of them.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import traceback
from pathlib import Path

from bids_dtg.errors import SettingsError

_PACKAGE = "bids-dtg"  # the program's name on the package index
# Import name of each optional package, and the extra that installs it.
_EXTRA_OF = {
    "bids": "bids",
    "distributed": "cluster",
    "lightning": "train",
    "torch": "torch",
    "umap": "umap",
}


def install_line(extra: str) -> str:
    """Return the command that installs an extra.

    A program that came from a package index has no copy of the repository.

    Examples
    --------
    >>> install_line("train").startswith("pip install")
    True
    """
    if _from_package_index():
        return f"pip install '{_PACKAGE}[{extra}]'"
    return f"pip install '.[{extra}]' in the copy of the repository"


def _from_package_index() -> bool:
    """Return whether an installer got the program by its name; else it noted an address."""
    try:
        package = importlib.metadata.distribution(_PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return False
    return package.read_text("direct_url.json") is None


def require(purpose: str, *packages: str, extra: str, otherwise: str = "") -> None:
    """Check that packages are installed.

    Parameters
    ----------
    purpose
        What needs them; the error message begins with it.
    packages
        Their import names.
    extra
        The extra that installs all of them.
    otherwise
        What the user can do without them; empty if nothing.

    Raises
    ------
    SettingsError
        A package is missing.

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
    """Return the error to show if an import failed because an extra is missing; else None.

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
        f"this needs the package {name}, which is not installed",
        remedy=install_line(extra),
    )


def broken_package(err: ImportError) -> SettingsError | None:
    """Return the error to show if a package other than this one cannot be imported; else None.

    Examples
    --------
    >>> broken_package(ImportError("no such thing", path="/host/numpy/__init__.py")) is None
    False
    >>> broken_package(ImportError("no such thing", path=__file__)) is None
    True
    """
    file = err.path or _last_file(err)
    if file is None or Path(file).is_relative_to(Path(__file__).parent):
        return None
    path = os.environ.get("PYTHONPATH")
    remedy = "install the program anew, in an environment of its own"
    if path:
        remedy = f"unset PYTHONPATH (it is {path}), or {remedy}"
    return SettingsError(
        f"{file} cannot be imported: {' '.join(str(err).split())}", remedy=remedy
    )


def _last_file(err: ImportError) -> str | None:
    """Return the file in which an error was raised."""
    frames = traceback.extract_tb(err.__traceback__)
    files = [frame.filename for frame in frames if not frame.filename.startswith("<")]
    return files[-1] if files else None
