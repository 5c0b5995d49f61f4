"""TemplateFlow's folder on this machine: transforms between templates, their images, atlases."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bids_dtg.errors import DownloadError, OutputError, RunError, SettingsError
from bids_dtg.files.download import (
    OFFLINE_VARIABLE,
    PinnedFile,
    download_folder,
    download_hosts,
    obtain_file,
)
from bids_dtg.files.foreign import is_pointer, matching
from bids_dtg.progress import Board

ADDRESS = "https://templateflow.s3.amazonaws.com"
# Transforms that may be downloaded, by their place in the folder: one row a file. Those of atlases
# stand with their names in `inputs/atlases.toml`.
PINNED: Mapping[str, PinnedFile] = {
    file.location: file
    for file in (
        PinnedFile(
            "tpl-MNI152NLin6Asym/tpl-MNI152NLin6Asym_from-MNI152NLin2009cAsym_mode-image_xfm.h5",
            "md5:b7130989291ddb85642e19940aaec4c1",
            size=204_735_104,
        ),
        PinnedFile(
            "tpl-MNI152NLin2009cAsym/"
            "tpl-MNI152NLin2009cAsym_from-MNI152NLin6Asym_mode-image_xfm.h5",
            "md5:1f9b29f2d5cb898cc97243fe92ee9304",
            size=204_735_104,
        ),
    )
}
# Templates that TemplateFlow has transforms from, by the template that they lead to (skeleton of
# January 2026).
_PUBLISHED = {
    "MNI152NLin6Asym": re.compile(r"MNI152NLin2009cAsym|MNIInfant\+\d+"),
    "MNI152NLin2009cAsym": re.compile(r"MNI152NLin6Asym"),
}


class TransformMissingError(RunError):
    """A transform between templates is not in TemplateFlow's folder, but can be fetched."""


class TransformPlannedError(TransformMissingError):
    """It would be fetched, if this were no plan."""


class NotFetchedError(SettingsError):
    """A file may be fetched and cannot be: nobody who needs it can be worked on."""


# What could not be fetched, and when (seconds): a process asks for it again after a while only, so
# that not each of a thousand participants waits for a network that is not there.
_NOT_FETCHED: dict[Path, tuple[float, NotFetchedError]] = {}
_ASK_AGAIN_SECONDS = 600.0


@dataclass(frozen=True)
class TemplateFlow:
    """A folder as TemplateFlow keeps it, and whether what is missing may be downloaded."""

    home: Path | None  # absolute; it need not exist. None: no variable names it, nor a home
    download: bool = False  # fetch what is missing
    plans: bool = False  # report what would be fetched, and fetch nothing
    address: str = ADDRESS  # where it is fetched from

    @classmethod
    def here(
        cls,
        *,
        download: bool = False,
        plans: bool = False,
        environment: Mapping[str, str] = os.environ,
    ) -> TemplateFlow:
        """Find the folder as the package templateflow does: TEMPLATEFLOW_HOME, or the cache."""
        home = environment.get("TEMPLATEFLOW_HOME")
        return cls(Path(home).absolute() if home else _cache(environment), download, plans)

    def transform(self, to: str, origin: str) -> Path:
        """Find the transform that resamples images of one template to another.

        Parameters
        ----------
        to
            Template that images are resampled to: the file maps its points.
        origin
            Template that images come from, its cohort after a `+`.

        Raises
        ------
        TransformMissingError
            It is not there, and nothing may be downloaded, or not this one, or this is a plan.
        NotFetchedError
            It may be downloaded, and cannot be.
        RunError
            TemplateFlow has none.
        """
        relative = f"tpl-{to}/tpl-{to}_from-{origin}_mode-image_xfm.h5"
        path = self._path(relative, f"TemplateFlow's transform from {origin} to {to}")
        if has_content(path):
            return path
        if to not in _PUBLISHED or not _PUBLISHED[to].fullmatch(origin):
            raise RunError(
                f"{path} is not there, and TemplateFlow is not known to have it",
                remedy=f"fmriprep --output-spaces {to}:res-2, or put such a transform there",
            )
        pinned = PINNED.get(relative)
        size = f" ({pinned.size / 1e6:.0f} MB)" if pinned and pinned.size else ""
        missing = f"{path} is not there: TemplateFlow's transform from {origin} to {to}{size}"
        if pinned is None:
            raise TransformMissingError(
                f"{missing}, which the program does not download: it has no digest of it",
                remedy=f"{self._by_hand(path)}, or fetch it with the package templateflow",
            )
        if why := self._why_not_fetched():
            raise TransformMissingError(missing, remedy=f"{self._by_hand(path)} ({why})")
        if self.plans:
            raise TransformPlannedError(missing)
        self._fetch(pinned, path)
        return path

    def atlas(self, pinned: PinnedFile) -> Path:
        """Find the image of an atlas, or fetch it where that is allowed.

        Parameters
        ----------
        pinned
            Its place in the folder, with the digest that a download must have.

        Raises
        ------
        RunError
            It is not there and may not be downloaded.
        NotFetchedError
            It may be downloaded, and cannot be.
        """
        path = self._path(pinned.location, f"TemplateFlow's {pinned.name}")
        if not has_content(path):
            why = self._why_not_fetched() or self.plans * "a call without --dry-run fetches it"
            if why:
                raise RunError(
                    f"{path} is {'empty' if path.exists() else 'not there'}",
                    remedy=f"{self._by_hand(path)} ({why})",
                )
            self._fetch(pinned, path)
        return path

    def list_atlases(self, space: str) -> list[Path]:
        """List the label images in a template's folder.

        Nothing is fetched. Files without content, as TemplateFlow's client leaves them, are listed.

        Parameters
        ----------
        space
            TemplateFlow's name of the template.
        """
        if self.home is None:
            return []
        folder = self.home / f"tpl-{space}"
        return sorted(
            path for end in (".nii.gz", ".nii") for path in matching(folder, f"**/tpl-*_dseg{end}")
        )

    def _path(self, relative: str, what: str) -> Path:
        """Return where a file of the folder is, or would be."""
        if self.home is None:
            raise RunError(
                f"{what} is needed, and there is no folder for it: no home folder is known",
                remedy=f"set TEMPLATEFLOW_HOME to a folder that has, or may receive, {relative}",
            )
        return self.home / relative

    def _by_hand(self, path: Path) -> str:
        assert self.home is not None
        url = f"{self.address}/{path.relative_to(self.home).as_posix().replace('+', '%2B')}"
        return f"curl -fL --create-dirs -o '{path}' {url}"

    def _why_not_fetched(self) -> str | None:
        """Return what would let the program fetch what is missing; None where it may."""
        if not self.download:
            return "bids_dtg fetches it"
        if not download_hosts(os.environ, self.address):
            return f"the program fetches it where {OFFLINE_VARIABLE} is not set"
        return None

    def _fetch(self, file: PinnedFile, path: Path) -> None:
        """Fetch a file; other processes see nothing or all of it."""
        since, before = _NOT_FETCHED.get(path, (0.0, None))
        if before is not None and time.monotonic() - since < _ASK_AGAIN_SECONDS:
            raise before
        elsewhere = (
            f"fetch it on a machine with a network: {self._by_hand(path)}; with "
            f"{OFFLINE_VARIABLE}=1 only those fail who need it"
        )
        remedy = f"set TEMPLATEFLOW_HOME to a folder that you may write to, or {elsewhere}"
        assert self.home is not None
        try:
            with (
                Board(1) as board,
                download_folder(self.home, board.lane(0), remedy=remedy) as work,
            ):
                if has_content(path):  # another process was faster
                    return
                size = f" ({file.size / 1e6:.0f} MB)" if file.size else ""
                board.note(f"downloading {file.name}{size} to {path.parent}, once")
                hosts = download_hosts(os.environ, self.address)
                fetched = obtain_file(file, work, hosts, board.lane(0))
                path.parent.mkdir(parents=True, exist_ok=True)
                fetched.replace(path)
        except (DownloadError, OutputError) as err:
            both = f"{err.remedy}, or {elsewhere}" if isinstance(err, DownloadError) else err.remedy
            failed = NotFetchedError(err.found, expected=err.expected, remedy=both)
            _NOT_FETCHED[path] = time.monotonic(), failed
            raise failed from err
        except OSError as err:
            raise NotFetchedError(
                f"{path} cannot be written: {err.strerror or err}", remedy=remedy
            ) from err


def _cache(environment: Mapping[str, str]) -> Path | None:
    """Return the folder below the user's cache; None where there is neither a variable nor a home.

    A container's user may have no entry in the table of users, and no HOME.
    """
    given = environment.get("XDG_CACHE_HOME") if sys.platform != "darwin" else None
    if given:
        return Path(given).absolute() / "templateflow"
    try:
        home = Path.home()
    except RuntimeError:
        return None
    cache = "Library/Caches" if sys.platform == "darwin" else ".cache"
    return home.absolute() / cache / "templateflow"


def has_content(path: Path) -> bool:
    """Say whether a file is no stub: TemplateFlow keeps empty files, DataLad pointers."""
    try:
        with path.open("rb") as file:
            start = file.read(1024)
    except OSError:
        return False
    return bool(start) and not is_pointer(start)
