"""Maps at the vertices of surfaces, and as grayordinates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, cast

import numpy as np

from bids_dtg.array_types import Float32, Float64, Mask
from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.participant.outputs.maps import WORDS, AverageMaps, File
from bids_dtg.contrasts.participant.outputs.spaces import Sampling
from bids_dtg.errors import SettingsError, did_you_mean
from bids_dtg.files.names import build_path
from bids_dtg.files.paths import PathNames
from bids_dtg.imaging.atlas import Atlas
from bids_dtg.imaging.grid import apply_affine
from bids_dtg.imaging.placement import PointSampling
from bids_dtg.imaging.surfaces.cifti import (
    ParcelPlaces,
    encode_dscalar,
    standard_grayordinates,
)
from bids_dtg.imaging.surfaces.meshes import (
    DENSITIES,
    SIDES,
    TEMPLATE_SPACE,
    Hemisphere,
    MeshName,
    both_sides,
    encode_metrics,
    read_midthickness,
    read_template,
)
from bids_dtg.imaging.surfaces.painting import Painting, paint_mesh, painted
from bids_dtg.inputs.run import PARCELS, SurfaceFiles
from bids_dtg.participants.origin import source_uri
from bids_dtg.report.contents import SYNTHETIC

Points = Mapping[Hemisphere, Float64]

_TEMPLATEFLOW = "https://templateflow.s3.amazonaws.com"
_GRAYORDINATES = "91k"
_WORDS = WORDS["surfaces"]


def check_surfaces(names: Sequence[str], space: str) -> tuple[MeshName, ...]:
    """Return the requested meshes, each once.

    Parameters
    ----------
    names
        Names, as on the command line.
    space
        Template of the model's grid, or that of parcels.

    Raises
    ------
    SettingsError
        A mesh is unknown, or there are no surfaces for the model's space.
    """
    for name in names:
        if name not in DENSITIES:
            raise SettingsError(
                f"--surfaces names '{name}'",
                expected=f"one or more of {', '.join(DENSITIES)}",
                remedy=did_you_mean(name, DENSITIES),
            )
    if names and space not in (TEMPLATE_SPACE, PARCELS):
        raise SettingsError(
            f"--surfaces was given for a model in {space}",
            expected=f"a model in {TEMPLATE_SPACE}",
        )
    return tuple(cast("MeshName", name) for name in dict.fromkeys(names))


def sample_mesh(
    bundle: ModelBundle, name: MeshName, files: SurfaceFiles | None
) -> Sampling:
    """Find how maps come to a mesh; those of voxels to the person's own fsLR surfaces, if any.

    Returns
    -------
    PointSampling or Painting
        To the vertices of the left side, then of the right side, and for fsLR from voxels to those
        of the 91k grayordinates.

    Raises
    ------
    RunError
        The participant's surfaces are damaged or missing.
    """
    if isinstance(bundle.places, ParcelPlaces):
        return paint_mesh(bundle.places, name)
    if files is not None and _are_own(files, name):
        return _sampling(bundle, name, read_midthickness(files, bundle.brain_voxels))
    return _template_sampling(bundle, name)


def at_parcels(
    bundle: ModelBundle, atlas: Atlas, maps: Float32, files: SurfaceFiles | None
) -> Float32:
    """Return maps where an atlas has labels: at these voxels, or at fsLR's vertices.

    Parameters
    ----------
    bundle
        The model.
    atlas
        The atlas, at the voxels of `atlas_voxels` or at vertices.
    maps
        (maps, voxels or parcels).
    files
        The participant's surfaces; None for a template's.

    Raises
    ------
    RunError
        The participant's surfaces are damaged or missing.
    """
    if atlas.surface is None:
        if isinstance(bundle.places, ParcelPlaces):
            maps = painted(bundle.places, TEMPLATE_SPACE)[1].apply(maps)
        return maps
    at_mesh = sample_mesh(bundle, "fsLR", files).apply(maps)
    return at_mesh[:, : len(atlas.labels)]


def _are_own(files: SurfaceFiles | None, name: MeshName) -> bool:
    """Return whether a mesh is on the participant's surfaces, not on a template's."""
    return name == "fsLR" and files is not None and bool(files.sides)


def template_note(files: SurfaceFiles | None) -> str | None:
    """Say why maps on fsLR use a template's surfaces; None if they do not."""
    if files is None or files.sides:
        return None
    return f"maps on fsLR are sampled on {_WORDS['template']}: {files.reason}"


def surface_map_files(
    average: AverageMaps, mesh: MeshName, sampling: Sampling, facts: Mapping[str, Any]
) -> Iterator[File]:
    """Yield the files of maps on a mesh, with sidecars: both sides, and for fsLR grayordinates.

    Parameters
    ----------
    average
        The maps, at the model's voxels or parcels.
    mesh, sampling
        The mesh, and how maps are sampled on it.
    facts
        From `surface_facts`; left out for parcels, which are not sampled.
    """

    def path(extension: str, density: str, side: str | None = None) -> PurePosixPath:
        named = {"hemi": side, "space": mesh, "den": density}
        part = average.bundle.part
        named |= {"seg": part.atlas, "stat": part.statistic, "desc": SYNTHETIC}
        return build_path({**average.entities, **named}, "statmap", extension)

    labels = average.labels
    is_painted = isinstance(sampling, Painting)
    dense = [_GRAYORDINATES] if mesh == "fsLR" and not is_painted else []
    cortex = both_sides(read_template(mesh).cortex)
    for density in [DENSITIES[mesh], *dense]:
        sidecar = {
            "Contrasts": labels,
            "Density": _WORDS["densities"][density],
            "SpatialReference": _spatial_reference(mesh, density),
            **(_WORDS["painted_facts"] if is_painted else {**facts, **_WORDS["facts"]}),
            **_shares(sampling, cortex),
        }
        yield path(".json", density), sidecar
    values = sampling.apply(average.chosen)
    vertices, voxels = np.split(values, [len(cortex)], axis=1)
    if dense:
        grayordinates = np.concatenate([vertices[:, cortex], voxels], axis=1)
        image = encode_dscalar(grayordinates, labels)
        yield path(".dscalar.nii", _GRAYORDINATES), image
    if is_painted and mesh == "fsLR":
        image = encode_dscalar(vertices[:, cortex], labels, cortex_only=True)
        yield path(".dscalar.nii", DENSITIES[mesh]), image
    vertices[:, ~cortex] = np.nan
    values_of_sides = np.split(vertices, len(SIDES), axis=1)
    for side, side_values in zip(SIDES, values_of_sides, strict=True):
        name = path(".func.gii", DENSITIES[mesh], side)
        yield name, encode_metrics(side_values, side, names=labels)


def surface_facts(
    mesh: MeshName,
    files: SurfaceFiles | None,
    root: Path,
    source: str,
    names: PathNames,
) -> dict[str, Any]:
    """Return which surfaces the samples are from, and why.

    Parameters
    ----------
    mesh
        The mesh.
    files
        The participant's surfaces; None if none were looked for.
    root, source
        Folder of the input dataset, and its name in BIDS URIs.
    names
        Replaces folder names in sentences.
    """
    kind = "own" if _are_own(files, mesh) else "template"
    why = f": {files.reason}" if files is not None and mesh == "fsLR" else ""
    facts: dict[str, Any] = {
        "Surfaces": "participant" if kind == "own" else kind,
        "SurfaceNote": names.hide(f"Sampled on {_WORDS[kind]}{why}."),
    }
    if files is not None and kind == "own":
        facts["SurfaceSources"] = [
            source_uri(path, root, source) for path in files.inputs
        ]
    return facts


@lru_cache(maxsize=4)
def _template_sampling(bundle: ModelBundle, name: MeshName) -> PointSampling:
    return _sampling(bundle, name, read_template(name).points)


def _sampling(bundle: ModelBundle, name: MeshName, points: Points) -> PointSampling:
    wanted = [both_sides(points)]
    if name == "fsLR":
        dense = standard_grayordinates()
        wanted.append(apply_affine(dense.affine, dense.voxel[dense.volume_mask]))
    return PointSampling.between(bundle.voxels, np.concatenate(wanted))


def _shares(sampling: Sampling, cortex: Mask) -> dict[str, float]:
    """Return the shares of cortical vertices at the edge of the model's mask, and outside it."""
    vertices = np.flatnonzero(cortex)
    inside = float(sampling.whole[vertices].mean())
    at_edge = float(sampling.partial[vertices].mean())
    return {
        "ShareOfVerticesWithPartialSupport": round(at_edge, 5),
        "ShareOfVerticesWithoutValue": round(1 - inside - at_edge, 5),
    }


def _spatial_reference(name: MeshName, density: str) -> str | dict[str, str]:
    template = f"{_TEMPLATEFLOW}/tpl-{name}"
    if density != _GRAYORDINATES:
        return template
    volume = (
        f"{_TEMPLATEFLOW}/tpl-{TEMPLATE_SPACE}/tpl-{TEMPLATE_SPACE}_res-02_T1w.nii.gz"
    )
    surface = f"{template}/tpl-{name}_den-32k_hemi-{{}}_midthickness.surf.gii"
    return {
        "VolumeReference": volume,
        "CIFTI_STRUCTURE_LEFT_CORTEX": surface.format("L"),
        "CIFTI_STRUCTURE_RIGHT_CORTEX": surface.format("R"),
    }
