"""A participant's midthickness surfaces as files, and the transforms to the model's space.

Names that programs write: HCP's pipelines below ``MNINonLinear/fsaverage_LR32k``; fMRIPrep 25 and
later on fsLR's mesh, 23.1 to 24 on FreeSurfer's mesh with spheres registered to fsLR; XCP-D under
fMRIPrep's names, but with points that have been moved to the template.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bids_dtg.errors import RunError
from bids_dtg.files.foreign import matching, require_contents
from bids_dtg.inputs.anatomy import Anatomy
from bids_dtg.inputs.dataset import InputDataset, made_by
from bids_dtg.inputs.run import TransformFile
from bids_dtg.inputs.selection import NamedFile, named_files
from bids_dtg.inputs.studies import Study, person_folders
from bids_dtg.inputs.templateflow import TemplateFlow, TransformPlannedError

Side = Literal["L", "R"]

_SIDES: tuple[Side, Side] = ("L", "R")
# Never below T1w, where files have the same names and points are in another space.
_HCP_FOLDER = Path("MNINonLinear", "fsaverage_LR32k")
# By the registration of the mesh: areal features, then folds alone.
_HCP_KINDS = ("midthickness_MSMAll", "midthickness")
# Of a surface that fMRIPrep made itself, or was given; of one that XCP-D moved.
_FMRIPREP_DESCS, _XCPD_DESCS = (None, "preproc"), ("hcp", None)
# Spheres registered to fsLR by folds (MSM), or by way of fsaverage.
_SPHERE_DESCS = ("msmsulc", "reg")


@dataclass(frozen=True)
class SurfaceSide:
    """The files of one hemisphere."""

    midthickness: Path  # halfway between white matter and pia
    # Its vertices on a sphere that is registered to fsLR; None: they are fsLR's already.
    sphere: Path | None = None
    # The same registered to fsaverage, where it is there: another sphere, in sound data.
    fsaverage_sphere: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """All that are read."""
        named = (self.midthickness, self.sphere, self.fsaverage_sphere)
        return tuple(path for path in named if path)


@dataclass(frozen=True)
class SurfaceFiles:
    """The surfaces of one participant, and why these."""

    reason: str  # one clause
    # Empty: the participant has none that can be used, and a template's surface stands in.
    sides: Mapping[Side, SurfaceSide] = field(default_factory=dict)
    # Their composition maps points of the surfaces to points of the model's space.
    transforms: tuple[TransformFile, ...] = ()

    @property
    def inputs(self) -> tuple[Path, ...]:
        """All files that values at the vertices depend on."""
        surfaces = tuple(path for side in self.sides.values() for path in side.paths)
        return (*surfaces, *(transform.path for transform in self.transforms))


def find_surfaces(
    dataset: InputDataset,
    participant: str,
    session: str | None,
    *,
    model: str,
    templateflow: TemplateFlow,
) -> SurfaceFiles:
    """Find a participant's midthickness surfaces.

    Parameters
    ----------
    dataset
        The input, of any type.
    participant
        Participant's label, without ``sub-``.
    session
        Label without ``ses-``; None: maps of all sessions together.
    model
        Template of the model's grid.
    templateflow
        Where transforms between templates are.

    Returns
    -------
    SurfaceFiles
        Without sides, and with the reason, where no surface leads to the model's space.

    Raises
    ------
    RunError
        A file is there by name only, as DataLad and git-annex leave it.
    TransformPlannedError
        A transform would be fetched, if this were no plan.
    """
    if dataset.study is not None:
        found = _in_study(dataset.study, dataset.root, participant, session)
    else:
        found = _in_derivatives(dataset, participant, session, model, templateflow)
    require_contents(found.inputs, participant)
    return found


def _in_study(study: Study, root: Path, participant: str, session: str | None) -> SurfaceFiles:
    folders = [
        folder.path
        for folder in person_folders(study, root, participant)
        if session in (None, folder.session)
    ]
    for folder in folders:
        for kind in _HCP_KINDS:
            sides: dict[Side, SurfaceSide] = {
                side: SurfaceSide(paths[0])
                for side in _SIDES
                if (paths := _hcp_surfaces(folder, side, kind))
            }
            if len(sides) == len(_SIDES):
                return SurfaceFiles(f"{kind} of {folder.name}/{_HCP_FOLDER}", sides)
    where = ", ".join(f"{folder.name}/{_HCP_FOLDER}" for folder in folders)
    return SurfaceFiles(f"{where} has no midthickness of both sides")


def _hcp_surfaces(folder: Path, side: Side, kind: str) -> list[Path]:
    return matching(folder / _HCP_FOLDER, f"*.{side}.{kind}.32k_fs_LR.surf.gii")


def _in_derivatives(
    dataset: InputDataset,
    participant: str,
    session: str | None,
    model: str,
    templateflow: TemplateFlow,
) -> SurfaceFiles:
    anatomy = Anatomy(dataset.root, participant, session, templateflow)
    moved = "xcpd" in (dataset.input_type, made_by(dataset.description))
    for folder in anatomy.folders:
        sides, words = _of_folder(folder, participant, moved)
        if not sides:
            continue
        if moved:
            return SurfaceFiles(f"{words}, which XCP-D moved to {model}", sides)
        try:
            return SurfaceFiles(words, sides, anatomy.points_to(model))
        except TransformPlannedError:
            raise
        except RunError as err:
            return SurfaceFiles(f"{words} cannot be brought to {model}: {err.found}")
    return SurfaceFiles(
        f"sub-{participant} has neither midthickness surfaces on fsLR's mesh, nor some with "
        "spheres that are registered to it"
    )


def _of_folder(folder: Path, participant: str, moved: bool) -> tuple[dict[Side, SurfaceSide], str]:
    """Return both sides, on the best mesh that has both, and words on them; none: empty."""
    surfaces = named_files(sorted(folder.glob(f"sub-{participant}_*hemi-*.surf.gii")))
    descs = _XCPD_DESCS if moved else _FMRIPREP_DESCS
    sides: dict[Side, SurfaceSide] = {}
    for side in _SIDES:
        if path := _pick(surfaces, side, "midthickness", ("fsLR",), ("32k",), descs):
            sides[side] = SurfaceSide(path)
    if len(sides) == len(_SIDES):
        return sides, f"midthickness on fsLR's mesh of {_short(folder)}"
    sides = {}
    for side in _SIDES:
        path = _pick(surfaces, side, "midthickness", (None,), (None,), descs)
        sphere = _pick(surfaces, side, "sphere", ("fsLR",), (None,), _SPHERE_DESCS)
        other = _pick(surfaces, side, "sphere", ("fsaverage", None), (None,), ("reg",))
        if path and sphere:
            sides[side] = SurfaceSide(path, sphere, other)
    if len(sides) == len(_SIDES):
        return sides, f"midthickness of {_short(folder)}, moved to fsLR's mesh"
    return {}, ""


def _pick(
    surfaces: Sequence[NamedFile],
    side: Side,
    suffix: str,
    spaces: Sequence[str | None],
    densities: Sequence[str | None],
    descs: Sequence[str | None],
) -> Path | None:
    """Return the file of a side that has the first of each of these entities; None: none has."""
    for space in spaces:
        for desc in descs:
            for file in surfaces:
                has = tuple(file.name.get(key) for key in ("hemi", "space", "den", "desc"))
                if file.name.suffix == suffix and has in {
                    (side, space, density, desc) for density in densities
                }:
                    return file.path
    return None


def _short(folder: Path) -> str:
    """Return a folder's path from the participant on."""
    parts = folder.parts
    first = next(n for n, part in enumerate(parts) if part.startswith("sub-"))
    return "/".join(parts[first:])
