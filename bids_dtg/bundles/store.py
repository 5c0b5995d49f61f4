"""Where model bundles are installed, and how they are found by name or path."""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from pathlib import Path

from bids_dtg.bundles.card import CARD_FILE, read_card
from bids_dtg.bundles.kinds import all_published
from bids_dtg.errors import BundleError, SettingsError, did_you_mean
from bids_dtg.files.paths import expand_home
from bids_dtg.inputs.run import OF_PARCELS

MODEL_DIR_VARIABLE = "DTG_MODEL_DIR"
# Models of a container image, put there when it is built.
IMAGE_FOLDER = Path("/opt/dtg/models")
# The demo model is part of the package; it is used only if it is named.
PACKAGE_FOLDER = Path(__file__).parent


def find_bundle(name_or_path: str | Path) -> Path:
    """Find the folder of a bundle, without reading its content.

    A text with a path separator, or one that begins with `.` or `~`, is a path. A name is
    searched in `model_folders`, in their order, and last in the current folder, so that a
    folder that happens to be called `demo` does not replace the installed model; a warning says
    which of the two is used.

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
    installed = None if is_path else _installed(text)
    path = _expanded(text)
    there = bool(text) and _is_bundle(path)
    if installed is not None:
        if there and not path.samefile(installed):
            _warn(text, installed, f"{path.absolute()}, which is ./{text}")
        return installed
    if there:
        return path
    if not is_path:
        raise _unknown_name(text)
    raise BundleError(
        f"no model bundle: there is no {path / CARD_FILE}",
        expected=f"a bundle's folder, with its {CARD_FILE}",
        remedy="fetch one with dtg-models fetch, or make one with dtg-models convert",
    )


def how_to_get(name: str) -> str:
    """Name the model that needs no download, and describe how to get a published one."""
    return (
        f"use --model {OF_PARCELS}, which comes with the program and predicts 47 task maps of 360 "
        f"parcels; or dtg-models fetch {name}; without a network, fetch it elsewhere and copy its "
        "folder into a folder that dtg-models list names"
    )


def is_installed(name: str) -> bool:
    """Return whether `find_bundle` finds a bundle by this name."""
    return _installed(name) is not None or _is_bundle(Path(name))


def whole_name(name_or_path: str) -> str:
    """Return the name of an installed bundle unchanged, and the path of another as absolute.

    Other texts, which `find_bundle` would refuse, are unchanged.
    """
    path = _expanded(name_or_path)
    if not name_or_path or _installed(name_or_path) is not None or not _is_bundle(path):
        return name_or_path
    return str(path.absolute())


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
    folder = output / "group" / f"model-{name}" / "bundle"
    if not name or _is_path(name) or not _is_bundle(folder):
        return None
    if is_installed(name):
        _warn(name, find_bundle(name), str(folder))
        return None
    return folder


def refuse_model_folder(output_dir: Path) -> None:
    """Refuse an OUTPUT_DIR that is the folder of a bundle, or lies in one.

    Raises
    ------
    SettingsError
        The message names both folders.
    """
    output = expand_home(output_dir, "OUTPUT_DIR").resolve()
    for folder in (output, *output.parents):
        if not _is_bundle(folder):
            continue
        with suppress(BundleError):  # another program's model.json
            read_card(folder)
            raise SettingsError(
                f"OUTPUT_DIR {output} is in {folder}, the folder of a model",
                expected="a folder outside it",
                remedy="choose another OUTPUT_DIR",
            )


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
    return (
        _expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
        / "bids_dtg"
        / "models"
    )


def _installed(text: str) -> Path | None:
    """Return the installed bundle of a name; None for a path, or where there is none."""
    models = () if _is_path(text) else installed_models()
    return next((folder for folder in models if folder.name == text), None)


def _warn(name: str, used: Path, other: str) -> None:
    """Say which of two bundles with one name is used."""
    warnings.warn(f"the model {name} is {used.absolute()}, not {other}", stacklevel=3)


def _is_bundle(path: Path) -> bool:
    """Return whether a folder has a card; False for an impossible name, e.g. a too long one."""
    return os.path.isfile(path / CARD_FILE)  # noqa: PTH113


def _is_path(text: str) -> bool:
    return text.startswith((".", "~")) or any(
        sign in text for sign in (os.sep, os.altsep) if sign
    )


def _expanded(text: str) -> Path:
    return Path(os.path.expanduser(text))  # noqa: PTH111  # which leaves unknown users as they are


def _unknown_name(name: str) -> BundleError:
    names = list(dict.fromkeys(path.name for path in installed_models()))
    installed, published = f"; installed: {', '.join(names) or 'none'}", all_published()
    if name in published:
        return BundleError(
            f"no model called {name!r}{installed}", remedy=how_to_get(name)
        )
    places = ", ".join(map(str, model_folders()))
    return BundleError(
        f"no model called {name!r} in {places}{installed}",
        remedy=did_you_mean(name, [*names, *published])
        or "give a bundle's folder, or see dtg-models list",
    )
