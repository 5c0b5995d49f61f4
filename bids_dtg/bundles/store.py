"""Where bundles are installed, the published ones, and how they are found and checked."""

from __future__ import annotations

import hashlib
import os
import stat
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bids_dtg.bundles.card import CARD_FILE, ModelCard, Part
from bids_dtg.bundles.kinds import all_kinds
from bids_dtg.bundles.training_hashes import PEOPLE_FILE
from bids_dtg.errors import MAKE_BUNDLE_AGAIN, BundleError, SettingsError, did_you_mean
from bids_dtg.files.foreign import as_text, read_bytes, reading, sha256_of_file
from bids_dtg.files.paths import expand_home
from bids_dtg.inputs.run import OF_PARCELS
from bids_dtg.workflows import all_workflows

if TYPE_CHECKING:
    from bids_dtg.files.download import PinnedFile

MODEL_DIR_VARIABLE = "DTG_MODEL_DIR"
_LISTED = f"${MODEL_DIR_VARIABLE}"  # origin of the folders that it lists
# Models of a container image, put there when it is built.
IMAGE_FOLDER = Path("/opt/dtg/models")
# The demo model is part of the package; it is used only if it is named.
PACKAGE_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class PublishedModel(ABC):
    """A model that can be fetched by name and becomes a bundle."""

    card: ModelCard[Any]  # of the bundle; the conversion adds facts from the files
    outputs: str  # what it predicts, with numbers, in a few words

    @property
    @abstractmethod
    def files(self) -> tuple[PinnedFile, ...]:
        """All files that the bundle is made from, small ones first."""

    @abstractmethod
    def convert(
        self,
        files: Mapping[PinnedFile, Path],
        folder: Path,
        note: Callable[[str], None],
    ) -> None:
        """Make the bundle in a folder from the fetched `files`; `note` is called with lines."""


def all_published() -> Mapping[str, PublishedModel]:
    """Return the published models of all workflows, by name."""
    models: dict[str, PublishedModel] = {}
    for row in all_workflows():
        models |= row.published()
    return models


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
    exists = bool(text) and _is_bundle(path)
    if installed is not None:
        if exists and not path.samefile(installed):
            _warn(text, installed, f"{path.absolute()}, which is ./{text}")
        return installed
    if exists:
        return path
    if not is_path:
        raise _unknown_name(text)
    refused: dict[Path, str] = {}
    with _noting(path, refused):
        (path / CARD_FILE).stat()
    unread = which_unreadable(refused).removeprefix("; ")
    raise BundleError(
        f"no model bundle: {unread or f'there is no {path / CARD_FILE}'}",
        expected=f"a bundle's folder, with its {CARD_FILE}",
        remedy="fetch one with dtg-models fetch, or make one with dtg-models convert",
    )


def read_card(folder: Path) -> tuple[ModelCard[Any], bytes]:
    """Return a bundle's card and the bytes of its file; BundleError if it is wrong."""
    path = folder / CARD_FILE
    with reading(path, BundleError):
        raw = read_bytes(path)
        text = as_text(raw, path)
    return ModelCard.from_json(text, str(path)), raw


def kind_of(name_or_path: str | Path) -> str:
    """Return the kind of a bundle; empty if it cannot be read, which loading it would report.

    Parameters
    ----------
    name_or_path
        As for `find_bundle`.
    """
    try:
        return read_card(find_bundle(name_or_path))[0].kind
    except BundleError:
        return ""


def read_verified_card(folder: Path, part: type[Part]) -> tuple[ModelCard[Part], str]:
    """Read a bundle's card, and compare all files with it.

    Returns
    -------
    The card, and the bundle's identity.

    Raises
    ------
    BundleError
        The card cannot be read or is of another kind, or a file is missing or has changed.
    """
    card, raw = read_card(folder)
    files = dict(card.files)
    # This file may be deleted before a bundle is published.
    if not (folder / PEOPLE_FILE).exists():
        files.pop(PEOPLE_FILE, None)
    card = replace(card, files=files)
    if not isinstance(card.part, part):
        kinds = all_kinds()
        wanted = next(kind for kind in kinds.values() if kind.bundle().PART is part)
        raise BundleError(
            f"{folder} is a model of kind {card.kind}",
            expected=f"one that predicts {wanted.predicts}",
            remedy=kinds[card.kind].remedy,
        )
    for name, digest in card.files.items():
        verify_file(folder / name, digest)
    return card, hashlib.sha256(raw).hexdigest()


def verify_file(path: Path, digest: str) -> None:
    """Refuse a file whose SHA-256 is not `digest` (hexadecimal).

    Raises
    ------
    BundleError
        The message names the file and both hashes.
    """
    with reading(path, BundleError):
        actual = sha256_of_file(path)
    if actual != digest:
        raise BundleError(
            f"{path} has changed: its SHA-256 is {actual}",
            expected=f"{digest} (model.json)",
            remedy=MAKE_BUNDLE_AGAIN,
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
    return [path for folder in model_folders() for path in _bundles_in(folder, {})]


def unreadable_folders(name: str = "") -> dict[Path, str]:
    """Return folders in which models may be but cannot be found, with what the system says.

    Parameters
    ----------
    name
        The model that is looked for; empty: any.

    Examples
    --------
    >>> unreadable_folders("demo")
    {}
    """
    folders = model_folders()
    # A folder that the user names is one on a drive that may not be mounted here.
    refused = {
        folder: "absent"
        for folder, origin in folders.items()
        if origin == _LISTED and not os.path.lexists(folder)
    }
    for folder in folders:
        _bundles_in(folder, refused)
    return {
        path: reason
        for path, reason in refused.items()
        if not name or path in folders or path.name == name
    }


def which_unreadable(refused: Mapping[Path, str]) -> str:
    """Name folders that cannot be read, to follow a sentence; empty if there are none.

    Examples
    --------
    >>> which_unreadable({Path("/lab/models"): "Permission denied"})
    '; cannot be read: /lab/models (Permission denied)'
    """
    folders = [f"{folder} ({reason})" for folder, reason in refused.items()]
    return f"; cannot be read: {', '.join(folders)}" if folders else ""


def _bundles_in(folder: Path, refused: dict[Path, str]) -> list[Path]:
    """List the bundles in a folder of models; add to `refused` what cannot be entered, and why."""
    if _is_bundle(folder):  # a model folder may itself be a single bundle
        return [folder]
    bundles = []
    with _noting(folder, refused):
        # Hidden folders are unfinished bundles.
        paths = sorted(folder.iterdir())
        for path in (path for path in paths if not path.name.startswith(".")):
            with _noting(path, refused):
                if stat.S_ISREG((path / CARD_FILE).stat().st_mode):
                    bundles.append(path)
    return bundles


@contextmanager
def _noting(folder: Path, refused: dict[Path, str]) -> Iterator[None]:
    """Add a folder that cannot be read to `refused`; one that is absent has nothing to read."""
    try:
        yield
    # ValueError: no file can have the name.
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return
    except OSError as err:
        refused[folder] = err.strerror or str(err)


def model_folders() -> dict[Path, str]:
    """Return the folders that are searched for models, in order, with their origins.

    These are `$DTG_MODEL_DIR`, image, user cache and package; they need not exist.
    """
    listed = os.environ.get(MODEL_DIR_VARIABLE, "").split(os.pathsep)
    folders = {_expanded(part): _LISTED for part in listed if part}
    folders[IMAGE_FOLDER] = "the image's models"
    return folders | {user_cache(): "the user's cache", PACKAGE_FOLDER: "the package"}


def user_cache() -> Path:
    """Return the user's own model folder (XDG base directories)."""
    caches = _expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return caches / "bids_dtg" / "models"


def _installed(text: str) -> Path | None:
    """Return the installed bundle of a name; None for a path, or where there is none."""
    models = () if _is_path(text) else installed_models()
    return next((folder for folder in models if folder.name == text), None)


def _warn(name: str, used: Path, unused: str) -> None:
    """Say which of two bundles with one name is used."""
    warnings.warn(f"the model {name} is {used.absolute()}, not {unused}", stacklevel=3)


def _is_bundle(path: Path) -> bool:
    """Return whether a folder has a card; False for an impossible name, e.g. a too long one."""
    return os.path.isfile(path / CARD_FILE)  # noqa: PTH113


def _is_path(text: str) -> bool:
    separators = (os.sep, os.altsep or os.sep)
    return text.startswith((".", "~")) or any(sign in text for sign in separators)


def _expanded(text: str) -> Path:
    return Path(os.path.expanduser(text))  # noqa: PTH111  # which leaves unknown users as they are


def _unknown_name(name: str) -> BundleError:
    names = list(dict.fromkeys(path.name for path in installed_models()))
    installed = f"; installed: {', '.join(names) or 'none'}"
    installed += which_unreadable(unreadable_folders(name))
    published = all_published()
    if name in published:
        return BundleError(
            f"no model called {name!r}{installed}", remedy=how_to_get(name)
        )
    folders = ", ".join(map(str, model_folders()))
    return BundleError(
        f"no model called {name!r} in {folders}{installed}",
        remedy=did_you_mean(name, [*names, *published])
        or "give a bundle's folder, or see dtg-models list",
    )
