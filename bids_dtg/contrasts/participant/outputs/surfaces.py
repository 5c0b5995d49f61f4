"""Maps at the vertices of surfaces, and as grayordinates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.participant.outputs.maps import Entities, File, Maps
from bids_dtg.errors import SettingsError, did_you_mean
from bids_dtg.files.names import build_path
from bids_dtg.files.path_names import PathNames
from bids_dtg.imaging.gifti import Hemisphere, encode_metrics
from bids_dtg.imaging.surfaces.grayordinates import encode_dscalar, standard_grayordinates
from bids_dtg.imaging.surfaces.midthickness import read_midthickness
from bids_dtg.imaging.surfaces.sampling import PointSampling
from bids_dtg.imaging.surfaces.templates import (
    DENSITIES,
    SIDES,
    TEMPLATE_SPACE,
    MeshName,
    read_template,
)
from bids_dtg.inputs.surfaces import SurfaceFiles
from bids_dtg.participants.origin import source_uri
from bids_dtg.report.contents import SYNTHETIC

Points = Mapping[Hemisphere, NDArray[np.float64]]

_TEMPLATEFLOW = "https://templateflow.s3.amazonaws.com"
_GRAYORDINATES = "91k"
# BIDS requires a description for den-; the first is fMRIPrep's.
_DENSITY_WORDS = {
    "91k": "91,282 grayordinates corresponding to all of the grey matter sampled at a 2mm average "
    "vertex spacing on the surface and as 2mm voxels subcortically",
    "32k": "32,492 vertices a hemisphere, about 2 mm apart",
    "10k": "10,242 vertices a hemisphere, those of fsaverage5, about 4 mm apart",
}
_OWN = "the participant's own midthickness surfaces"
_TEMPLATE = (
    "a template's midthickness surfaces (registration fusion, Wu et al. 2018): group anatomy "
    "blurs, and the participant's folds are not used"
)
_NO_VALUE = "NaN: the medial wall, and vertices without a voxel that has a value around them"


def check_surfaces(names: Sequence[str], space: str) -> tuple[MeshName, ...]:
    """Return the requested meshes, each once.

    Parameters
    ----------
    names
        As on the command line.
    space
        Template of the model's grid.

    Raises
    ------
    SettingsError
        A mesh is unknown, or the model is in a space without known surfaces.
    """
    for name in names:
        if name not in DENSITIES:
            raise SettingsError(
                f"--surfaces names '{name}'",
                expected=f"one or more of {', '.join(DENSITIES)}",
                remedy=did_you_mean(name, DENSITIES),
            )
    if names and space != TEMPLATE_SPACE:
        raise SettingsError(
            f"--surfaces was given for a model in {space}", expected=f"a model in {TEMPLATE_SPACE}"
        )
    return tuple(cast("MeshName", name) for name in dict.fromkeys(names))


@dataclass(frozen=True, eq=False)
class Mesh:
    """A mesh in the model's space, and the sampling of the model's places at its vertices."""

    name: MeshName
    own: bool  # whether its points are the participant's, not a template's
    # Weights for the vertices of the left side, of the right side, and with fsLR for the 91k's
    # voxels.
    sampling: PointSampling


def read_mesh(bundle: ModelBundle, name: MeshName, files: SurfaceFiles | None) -> Mesh:
    """Read a mesh: of fsLR on the participant's own surfaces, where there are any.

    Raises
    ------
    RunError
        The participant's surfaces are damaged, or not where the derivatives name them.
    """
    if name == "fsLR" and files is not None and files.sides:
        points = read_midthickness(files, bundle.brain_voxels)
        return Mesh("fsLR", True, _sampling(bundle, "fsLR", points))
    return _template_mesh(bundle, name)


def template_note(files: SurfaceFiles | None) -> str | None:
    """Say why fsLR's maps are on a template's surfaces; None where they are not."""
    if files is None or files.sides:
        return None
    return f"maps on fsLR are sampled on {_TEMPLATE}: {files.reason}"


def surface_map_files(
    entities: Entities,
    mesh: Mesh,
    maps: Maps,
    contrasts: Sequence[Contrast],
    *,
    bundle: ModelBundle,
    facts: Mapping[str, Any],
) -> Iterator[File]:
    """Yield the files of maps on a mesh: grayordinates with fsLR, and both sides; and sidecars.

    Parameters
    ----------
    entities
        What the names of the average share.
    mesh
        Where they are sampled.
    maps
        Of all contrasts, at the model's places.
    contrasts
        Those that are written.
    bundle
        The model.
    facts
        From `surface_facts`.
    """

    def path(extension: str, density: str, side: str | None = None) -> PurePosixPath:
        named = {"hemi": side, "space": mesh.name, "den": density}
        named |= {"stat": bundle.card.part.statistic, "desc": SYNTHETIC}
        return build_path({**entities, **named}, "statmap", extension)

    labels = [contrast.label for contrast in contrasts]
    dense = [_GRAYORDINATES] if mesh.name == "fsLR" else []
    for density in [DENSITIES[mesh.name], *dense]:
        own = {
            "Contrasts": labels,
            "Density": _DENSITY_WORDS[density],
            "SpatialReference": _spatial_reference(mesh.name, density),
            **facts,
            "Interpolation": "trilinear, of voxels that have a value: their weights add up to one",
            "MissingValues": _NO_VALUE,
            **_shares(mesh),
        }
        yield path(".json", density), own
    values, cortex = mesh.sampling.apply(maps[[one.index for one in contrasts]]), _cortex(mesh.name)
    vertices, voxels = np.split(values, [len(cortex)], axis=1)
    if dense:
        taken = np.concatenate([vertices[:, cortex], voxels], axis=1)
        image = encode_dscalar(taken, labels)
        yield path(".dscalar.nii", _GRAYORDINATES), image
    vertices[:, ~cortex] = np.nan
    for side, of_side in zip(SIDES, np.split(vertices, len(SIDES), axis=1), strict=True):
        name = path(".func.gii", DENSITIES[mesh.name], side)
        yield name, encode_metrics(of_side, side, names=labels)


def surface_facts(
    mesh: Mesh, files: SurfaceFiles | None, root: Path, source: str, names: PathNames
) -> dict[str, Any]:
    """Return which surfaces the samples are from, and why.

    Parameters
    ----------
    mesh
        The mesh.
    files
        The participant's surfaces; None where none were looked for.
    root, source
        Folder of the input dataset, and its name in BIDS URIs.
    names
        Replace folders in sentences.
    """
    if not mesh.own:
        why = f": {files.reason}" if files is not None and mesh.name == "fsLR" else ""
        note = names.hide(f"Sampled on {_TEMPLATE}{why}.")
        return {"Surfaces": "template", "SurfaceNote": note}
    assert files is not None  # whose points these are
    return {
        "Surfaces": "participant",
        "SurfaceNote": names.hide(f"Sampled on {_OWN}: {files.reason}."),
        "SurfaceSources": [source_uri(path, root, source) for path in files.inputs],
    }


def _cortex(name: MeshName) -> NDArray[np.bool_]:
    """Return which vertices, both sides in a row, are not of the medial wall."""
    cortex = read_template(name).cortex
    return np.concatenate([cortex[side] for side in SIDES])


@lru_cache(maxsize=4)
def _template_mesh(bundle: ModelBundle, name: MeshName) -> Mesh:
    return Mesh(name, False, _sampling(bundle, name, read_template(name).points))


def _sampling(bundle: ModelBundle, name: MeshName, points: Points) -> PointSampling:
    wanted = [points[side] for side in SIDES]
    if name == "fsLR":
        wanted.append(standard_grayordinates().voxel_points)
    return PointSampling.between(bundle.voxels, np.concatenate(wanted))


def _shares(mesh: Mesh) -> dict[str, float]:
    """Return how many cortical vertices lie inside the model's voxels, at the rim, and outside."""
    cortex = np.flatnonzero(_cortex(mesh.name))
    whole, partial = (
        float(np.mean(kind[cortex])) for kind in (mesh.sampling.whole, mesh.sampling.partial)
    )
    return {
        "ShareOfVerticesWithPartialSupport": round(partial, 5),
        "ShareOfVerticesWithoutValue": round(1 - whole - partial, 5),
    }


def _spatial_reference(name: MeshName, density: str) -> str | dict[str, str]:
    template = f"{_TEMPLATEFLOW}/tpl-{name}"
    if density != _GRAYORDINATES:
        return template
    volume = f"{_TEMPLATEFLOW}/tpl-{TEMPLATE_SPACE}/tpl-{TEMPLATE_SPACE}_res-02_T1w.nii.gz"
    surface = f"{template}/tpl-{name}_den-32k_hemi-{{}}_midthickness.surf.gii"
    return {
        "VolumeReference": volume,
        "CIFTI_STRUCTURE_LEFT_CORTEX": surface.format("L"),
        "CIFTI_STRUCTURE_RIGHT_CORTEX": surface.format("R"),
    }
