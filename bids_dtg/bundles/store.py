"""Where model bundles are installed: found by name or path."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bids_dtg.bundles.card import CARD_FILE
from bids_dtg.bundles.kinds import all_published
from bids_dtg.errors import BundleError

MODEL_DIR_VARIABLE = "DTG_MODEL_DIR"
# Filled when a container image is built.
IMAGE_FOLDER = Path("/opt/dtg/models")
# The demo model is part of the package; it is used only where it is asked for by name.
PACKAGE_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class InstalledModel:
    """A bundle that can be asked for by name."""

    name: str  # name of its folder
    path: Path  # its folder, with a model.json in it
    shadowed_by: Path | None  # an earlier bundle of the same name, which is used instead


def find_bundle(name_or_path: str | Path, env: Mapping[str, str] | None = None) -> Path:
    """Find the folder of a bundle; what is in it is not looked at.

    A text with a path separator, or one that begins with `.` or `~`, is a path. A name is
    looked for in `model_folders`, in that order, then in the current folder: a folder that
    happens to be called `demo` does not replace the installed model.

    Parameters
    ----------
    name_or_path
        Name of an installed bundle, or a path.
    env
        Environment; that of the process if None.

    Raises
    ------
    BundleError
        If there is no such bundle: with the places looked in and the names found.
    TypeError
        If it is neither a text nor a path.
    """
    if not isinstance(name_or_path, str | os.PathLike):
        raise TypeError(
            f"a model is found by its name or its folder, not by a {type(name_or_path).__name__}; "
            "a bundle that is loaded can be used as it is"
        )
    text = os.fspath(name_or_path)
    path = _expanded(text)
    if isinstance(name_or_path, Path) or _is_path(text):
        if not _is_bundle(path):
            raise _no_bundle_at(path)
        return path
    installed = [model.path for model in installed_models(env) if model.name == text]
    if installed or (text and _is_bundle(path)):
        return installed[0] if installed else path
    raise _unknown_name(text, env)


def how_to_get(name: str) -> str:
    """Describe how to get a published model, with and without a network."""
    return (
        f"dtg-models fetch {name}; without a network here, fetch it elsewhere and copy its folder "
        "to the folder of models here; or try the program with --model demo, which is simulated "
        "and not for science"
    )


def is_installed(name: str, env: Mapping[str, str] | None = None) -> bool:
    """Return whether `find_bundle` finds a bundle by this name."""
    return any(model.name == name for model in installed_models(env)) or _is_bundle(Path(name))


def model_of_output(name: str, output: Path, env: Mapping[str, str] | None = None) -> Path | None:
    """Return the bundle that ``--analysis train`` has made in an output; None: there is none.

    Installed bundles and paths go first: what they name is not looked for in the output.

    Parameters
    ----------
    name
        Value of ``--model``: the value of ``--model-name`` when it was trained.
    output
        OUTPUT_DIR of the call.
    env
        Environment; that of the process if None.
    """
    if not name or _is_path(name) or is_installed(name, env):
        return None
    folder = output / "group" / f"model-{name}" / "bundle"
    return folder if _is_bundle(folder) else None


def installed_models(env: Mapping[str, str] | None = None) -> list[InstalledModel]:
    """List the bundles that can be asked for by name, in the order of the look-up."""
    first: dict[str, Path] = {}
    models = []
    for folder in model_folders(env):
        for path in _bundles_in(folder):
            models.append(InstalledModel(path.name, path, first.get(path.name)))
            first.setdefault(path.name, path)
    return models


def model_folders(env: Mapping[str, str] | None = None) -> dict[Path, str]:
    """Return why each folder of models is looked in, in that order; they need not exist.

    These are `$DTG_MODEL_DIR`, image, user cache and package.
    """
    env = os.environ if env is None else env
    listed = [part for part in env.get(MODEL_DIR_VARIABLE, "").split(os.pathsep) if part]
    folders = {_expanded(part): f"${MODEL_DIR_VARIABLE}" for part in listed}
    folders[IMAGE_FOLDER] = "the image's models"
    if (cache := user_cache(env)) is not None:
        folders[cache] = "the user's cache"
    return folders | {PACKAGE_FOLDER: "the package"}


def user_cache(env: Mapping[str, str]) -> Path | None:
    """Return the user's own model folder (XDG base directories); None without a home."""
    base = env.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):  # the XDG specification has relative ones ignored  # noqa: PTH117
        return Path(base) / "bids_dtg" / "models"
    home = env.get("HOME", "")
    return Path(home) / ".cache" / "bids_dtg" / "models" if home else None


def require_user_cache() -> Path:
    """Return the user's own model folder.

    Raises
    ------
    BundleError
        If the environment names none.
    """
    cache = user_cache(os.environ)
    if cache is None:
        raise BundleError(
            "there is no folder for models: neither HOME nor XDG_CACHE_HOME is set",
            remedy="set one of them, or name a folder",
        )
    return cache


def _bundles_in(folder: Path) -> list[Path]:
    """Return the bundles below a folder; a bundle given in place of one is the only one."""
    if _is_bundle(folder):
        return [folder]
    # Hidden folders are bundles half written.
    return [path.parent for path in sorted(folder.glob(f"[!.]*/{CARD_FILE}"))]


def _is_bundle(path: Path) -> bool:
    """Return whether a folder has a card; False for an impossible name, as one that is too long."""
    try:
        return (path / CARD_FILE).is_file()
    except (OSError, ValueError):
        return False


def _is_path(text: str) -> bool:
    separators = {os.sep, os.altsep or os.sep}
    return text.startswith((".", "~")) or any(separator in text for separator in separators)


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # no such user, or no home: then it is a folder of that name
        return Path(text)


def _no_bundle_at(path: Path) -> BundleError:
    # Of these, pathlib's raise where a name is too long for the system.
    found = f"{path} is a file" if os.path.isfile(path) else f"there is no {path}"  # noqa: PTH113
    if os.path.isdir(path):  # noqa: PTH112
        found = f"{path} has no {CARD_FILE}"
        inside = [card.parent for card in path.glob(f"*/{CARD_FILE}")]
        if len(inside) == 1:
            return BundleError(
                f"no model bundle: {found}", remedy=f"the bundle is inside it: {inside[0]}"
            )
    return BundleError(
        f"no model bundle: {found}",
        expected=f"a bundle's folder, with its {CARD_FILE}",
        remedy="fetch one with dtg-models fetch, or make one with dtg-models convert",
    )


def _unknown_name(name: str, env: Mapping[str, str] | None) -> BundleError:
    names = list(dict.fromkeys(model.name for model in installed_models(env)))
    places = ", ".join(f"{folder} ({origin})" for folder, origin in model_folders(env).items())
    published = all_published()
    near = difflib.get_close_matches(name, names) or difflib.get_close_matches(name, published)
    if name in published:
        remedy = how_to_get(name)
    elif near:
        remedy = f"did you mean {' or '.join(near)}? Else give a bundle's folder"
    else:
        remedy = "give a bundle's folder, or see dtg-models list"
    return BundleError(
        f"no model called {name!r}; looked in {places}; installed: {', '.join(names) or 'none'}",
        remedy=remedy,
    )
