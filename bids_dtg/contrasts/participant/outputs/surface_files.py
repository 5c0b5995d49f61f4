"""Maps at the vertices of surfaces, and as grayordinates: names, sidecars and bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.contrasts.participant.outputs.layers import Layer
from bids_dtg.contrasts.participant.outputs.map_files import OutputFile, interval_facts
from bids_dtg.errors import SettingsError, did_you_mean
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.names import build_path
from bids_dtg.files.path_names import PathNames
from bids_dtg.files.text import write_json
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
from bids_dtg.notices import counted
from bids_dtg.participants.averages import AveragedRuns
from bids_dtg.participants.origin import model_facts, source_uri
from bids_dtg.report.contents import half_width_path

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


@dataclass(frozen=True, eq=False)
class SurfaceMaps:
    """Writes the maps of a call on surfaces."""

    bundle: ModelBundle  # the model whose maps they are
    meshes: tuple[MeshName, ...]  # the requested meshes
    find: Callable[[AveragedRuns], SurfaceFiles]  # finds the surfaces of the average's participant
    source: str  # name of the input dataset in BIDS URIs
    names: PathNames  # replace folders in sentences on surfaces

    def files_of(self, planned: AveragedRuns) -> SurfaceFiles | None:
        """Return the participant's surfaces; None if no requested mesh can use them."""
        return self.find(planned) if "fsLR" in self.meshes else None

    def notes(self, planned: AveragedRuns) -> tuple[str, ...]:
        """Return a note if a template's surface replaces the participant's."""
        files = self.files_of(planned)
        if files is None or files.sides:
            return ()
        return (f"{planned.title}: maps on fsLR are sampled on {_TEMPLATE}: {files.reason}",)

    def read(self, planned: AveragedRuns) -> tuple[Mesh, ...]:
        """Read the surfaces that an average is written on.

        Raises
        ------
        RunError
            The participant's surfaces are damaged, or not where the derivatives name them.
        """
        return tuple(
            self.mesh(planned) if name == "fsLR" else _template_mesh(self.bundle, name)
            for name in self.meshes
        )

    def write(
        self,
        planned: AveragedRuns,
        layers: Sequence[Layer],
        meshes: Sequence[Mesh],
        output: DerivativeDataset,
    ) -> Iterator[PurePosixPath]:
        """Write layers on meshes, with their sidecars, and yield the paths.

        Layers that all participants share, on a template's surface, are written once in the
        template's folder.

        """
        for mesh in meshes:
            for layer in layers:
                sheet = _Sheet(self, planned, layer, mesh)
                sidecars = dict(sheet.sidecars())
                paths = [*sidecars, *sheet.paths()]
                if not (sheet.shared and all(output.path(path).exists() for path in paths)):
                    for path, content in sidecars.items():
                        write_json(output.path(path), content)
                    for file in sheet.files():
                        output.write(file.path, file.data)
                yield from paths

    def mesh(self, planned: AveragedRuns) -> Mesh:
        """Read the surfaces of an average's participant on fsLR's mesh.

        Raises
        ------
        RunError
            See `read`.
        """
        return _own_mesh(self, planned)


@dataclass(frozen=True, eq=False)
class _Sheet:
    """One layer on one mesh, and the files made from it."""

    asked: SurfaceMaps
    planned: AveragedRuns
    layer: Layer
    mesh: Mesh

    @property
    def contrasts(self) -> tuple[Contrast, ...]:
        """Contrasts of its maps: what all participants share is of all, whatever one call asks."""
        return self.asked.bundle.contrasts if self.shared else self.layer.contrasts

    @property
    def shared(self) -> bool:
        """Whether it is the same for all participants."""
        return self.layer.everybody and not self.mesh.own

    def path(self, extension: str, density: str, side: str | None = None) -> PurePosixPath:
        """Return the path of one of its files."""
        bundle = self.asked.bundle
        named = {
            "hemi": side,
            "space": self.mesh.name,
            "den": density,
            "stat": bundle.card.part.statistic,
        }
        if self.shared:
            return half_width_path(named, bundle.identity, extension)
        named = {**dict(self.planned.entities), **named, "desc": self.layer.desc}
        return build_path(named, "statmap", extension)

    def paths(self) -> Iterator[PurePosixPath]:
        """Yield the paths of its maps: grayordinates with fsLR, then both sides."""
        if self.mesh.name == "fsLR":
            yield self.path(".dscalar.nii", _GRAYORDINATES)
        for side in SIDES:
            yield self.path(".func.gii", DENSITIES[self.mesh.name], side)

    def files(self) -> Iterator[OutputFile]:
        """Yield its maps, in the order of `paths`."""
        mesh, paths = self.mesh, self.paths()
        labels = [contrast.label for contrast in self.contrasts]
        rows = [contrast.index for contrast in self.contrasts]
        values = mesh.sampling.apply(self.layer.values[rows])
        if mesh.name == "fsLR":
            places = standard_grayordinates()
            taken = np.concatenate([_cortex(mesh.name), _voxels(mesh)])
            yield OutputFile(next(paths), encode_dscalar(values[:, taken], labels, places))
        for side, path in zip(SIDES, paths, strict=True):
            start, stop = _vertices(mesh.name, side)
            maps = values[:, start:stop]
            maps[:, ~read_template(mesh.name).cortex[side]] = np.nan
            yield OutputFile(path, encode_metrics(maps, side, names=labels))

    def sidecars(self) -> Iterator[tuple[PurePosixPath, dict[str, Any]]]:
        """Yield path and content of its sidecars, one for each density."""
        bundle, layer, mesh = self.asked.bundle, self.layer, self.mesh
        for density in _densities(mesh.name):
            yield (
                self.path(".json", density),
                {
                    "Description": f"{layer.words}{counted(len(self.contrasts), 'contrast')}, "
                    "a map each",
                    "Contrasts": [contrast.label for contrast in self.contrasts],
                    "Units": bundle.card.part.units,
                    "Density": _DENSITY_WORDS[density],
                    "SpatialReference": _spatial_reference(mesh.name, density),
                    **self._surface_facts(),
                    "Interpolation": "trilinear, of voxels that have a value: their weights add up "
                    "to one",
                    "MissingValues": _NO_VALUE,
                    **_shares(mesh),
                    **({"IntervalCovers": layer.covers} if layer.covers else {}),
                    **(self._model_facts() if self.shared else {}),
                },
            )

    def _model_facts(self) -> dict[str, Any]:
        """Return the fields that a participant's files inherit from their set."""
        return {
            **interval_facts(self.asked.bundle),
            **model_facts(self.asked.bundle),
        }

    def _surface_facts(self) -> dict[str, Any]:
        """Return the surfaces of the samples, and the reason unless all participants share it."""
        asked, planned = self.asked, self.planned
        files = asked.files_of(planned) if self.mesh.name == "fsLR" else None
        if files is None or not self.mesh.own:
            why = "" if files is None or self.shared else f": {files.reason}"
            note = asked.names.hide(f"Sampled on {_TEMPLATE}{why}.")
            return {"Surfaces": "template", "SurfaceNote": note}
        root = planned.runs[0].root
        return {
            "Surfaces": "participant",
            "SurfaceNote": asked.names.hide(f"Sampled on {_OWN}: {files.reason}."),
            "SurfaceSources": [source_uri(path, root, asked.source) for path in files.inputs],
        }


def _vertices(name: MeshName, side: Hemisphere) -> tuple[int, int]:
    """Return the slice of one side in the vertices of both sides."""
    size = len(read_template(name).cortex["L"])
    return (0, size) if side == "L" else (size, 2 * size)


def _densities(name: MeshName) -> tuple[str, ...]:
    """Return the densities of a mesh's files: of GIFTI, and of CIFTI if there is one."""
    return (DENSITIES[name], *([_GRAYORDINATES] if name == "fsLR" else []))


def _cortex(name: MeshName) -> NDArray[np.intp]:
    """Return the vertices without the medial wall, both sides in a row."""
    cortex = read_template(name).cortex
    return np.flatnonzero(np.concatenate([cortex[side] for side in SIDES]))


def _voxels(mesh: Mesh) -> NDArray[np.intp]:
    """Return the points of a mesh that are voxels."""
    return np.arange(_vertices(mesh.name, "R")[1], len(mesh.sampling.support))


@lru_cache(maxsize=1)  # it is tried before it is written on
def _own_mesh(asked: SurfaceMaps, planned: AveragedRuns) -> Mesh:
    files = asked.files_of(planned)
    if files is None or not files.sides:
        return _template_mesh(asked.bundle, "fsLR")
    points = read_midthickness(files, asked.bundle.brain_voxels)
    return Mesh("fsLR", True, _sampling(asked.bundle, "fsLR", points))


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
    cortex = _cortex(mesh.name)
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
