"""Where model bundles are installed, and how they are found by name or path."""

from __future__ import annotations

import os
from pathlib import Path

from bids_dtg.bundles.card import CARD_FILE
from bids_dtg.bundles.kinds import all_published
from bids_dtg.errors import BundleError, did_you_mean

MODEL_DIR_VARIABLE = "DTG_MODEL_DIR"
# Models of a container image, put there when it is built.
IMAGE_FOLDER = Path("/opt/dtg/models")
# The demo model is part of the package; it is used only if it is named.
PACKAGE_FOLDER = Path(__file__).parent


def find_bundle(name_or_path: str | Path) -> Path:
    """Find the folder of a bundle, without reading its content.

    A text with a path separator, or one that begins with `.` or `~`, is a path. A name is
    searched in `model_folders`, in their order, and last in the current folder, so that a
    folder that happens to be called `demo` does not replace the installed model.

    Parameters
    ----------
    name_or_path
        Name of an installed bundle, or a path.

    Raises
    ------
    BundleError
        There is no such bundle; the message names the folders searched and the names found.
    """
    text = os.fspath(name_or_path)
    is_path = isinstance(name_or_path, Path) or _is_path(text)
    for installed in () if is_path else installed_models():
        if installed.name == text:
            return installed
    path = _expanded(text)
    if text and _is_bundle(path):
        return path
    if not is_path:
        raise _unknown_name(text)
    raise BundleError(
        f"no model bundle: there is no {path / CARD_FILE}",
        expected=f"a bundle's folder, with its {CARD_FILE}",
        remedy="fetch one with dtg-models fetch, or make one with dtg-models convert",
    )


def how_to_get(name: str) -> str:
    """Describe how to get a published model, with and without a network."""
    return (
        f"dtg-models fetch {name}; without a network, fetch it elsewhere and copy its folder into "
        "a folder that dtg-models list names; or try --model demo, which is simulated and not for "
        "science"
    )


def is_installed(name: str) -> bool:
    """Return whether `find_bundle` finds a bundle by this name."""
    return any(path.name == name for path in installed_models()) or _is_bundle(Path(name))


def model_of_output(name: str, output: Path) -> Path | None:
    """Return the bundle that ``--analysis train`` has made in an output; None if there is none.

    Installed bundles and paths have priority and are not searched for in the output.

    Parameters
    ----------
    name
        Value of ``--model``, i.e. of ``--model-name`` when the model was trained.
    output
        OUTPUT_DIR of the run.
    """
    if not name or _is_path(name) or is_installed(name):
        return None
    folder = output / "group" / f"model-{name}" / "bundle"
    return folder if _is_bundle(folder) else None


def installed_models() -> list[Path]:
    """List the bundles that can be used by name; the first one with a name is used."""
    found = []
    for folder in model_folders():
        # Hidden folders are unfinished bundles. A model folder may itself be a single bundle.
        below = [card.parent for card in sorted(folder.glob(f"[!.]*/{CARD_FILE}"))]
        found += [folder] if _is_bundle(folder) else below
    return found


def model_folders() -> dict[Path, str]:
    """Return the folders that are searched for models, in order, with their origins.

    These are `$DTG_MODEL_DIR`, image, user cache and package; they need not exist.
    """
    listed = os.environ.get(MODEL_DIR_VARIABLE, "").split(os.pathsep)
    folders = {_expanded(part): f"${MODEL_DIR_VARIABLE}" for part in listed if part}
    folders[IMAGE_FOLDER] = "the image's models"
    return folders | {user_cache(): "the user's cache", PACKAGE_FOLDER: "the package"}


def user_cache() -> Path:
    """Return the user's own model folder (XDG base directories)."""
    return _expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "bids_dtg" / "models"


def _is_bundle(path: Path) -> bool:
    """Return whether a folder has a card; False for an impossible name, e.g. a too long one."""
    return os.path.isfile(path / CARD_FILE)  # noqa: PTH113


def _is_path(text: str) -> bool:
    return text.startswith((".", "~")) or any(sign in text for sign in (os.sep, os.altsep) if sign)


def _expanded(text: str) -> Path:
    return Path(os.path.expanduser(text))  # noqa: PTH111  # which leaves unknown users as they are


def _unknown_name(name: str) -> BundleError:
    names = list(dict.fromkeys(path.name for path in installed_models()))
    installed, published = f"; installed: {', '.join(names) or 'none'}", all_published()
    if name in published:
        return BundleError(f"no model called {name!r}{installed}", remedy=how_to_get(name))
    places = ", ".join(map(str, model_folders()))
    return BundleError(
        f"no model called {name!r} in {places}{installed}",
        remedy=did_you_mean(name, [*names, *published])
        or "give a bundle's folder, or see dtg-models list",
    )
