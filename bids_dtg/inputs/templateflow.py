"""TemplateFlow's folder on this machine: transforms between templates, and atlases."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bids_dtg.errors import (
    DownloadError,
    DtgError,
    OutputError,
    RunError,
    SettingsError,
)
from bids_dtg.files.download import (
    OFFLINE_VARIABLE,
    PinnedFile,
    download_folder,
    download_hosts,
    obtain_file,
)
from bids_dtg.files.foreign import is_stub
from bids_dtg.inputs.run import TransformFile
from bids_dtg.progress import Board

ADDRESS = "https://templateflow.s3.amazonaws.com"
# Transforms that can be downloaded, by their path in the folder. Atlases are listed in
# `inputs/atlases.toml`.
_TRANSFORMS = (
    PinnedFile(
        "tpl-MNI152NLin6Asym/tpl-MNI152NLin6Asym_from-MNI152NLin2009cAsym_mode-image_xfm.h5",
        "md5:b7130989291ddb85642e19940aaec4c1",
        size=204_735_104,
    ),
    PinnedFile(
        "tpl-MNI152NLin2009cAsym/tpl-MNI152NLin2009cAsym_from-MNI152NLin6Asym_mode-image_xfm.h5",
        "md5:1f9b29f2d5cb898cc97243fe92ee9304",
        size=204_735_104,
    ),
)
PINNED: Mapping[str, PinnedFile] = {file.location: file for file in _TRANSFORMS}


class TransformMissingError(RunError):
    """A transform is missing but obtainable, from TemplateFlow or by running fMRIPrep again."""


class TransformPlannedError(TransformMissingError):
    """A missing transform would be fetched, but this is a dry run."""


class NotFetchedError(SettingsError):
    """A file could not be fetched, so no participant who needs it can be processed."""


@dataclass(frozen=True)
class TemplateFlow:
    """TemplateFlow's folder, and whether missing files may be downloaded."""

    # Absolute; it need not exist. None if unknown, as there is no home folder.
    home: Path | None
    download: bool = False  # fetch missing files
    plans: bool = False  # say what would be fetched, but fetch nothing
    address: str = ADDRESS  # base URL of downloads

    @classmethod
    def here(cls, *, download: bool = False, plans: bool = False) -> TemplateFlow:
        """Find the folder as the package templateflow does: TEMPLATEFLOW_HOME or the cache."""
        home = os.environ.get("TEMPLATEFLOW_HOME")
        if not home:
            # The same as `pooch.os_cache`, but importing pooch takes 0.1 s.
            import platformdirs

            # A container's user may have no entry in /etc/passwd and no HOME. Then platformdirs
            # raises an error or leaves the tilde.
            try:
                home = platformdirs.user_cache_dir("templateflow")
            except RuntimeError:
                home = "~"
        folder = None if home.startswith("~") else Path(home).absolute()
        return cls(folder, download, plans)

    def transform(self, to: str, origin: str) -> Path:
        """Find the transform that resamples images of one template to another, or fetch it.

        Parameters
        ----------
        to
            Template that images are resampled to; the file maps its points.
        origin
            Template that images come from; a cohort follows after `+`.

        Raises
        ------
        TransformMissingError
            It is missing, and downloads are not allowed or this is a dry run.
        NotFetchedError
            It is missing, and the download failed.
        RunError
            It is missing, and the program does not download it.
        """
        location = _location(to, origin)
        what = f"transform from {origin} to {to}"
        return self._obtain(location, what, PINNED.get(location), to)

    def step(self, to: str, origin: str) -> TransformFile:
        """Find or fetch the transform as `transform` does; in a plan, say that it would be fetched.

        Raises
        ------
        RunError
            As for `transform`, unless this is a plan of a download.
        """
        try:
            return TransformFile(self.transform(to, origin))
        except TransformPlannedError as err:
            assert self.home is not None
            return TransformFile(self.home / _location(to, origin), missing=err.found)

    def atlas(self, pinned: PinnedFile) -> Path:
        """Find the image of an atlas, or fetch it if allowed.

        Parameters
        ----------
        pinned
            Its path in the folder, and the digest that a download must have.

        Raises
        ------
        RunError
            It is missing, and downloads are not allowed or this is a dry run.
        NotFetchedError
            It is missing, and the download failed.
        """
        return self._obtain(pinned.location, "atlas", pinned)

    def _obtain(
        self, location: str, what: str, pinned: PinnedFile | None, space: str = ""
    ) -> Path:
        """Return a file of the folder; fetch it if it is missing and downloads are allowed."""
        if self.home is None:
            raise RunError(
                f"TemplateFlow's {location} is needed, but TemplateFlow's folder is unknown",
                remedy=f"set TEMPLATEFLOW_HOME to a folder that has, or may receive, {location}",
            )
        path = self.home / location
        try:
            is_there = has_content(path)
        # A home folder of somebody else, or one without its ticket.
        except OSError as err:
            raise RunError(
                f"{path} cannot be read: {err.strerror or err}",
                remedy=f"set TEMPLATEFLOW_HOME to a folder that has, or may receive, {location}",
            ) from err
        if is_there:
            return path
        if pinned is None:
            raise RunError(
                f"{path} is missing, and the program does not download it, as it has no digest "
                "for it",
                remedy=f"fmriprep --output-spaces {space}:res-2, or put such a transform there",
            )
        size = f" ({pinned.size / 1e6:.0f} MB)" if pinned.size else ""
        missing = f"{path} is missing or empty: TemplateFlow's {what}{size}"
        by_hand = f"curl -fL --create-dirs -o '{path}' {self.address}/{location}"
        hosts = download_hosts(os.environ, self.address)
        if not self.download or not hosts:
            unless = f"bids_dtg fetches it, unless {OFFLINE_VARIABLE} is set"
            raise TransformMissingError(missing, remedy=f"{by_hand} ({unless})")
        if self.plans:
            raise TransformPlannedError(
                missing, remedy="run without --dry-run to fetch it"
            )
        self._fetch(pinned, path, size, hosts, by_hand)
        return path

    def _fetch(
        self, file: PinnedFile, path: Path, size: str, hosts: list[str], by_hand: str
    ) -> None:
        """Fetch a file; other processes see either the complete file or none."""
        assert self.home is not None
        may_write = "set TEMPLATEFLOW_HOME to a folder that you may write to"
        try:
            with (
                Board(1) as board,
                download_folder(self.home, board.lane(0), remedy=may_write) as work,
            ):
                if has_content(path):  # another process was faster
                    return
                board.note(f"downloading {file.name}{size} to {path.parent}, once")
                fetched = obtain_file(file, work, hosts, board.lane(0))
                path.parent.mkdir(parents=True, exist_ok=True)
                fetched.replace(path)
        except (DownloadError, OutputError, OSError) as err:
            cause = err if isinstance(err, DtgError) else OutputError(f"{path}: {err}")
            raise NotFetchedError(
                cause.found,
                expected=cause.expected,
                remedy=f"{cause.remedy or may_write}, or fetch it on a machine with a network: "
                f"{by_hand}; with {OFFLINE_VARIABLE}=1 only participants who need it fail",
            ) from err


def _location(to: str, origin: str) -> str:
    """Return the path of a transform in TemplateFlow's folder."""
    return f"tpl-{to}/tpl-{to}_from-{origin}_mode-image_xfm.h5"


def has_content(path: Path) -> bool:
    """Return whether a file has content; TemplateFlow's stubs are empty, DataLad's are pointers."""
    return path.is_file() and path.stat().st_size > 0 and not is_stub(path)
