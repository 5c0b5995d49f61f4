"""The files that the map viewer needs beside a page: its library, anatomy, and maps as scripts.

A page that was opened as a file may not read other files, but it may run scripts. Volumes are
therefore packed into scripts, as 8-bit copies.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.array_types import Floats, Integers
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.text import write_text
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.nifti import encode_integers
from bids_dtg.imaging.surfaces.meshes import Hemisphere, read_template
from bids_dtg.report.page import FOLDER, link
from bids_dtg.report.pictures import (
    AMOUNT,
    GRADIENTS,
    NEGATIVE,
    PICTURE,
    POSITIVE,
    box_around,
    standard_anatomy,
)

LIBRARY_VERSION = "0.69.0"
# Shared by all pages; its name has the version, so that a page never gets another one.
_LIBRARY = f"figures/niivue-{LIBRARY_VERSION}.js"
_LICENCE = "figures/niivue-LICENSE.txt"
# End of the names of scripts with maps.
SCRIPT = "_volumes.js"
# Steps of a copy on either side of 0; more would not be visible, and files would be larger.
_STEPS = 32
_NONE = -128  # 8-bit code of NaN, which the viewer's script knows


def viewer_data(
    averages: Sequence[Mapping[str, Any]],
    maps: Sequence[Mapping[str, Any]],
    *,
    backdrop: str = "",
    root: str = "",
    **surface: Any,
) -> dict[str, Any]:
    """Return the data of the page's viewer, for JSON.

    Parameters
    ----------
    averages
        Groups of maps in the same scripts: `title`, and addresses of `scripts` by desc-; of maps on
        the cortex, address of their `script`.
    maps
        For each map: index of its `average`, `label` in the scripts, displayed `title`, a sentence
        `about` it, `units`, `limit` (initial value of the brightest colour), `scale` (maps with the
        same name share slider positions), `peak` (initial position in RAS+ mm, or None), `file`
        (address of the image) and `overlays` (desc, title, factor and rule of its uncertainty); of
        maps on the cortex, `limits` (values of the brightest colour, by layer) in place of `limit`
        and what follows, and `file`.
    backdrop
        Address of the anatomy; empty for maps on the cortex.
    root
        Path from the page to the output folder, to which addresses are relative.
    **surface
        For maps on the cortex: `meshes`, their address, from `write_meshes`; `names` of the
        parcels; `layers` that can be shown of a map: `key` in the script, displayed `title`,
        `words` that explain it, the key of half-widths that make it faint (`opacity`, or ""), and
        whether it is an amount (`amount`); `values` that are written of the parcel under the
        pointer: `key`, `title`, and the key of the half-width of its `interval`, or "".
    """
    return {
        "root": root,
        "library": _LIBRARY,
        "backdrop": backdrop,
        "scales": {
            scale.name: list(scale.stops) for scale in (POSITIVE, NEGATIVE, AMOUNT)
        },
        "gradients": GRADIENTS,
        "averages": averages,
        "maps": maps,
        **surface,
    }


def write_meshes(
    dataset: DerivativeDataset, parcels: Mapping[Hemisphere, Integers]
) -> str:
    """Write library and fsLR's meshes, once per output folder; return the address of the meshes.

    Parameters
    ----------
    dataset
        The output folder.
    parcels
        For each hemisphere, number of each vertex's parcel; -1: none.
    """
    _write_library(dataset)
    template = read_template("fsLR")
    content: dict[str, bytes] = {}
    for side, parcel_of_vertex in parcels.items():
        hundredths = np.rint(100 * template.points[side])  # of a mm
        content[f"{side} points"] = hundredths.astype("<i2").tobytes()
        content[f"{side} faces"] = template.faces[side].astype("<u2").tobytes()
        content[f"{side} parcels"] = parcel_of_vertex.astype("<i2").tobytes()
    digest = hashlib.sha256(b"".join(content.values())).hexdigest()[:8]
    name = f"figures/tpl-fsLR_{digest}_meshes.js"
    if not dataset.path(name).exists():
        write_script(dataset, dataset.root / name, content)
    return name


def _write_library(dataset: DerivativeDataset) -> None:
    for name, sources in (
        (_LIBRARY, ["niivue.umd.js"]),
        (_LICENCE, ["LICENSE", "NOTICES"]),
    ):
        if not dataset.path(name).exists():
            dataset.write(name, b"\n".join(map(vendored, sources)))


def write_shared_files(dataset: DerivativeDataset, grid: Grid) -> str:
    """Write library and anatomy, once per output folder; return the anatomy's address."""
    _write_library(dataset)
    anatomy = standard_anatomy()  # its voxels are of 1 mm, along RAS+
    first, last = np.rint(box_around(grid) - anatomy.affine[:3, 3]).astype(int).clip(0)
    part = anatomy.values[tuple(map(slice, first, last + 1))]
    affine = anatomy.affine.copy()
    affine[:3, 3] += first
    i, j, k = part.shape
    name = f"figures/tpl-{grid.space}_size-{i}x{j}x{k}_anatomy.js"
    if not dataset.path(name).exists():
        part_grid = Grid((i, j, k), affine, grid.space, None)
        stored = np.rint(255 * part).astype(np.uint8)
        image = encode_integers(stored, part_grid, description="anatomy behind maps")
        write_script(dataset, dataset.root / name, {"anatomy": image})
    return name


def pack(volume: Floats, grid: Grid) -> bytes:
    """Make an 8-bit copy of a map as a .nii.gz file, for display; NaN is stored as -128.

    Parameters
    ----------
    volume
        (i, j, k), values of a map.
    grid
        Grid of the volume's voxels.
    """
    finite = np.isfinite(volume)
    values = np.where(finite, volume, 0)
    highest, lowest = float(values.max(initial=0.0)), float(values.min(initial=0.0))
    slope = max(highest, -lowest) / _STEPS or 1.0
    values /= slope  # in place, as all maps of a participant are packed
    steps = np.rint(values, out=values).astype(np.int8)
    steps[~finite] = _NONE
    return encode_integers(steps, grid, slope=slope, quick=True)


def write_script(
    dataset: DerivativeDataset, path: Path, volumes: Mapping[str, bytes]
) -> str:
    """Write volumes as a script that passes them to the viewer; return its address."""
    address = link(path, dataset)
    parts = [f"dtgVolumes({_quoted(address)}, {{\n"]
    parts += [
        f'{_quoted(key)}: "{base64.b64encode(data).decode()}",\n'
        for key, data in volumes.items()
    ]
    place = dataset.path(path.relative_to(dataset.root).as_posix())
    write_text(place, "".join([*parts, "});\n"]))
    return address


def write_picture(
    dataset: DerivativeDataset, folder: Path, title: str, what: str, data: bytes
) -> str:
    """Write a picture of a run, an average or a group; return its address from the page.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    path = folder / f"{title}_{what}{PICTURE}"
    dataset.write(path.relative_to(dataset.root).as_posix(), data)
    return link(path, dataset)


def remove_unlinked(dataset: DerivativeDataset, folder: Path, page: str) -> None:
    """Remove pictures and scripts of an earlier report that the new page does not use."""
    for path in (*folder.glob(f"*{PICTURE}"), *folder.glob(f"*{SCRIPT}")):
        if link(path, dataset) not in page:
            path.unlink(missing_ok=True)


def vendored(name: str) -> bytes:
    """Return a file of the viewer's library."""
    return (FOLDER / "vendor" / "niivue" / name).read_bytes()


def _quoted(text: str) -> str:
    # Line separators end a string in older browsers, and </script> ends a script.
    return json.dumps(text).replace("<", "\\u003c")
