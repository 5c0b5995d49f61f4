"""TemplateFlow's folder on this machine: transforms between templates."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bids_dtg.errors import RunError
from bids_dtg.files.annex import is_pointer
from bids_dtg.files.atomic import temporary_name
from bids_dtg.notices import say

ADDRESS = "https://templateflow.s3.amazonaws.com"
# Templates that TemplateFlow has transforms from to MNI152NLin6Asym (skeleton of January 2026).
_PUBLISHED = re.compile(r"MNI152NLin2009cAsym|MNIInfant\+\d+")
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_TIMEOUT_SECONDS = 60


class TransformMissingError(RunError):
    """A transform between templates is not in TemplateFlow's folder, but can be fetched."""


@dataclass(frozen=True)
class TemplateFlow:
    """A folder as TemplateFlow keeps it, and whether what is missing may be downloaded."""

    home: Path  # absolute; it need not exist
    download: bool = False  # fetch what is missing
    address: str = ADDRESS  # where it is fetched from

    @classmethod
    def here(
        cls, *, download: bool = False, environment: Mapping[str, str] = os.environ
    ) -> TemplateFlow:
        """Find the folder as the package templateflow does: TEMPLATEFLOW_HOME, or the cache."""
        home = environment.get("TEMPLATEFLOW_HOME")
        return cls(Path(home).absolute() if home else _cache(environment), download)

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
            It is not there, and nothing may be downloaded.
        RunError
            TemplateFlow has none, or it cannot be downloaded.
        """
        relative = f"tpl-{to}/tpl-{to}_from-{origin}_mode-image_xfm.h5"
        path, url = self.home / relative, f"{self.address}/{relative.replace('+', '%2B')}"
        if _has_content(path):
            return path
        if not _PUBLISHED.fullmatch(origin) or to != "MNI152NLin6Asym":
            raise RunError(
                f"{path} is not there, and TemplateFlow is not known to have it",
                remedy=f"fmriprep --output-spaces {to}:res-2, or put such a transform there",
            )
        if not self.download:
            raise TransformMissingError(
                f"{path} is not there: TemplateFlow's transform from {origin} to {to}",
                remedy=f"curl -fL --create-dirs -o '{path}' {url} (or add --templateflow-download)",
            )
        _download(url, path)
        return path


def _cache(environment: Mapping[str, str]) -> Path:
    base = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    given = environment.get("XDG_CACHE_HOME") if sys.platform != "darwin" else None
    return Path(given or base).absolute() / "templateflow"


def _has_content(path: Path) -> bool:
    """Say whether a file is no stub: TemplateFlow keeps empty files, DataLad pointers."""
    try:
        with path.open("rb") as file:
            start = file.read(1024)
    except OSError:
        return False
    return bool(start) and not is_pointer(start)


def _download(url: str, path: Path) -> None:
    """Fetch under a temporary name, check, rename: other processes see nothing or all of it."""
    import http.client
    import urllib.request

    temporary = path.with_name(temporary_name())
    say(f"downloading {url}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:
            expected = answer.headers.get("Content-Length")
            with temporary.open("xb") as file:
                shutil.copyfileobj(answer, file, 2**20)
        held = temporary.stat().st_size
        if expected is not None and held != int(expected):
            raise OSError(f"{held} of {expected} bytes came")
        with temporary.open("rb") as file:
            if file.read(len(_HDF5_SIGNATURE)) != _HDF5_SIGNATURE:
                raise OSError("what came is no HDF5 file")
        temporary.replace(path)
    except (OSError, ValueError, http.client.HTTPException) as err:
        raise RunError(
            f"{url} cannot be downloaded to {path}: {err}",
            remedy="check the network, or fetch it on another machine and copy it there",
        ) from err
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
