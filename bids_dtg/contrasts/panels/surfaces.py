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
from bids_dtg.report.contents import AverageFiles
from bids_dtg.report.viewer import pack, write_script

_DIGITS = 12  # of the hash of a mesh
# Surf-ice's and NiiVue's format: "MZ", then flags of the parts (1 triangles, 2 vertices).
_MZ3_MAGIC, _MZ3_PARTS = 0x5A4D, 3


def surface_files(made: AverageFiles, desc: str) -> Mapping[Hemisphere, Path]:
    """Find an average's files of both sides of a mesh that the program ships; else nothing."""
    for mesh, density in DENSITIES.items():
        found: dict[Hemisphere, Path] = {}
        for path in made.maps[0].path.parent.glob("*_statmap.func.gii"):
            if not path.name.startswith(f"{made.title}_hemi-"):
                continue
            name = parse_name(path.name)
            kind = name.get("space"), name.get("den"), name.get("desc")
            if kind == (mesh, density, desc) and name.get("hemi") in SIDES:
                found[cast("Hemisphere", name.get("hemi"))] = path
        if len(found) == len(SIDES):
            return found
    return {}


def read_vertices(paths: Mapping[Hemisphere, Path]) -> Mapping[str, NDArray[np.float32]]:
    """Read maps on both sides, (vertices, 2) each, by their names.

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
    return {name: np.stack(sides, axis=1) for name, *sides in zip(names, left, right, strict=True)}


def pack_vertices(values: NDArray[np.float32]) -> bytes:
    """Make an 8-bit copy of values at vertices, (vertices, 2), as a .nii.gz file for the viewer."""
    return pack(values[:, :, None], Grid((*values.shape, 1), np.eye(4)))


def write_mesh(dataset: DerivativeDataset, mesh: MeshName) -> str:
    """Write the template's mesh for the viewer, once for an output folder; return its address.

    The program's own template is shown, also for values sampled on other surfaces: the vertices
    correspond.
    """
    template = read_template(mesh)
    sides: dict[str, bytes] = {
        side: _mz3(template.points[side], template.faces[side]) for side in SIDES
    }
    digest = hashlib.sha256(b"".join(sides.values())).hexdigest()[:_DIGITS]
    address = f"figures/surface-{mesh}-{digest}.js"
    if not dataset.path(address).exists():
        write_script(dataset.path(address), address, sides)
    return address


def mesh_of(paths: Mapping[Hemisphere, Path]) -> MeshName:
    """Return the mesh of the files."""
    return cast("MeshName", parse_name(paths["L"].name).get("space"))


def _mz3(points: NDArray[np.float64], faces: NDArray[np.intp]) -> bytes:
    """Encode a mesh as a file: a header, triangles and vertices, compressed (deterministic).

    The format is that of Surfice, https://github.com/neurolabusc/surf-ice/tree/master/mz3.
    """
    head = struct.pack("<HHIII", _MZ3_MAGIC, _MZ3_PARTS, len(faces), len(points), 0)
    # Hundredths of a millimetre compress well.
    body = faces.astype("<i4").tobytes() + points.round(2).astype("<f4").tobytes()
    return gzip.compress(head + body, mtime=0)
