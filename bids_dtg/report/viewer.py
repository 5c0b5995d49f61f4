"""What the viewer needs beside a page: its library, anatomy, and maps as scripts.

Browsers let no page that was opened as a file read other files, but it may run scripts: so
volumes are packed into scripts, as 8-bit copies.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.files.atomic import write_atomic
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.text import write_text
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import encode_integers
from bids_dtg.report.colours import AMOUNT, NEGATIVE, POSITIVE
from bids_dtg.report.pages.page import gradients, link, vendored
from bids_dtg.report.pictures import Box, standard_anatomy

LIBRARY_VERSION = "0.69.0"
# Shared by all pages; the name says what is inside, so that a page never meets another version.
_LIBRARY = f"figures/niivue-{LIBRARY_VERSION}.js"
_LICENCE = "figures/niivue-LICENSE.txt"
# End of the names of scripts with maps.
SCRIPT = "_volumes.js"
_DIGITS = 12  # of the hash of an anatomy
# Steps of a copy on either side of 0: a screen shows no more, and more of them take more room.
_STEPS = 32
_NONE = -128  # of 8 bits; the viewer's script knows it


@dataclass(frozen=True)
class ViewerMap:
    """One map that a page's viewer shows."""

    average: int  # index of its session average
    label: str  # key in the scripts
    title: str  # for people
    about: str  # one line
    units: str
    limit: float  # value of the brightest colour at first
    scale: str  # maps with the same keep the sliders where they are
    peak: tuple[float, float, float] | None  # RAS+ mm, where the viewer goes first
    file: str  # address of the image
    overlays: Sequence[Mapping[str, Any]]  # desc, title, factor and rule of its uncertainty


@dataclass(frozen=True)
class ViewerAverage:
    """Maps that come in the same scripts."""

    title: str  # for people
    scripts: Mapping[str, str]  # desc -> address


def viewer_data(
    averages: Sequence[ViewerAverage], maps: Sequence[ViewerMap], backdrop: str, root: str = ""
) -> dict[str, Any]:
    """Return the data of the page's viewer, for JSON.

    Addresses are relative to the output folder; `root` leads from the page to it.
    """
    scales = {scale.name: list(scale.stops) for scale in (POSITIVE, NEGATIVE, AMOUNT)}
    return {
        "root": root,
        "library": _LIBRARY,
        "backdrop": backdrop,
        "scales": scales,
        "gradients": gradients(),
        "averages": [vars(shown) for shown in averages],
        "maps": [vars(shown) for shown in maps],
    }


def write_shared_files(dataset: DerivativeDataset, grid: Grid) -> str:
    """Write the library and the anatomy, once an output folder; return the anatomy's address."""
    for name, sources in ((_LIBRARY, ["niivue.umd.js"]), (_LICENCE, ["LICENSE", "NOTICES"])):
        if not dataset.path(name).exists():
            write_atomic(dataset.path(name), b"\n".join(map(vendored, sources)))
    part = standard_anatomy().within(Box.around(grid))
    stored = 255 * part.values
    stored = np.rint(stored, out=stored).astype(np.uint8)
    i, j, k = stored.shape
    # The name says what is inside, so that a page never meets another anatomy.
    digest = hashlib.sha256(stored.tobytes() + part.affine.tobytes()).hexdigest()[:_DIGITS]
    name = f"figures/anatomy-{digest}.js"
    if not dataset.path(name).exists():
        own = Grid((i, j, k), part.affine, grid.space, None)
        image = encode_integers(stored, own, description="anatomy behind maps")
        write_script(dataset, dataset.root / name, {"anatomy": image})
    return name


def pack(volume: NDArray[np.floating], grid: Grid) -> bytes:
    """Make an 8-bit copy of a map as a .nii.gz file, for display; NaN becomes -128 steps.

    Parameters
    ----------
    volume
        (i, j, k), values of a map.
    grid
        Grid of the volume's voxels.
    """
    known = np.isfinite(volume)
    values = np.where(known, volume, 0)
    largest = max(float(values.max(initial=0.0)), -float(values.min(initial=0.0)))
    slope = largest / _STEPS or 1.0
    values /= slope
    steps = np.rint(values, out=values).astype(np.int8)
    steps[~known] = _NONE
    return encode_integers(steps, grid, slope=slope, quick=True)


def write_script(dataset: DerivativeDataset, path: Path, volumes: Mapping[str, bytes]) -> str:
    """Write volumes as a script that hands them to the viewer under its address; return this."""
    address = link(path, dataset)
    parts = [f"dtgVolumes({_quoted(address)}, {{\n"]
    parts += [
        f'{_quoted(key)}: "{base64.b64encode(data).decode()}",\n' for key, data in volumes.items()
    ]
    place = dataset.path(path.relative_to(dataset.root).as_posix())
    write_text(place, "".join([*parts, "});\n"]))
    return address


def remove_others(folder: Path, kept: Iterable[Path]) -> None:
    """Remove pictures and scripts of an earlier report that the new one does not show."""
    names = {path.name for path in kept}
    for path in (*folder.glob("*.webp"), *folder.glob(f"*{SCRIPT}")):
        if path.name not in names:
            path.unlink(missing_ok=True)


def _quoted(text: str) -> str:
    # A line separator ends a string in older browsers, and </script> a script.
    return json.dumps(text).replace("<", "\\u003c")
