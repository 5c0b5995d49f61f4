"""Surfaces that ship with the package: group anatomy in MNI152NLin6Asym on two standard meshes.

Their points come from registration fusion: where MNI152 has the vertices of fsaverage's mesh, as a
mean over people. `templates/README.md` beside this module has sources and licences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bids_dtg.imaging.gifti import Hemisphere

MeshName = Literal["fsLR", "fsaverage"]
SIDES: tuple[Hemisphere, Hemisphere] = ("L", "R")
# Label of the BIDS entity den- of each mesh.
DENSITIES: Mapping[MeshName, str] = {"fsLR": "32k", "fsaverage": "10k"}
# The space that the points are in.
TEMPLATE_SPACE = "MNI152NLin6Asym"
# Turns a triangle round, as a mirror image of it is.
_MIRRORED = [0, 2, 1]


@dataclass(frozen=True, eq=False)
class Template:
    """A standard mesh of both hemispheres, with group anatomy."""

    space: MeshName  # TemplateFlow's name of the mesh
    points: Mapping[Hemisphere, NDArray[np.float64]]  # (vertices, 3), midthickness, RAS+ mm
    faces: Mapping[Hemisphere, NDArray[np.intp]]  # (triangles, 3), numbers of vertices
    cortex: Mapping[Hemisphere, NDArray[np.bool_]]  # (vertices,), False on the medial wall

    @property
    def density(self) -> str:
        """Label of the BIDS entity den-."""
        return DENSITIES[self.space]


@cache
def read_template(space: MeshName) -> Template:
    """Read a standard mesh that ships with the package.

    Parameters
    ----------
    space
        ``fsLR``: 32,492 vertices a side; ``fsaverage``: the 10,242 of fsaverage5.

    Returns
    -------
    Template
        Its points are in MNI152NLin6Asym.

    Notes
    -----
    Registration fusion: Wu et al. 2018, Hum. Brain Mapp. 39: 3793, doi 10.1002/hbm.24239. fsLR:
    Van Essen et al. 2012, Cereb. Cortex 22: 2241, doi 10.1093/cercor/bhr291. The medial wall of
    fsaverage5 is fsLR's, at the nearest vertex.

    Examples
    --------
    >>> template = read_template("fsLR")
    >>> template.points["L"].shape, int(template.cortex["L"].sum())
    ((32492, 3), 29696)
    """
    arrays = read_arrays(f"{space}_den-{DENSITIES[space]}")
    left = arrays["faces_L"].astype(np.intp)
    return Template(
        space=space,
        points={side: _shared(arrays[f"points_{side}"].astype(np.float64)) for side in SIDES},
        # The sides of fsLR are mirror images; both sides of fsaverage have the same triangles.
        faces={"L": _shared(left), "R": _shared(left[:, _MIRRORED] if space == "fsLR" else left)},
        cortex={side: _shared(arrays[f"cortex_{side}"].astype(np.bool_)) for side in SIDES},
    )


@cache
def fs_lr_sphere(side: Hemisphere) -> NDArray[np.float64]:
    """Return the points (32492, 3) of fsLR's mesh on a sphere of 100 mm.

    Examples
    --------
    >>> bool(np.isclose(np.linalg.norm(fs_lr_sphere("R"), axis=1), 100).all())
    True
    """
    left = read_arrays(f"fsLR_den-{DENSITIES['fsLR']}")["sphere_L"].astype(np.float64)
    return _shared(left if side == "L" else left * [-1.0, 1.0, 1.0])


@cache
def read_arrays(name: str) -> Mapping[str, NDArray[np.generic]]:
    """Read the arrays of a file that ships in ``templates``, by its name without ``.npz``."""
    file = resources.files(__package__) / "templates" / f"{name}.npz"
    with file.open("rb") as opened, np.load(opened) as arrays:
        return {key: _shared(arrays[key]) for key in arrays.files}


def _shared(values: NDArray[Any]) -> NDArray[Any]:
    """Make an array read-only: all in the process share it, and nilearn moves points in place."""
    values.setflags(write=False)
    return values
