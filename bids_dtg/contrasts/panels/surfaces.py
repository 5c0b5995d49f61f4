"""Maps at the vertices of surfaces, and the mesh that the viewer shows them on."""

from __future__ import annotations

import gzip
import hashlib
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import RunError
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.names import parse_name
from bids_dtg.imaging.gifti import Hemisphere, read_metrics
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.surfaces.templates import DENSITIES, SIDES, MeshName, read_template
from bids_dtg.report.pages.page import link
from bids_dtg.report.viewer import pack, write_script

_DIGITS = 12  # of the hash of a mesh
# Surf-ice's and NiiVue's format: "MZ", then flags of the parts (1 triangles, 2 vertices).
_MZ3_MAGIC, _MZ3_PARTS = 0x5A4D, 3


def surface_files(folder: Path, title: str, desc: str) -> Mapping[Hemisphere, Path]:
    """Find an average's files of both sides of a mesh that the program ships; else nothing."""
    for mesh, density in DENSITIES.items():
        found: dict[Hemisphere, Path] = {}
        for path in folder.glob(f"{title}_hemi-*_statmap.func.gii"):
            name = parse_name(path.name)
            kind = name.get("space"), name.get("den"), name.get("desc")
            if kind == (mesh, density, desc) and name.get("hemi") in SIDES:
                found[cast("Hemisphere", name.get("hemi"))] = path
        if len(found) == len(SIDES):
            return found
    return {}


def write_surface(
    dataset: DerivativeDataset, paths: Mapping[Hemisphere, Path], script: Path
) -> Mapping[str, str]:
    """Pack maps on both sides for the viewer into a script; return addresses of mesh and values.

    The mesh is the program's own template, written once for an output folder, also for values
    sampled on other surfaces: the vertices correspond.

    Raises
    ------
    RunError
        A file is damaged, or the sides have other maps or meshes.
    """
    (names, left), (others, right) = (read_metrics(paths[side]) for side in SIDES)
    if names != others or left.shape != right.shape:
        raise RunError(
            f"{paths['L']} and {paths['R']} hold other maps, or other meshes",
            expected="the same maps on both sides of one mesh",
        )
    packed = {}
    for name, *sides in zip(names, left, right, strict=True):
        values = np.stack(sides, axis=1)[:, :, None]
        packed[name] = pack(values, Grid((len(left[0]), 2, 1), np.eye(4)))
    write_script(script, link(script, dataset), packed)
    name = cast("MeshName", parse_name(paths["L"].name).get("space"))
    template = read_template(name)
    mesh: dict[str, bytes] = {
        side: _mz3(template.points[side], template.faces[side]) for side in SIDES
    }
    digest = hashlib.sha256(b"".join(mesh.values())).hexdigest()[:_DIGITS]
    address = f"figures/surface-{name}-{digest}.js"
    if not dataset.path(address).exists():
        write_script(dataset.path(address), address, mesh)
    return {"mesh": address, "values": link(script, dataset)}


def _mz3(points: NDArray[np.float64], faces: NDArray[np.intp]) -> bytes:
    """Encode a mesh as a file: a header, triangles and vertices, compressed (deterministic).

    The format is that of Surfice, https://github.com/neurolabusc/surf-ice/tree/master/mz3.
    """
    head = struct.pack("<HHIII", _MZ3_MAGIC, _MZ3_PARTS, len(faces), len(points), 0)
    # Hundredths of a millimetre compress well.
    body = faces.astype("<i4").tobytes() + points.round(2).astype("<f4").tobytes()
    return gzip.compress(head + body, mtime=0)
