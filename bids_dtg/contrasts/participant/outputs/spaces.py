"""Further spaces of maps: their grids, and transforms between them and the model's grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.participant.outputs.maps import WORDS, Entities, File, map_path
from bids_dtg.errors import RunError, SettingsError, did_you_mean
from bids_dtg.files.foreign import require_contents
from bids_dtg.files.names import same_label
from bids_dtg.imaging.grid import Grid, grid_over
from bids_dtg.imaging.nifti import read_header, require_one_form
from bids_dtg.imaging.placement import PointSampling, sample_grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.surfaces.meshes import DENSITIES
from bids_dtg.imaging.transforms import read_transforms
from bids_dtg.inputs.anatomy import Anatomy
from bids_dtg.inputs.run import BIDS_SPACE, SPACE, SeveralFilesError, TransformFile
from bids_dtg.inputs.templateflow import TemplateFlow, TransformMissingError
from bids_dtg.participants.origin import source_uri
from bids_dtg.report.contents import RESAMPLED

# Limit for a T1w image's field of view; as many as in a head of 20 cm at half a millimetre.
_MOST_VOXELS = 2**26
_COPY = "copy the anat folder of fMRIPrep's derivatives there, or leave T1w out of --output-spaces"
# Other names of the same spaces, from fMRIPrep and from the BIDS specification.
_ALIASES = {"anat": "T1w", BIDS_SPACE: SPACE}


@dataclass(frozen=True, eq=False)
class Target:
    """A grid of another space, and the transforms from its points to the model's."""

    grid: Grid  # of the resampled maps
    transforms: tuple[TransformFile, ...]  # from its points to the model's, in order
    # Image that defines its field of view; None: the template's.
    image: Path | None = None

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Files that maps on this grid depend on."""
        files = [step.path for step in self.transforms if not step.missing]
        if self.image is not None:
            files.append(self.image)
        return tuple(files)

    def sampling(self, places: VoxelPlaces) -> tuple[VoxelPlaces, PointSampling]:
        """Return the grid's voxels, and the resampling of maps to them; cached for a template.

        Raises
        ------
        RunError
            A transform cannot be read, or leads to another space.
        """
        return _sampling(places, self.grid, self.transforms)


def _grid_2mm(
    space: str, shape: tuple[int, int, int], origin_mm: tuple[float, float, float]
) -> Grid:
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = origin_mm
    return Grid(shape, affine, space)


# TemplateFlow's grids of 2 mm.
_TEMPLATES = {
    grid.space: grid
    for grid in (
        _grid_2mm("MNI152NLin2009cAsym", (97, 115, 97), (-96.5, -132.5, -78.5)),
        _grid_2mm("MNI152NLin6Asym", (91, 109, 91), (-90.0, -126.0, -72.0)),
    )
}
T1W = "T1w"  # the participant's own


def find_target(
    name: str, model: Grid, templateflow: TemplateFlow, anatomy: Callable[[], Anatomy]
) -> Target:
    """Find the grid of a space, and the transforms from it to the model's.

    Parameters
    ----------
    name
        From `choose_spaces`.
    model
        Grid of the maps.
    templateflow
        Where transforms between templates are.
    anatomy
        Finds the participant's T1w image and transforms.

    Raises
    ------
    RunError
        The participant's transforms or T1w image are missing, or cannot be used.
    """
    if name == T1W:
        return _on_t1w(anatomy(), model)
    return Target(_TEMPLATES[name], (templateflow.step(name, model.space),))


def _on_t1w(anatomy: Anatomy, model: Grid) -> Target:
    """Return a grid over the field of view of a T1w image, with the model's voxel size."""
    try:
        transforms, image = anatomy.points_to(model.space), anatomy.t1w
    except (TransformMissingError, SeveralFilesError):
        raise
    except RunError as err:
        raise err.as_kind(RunError, remedy=_COPY) from err
    files = (image, *(step.path for step in transforms if not step.missing))
    require_contents(files, anatomy.participant)
    header = read_header(image)
    if len(header.shape) < 3:
        raise RunError(
            f"{image} has sizes {header.shape}", expected="an image of three dimensions"
        )
    require_one_form(header)
    size_mm = min(model.voxel_sizes_mm)
    grid = grid_over(header.shape, header.affine, size_mm, space="T1w")
    voxels = int(np.prod(grid.shape))
    if voxels > _MOST_VOXELS:
        edges = " x ".join(f"{edge:.0f}" for edge in np.array(grid.shape) * size_mm)
        raise RunError(
            f"{image} has a field of view of {edges} mm, {voxels} voxels at the model's size",
            expected=f"at most {_MOST_VOXELS} voxels",
        )
    return Target(grid, transforms, image)


def choose_spaces(names: Sequence[str], model: str) -> tuple[str, ...]:
    """Return the spaces that `--output-spaces` names, each once.

    Parameters
    ----------
    names
        With `:res-` as in fMRIPrep's spelling.
    model
        The model's space, in which maps are always written; it is left out.

    Raises
    ------
    SettingsError
        The space or the resolution is unknown.

    Examples
    --------
    >>> choose_spaces(["MNI152NLin2009cAsym:res-2", "anat"], "MNI152NLin6Asym")
    ('MNI152NLin2009cAsym', 'T1w')
    >>> choose_spaces(["MNI152NLin6ASym"], "MNI152NLin2009cAsym")
    ('MNI152NLin6Asym',)
    """
    spaces = dict.fromkeys(map(_space, names))
    return tuple(space for space in spaces if space != model)


def _space(name: str) -> str:
    """Return the space that a name with modifiers stands for."""
    spelling, *modifiers = name.split(":")
    space = _ALIASES.get(spelling, spelling)
    templates = [f"{key}[:res-{grid.resolution}]" for key, grid in _TEMPLATES.items()]
    expected = f"one of {', '.join([*templates, T1W])}"
    if space not in (*_TEMPLATES, T1W):
        # A mesh, such as fMRIPrep's fsaverage5.
        meshes = [mesh for mesh in DENSITIES if _begins_with(spelling, mesh)]
        if meshes:
            raise SettingsError(
                f"--output-spaces has '{name}', which is a mesh",
                expected=expected,
                remedy=f"--surfaces {meshes[0]} writes the maps on it",
            )
        raise SettingsError(
            f"--output-spaces has '{name}'",
            expected=expected,
            remedy=did_you_mean(spelling, [*_TEMPLATES, T1W, *_ALIASES]),
        )
    grid = _TEMPLATES.get(space)
    resolution = "" if grid is None else grid.resolution or ""
    for modifier in modifiers:
        key, _, value = modifier.partition("-")
        is_resolution = key == "res" and same_label("run", value, resolution)
        if grid is None or not is_resolution:
            raise SettingsError(
                f"--output-spaces has '{name}', which maps cannot be written in",
                expected=expected,
                remedy="for another grid, resample the maps with antsApplyTransforms",
            )
    return space


def _begins_with(name: str, start: str) -> bool:
    return name.casefold().startswith(start.casefold())


def space_sidecar(
    entities: Entities, target: Target, bundle: ModelBundle, root: Path, source: str
) -> File:
    """Return the sidecar of a further space, which adds to the one that all maps inherit.

    Parameters
    ----------
    entities
        BIDS entities of the average.
    target
        The space.
    bundle
        The model.
    root, source
        Folder of the input dataset, and its name in BIDS URIs.
    """
    words, grid = WORDS["spaces"], target.grid
    reference, resolution = grid.metadata["SpatialReference"], words["template"]
    if target.image is not None:
        reference = source_uri(target.image, root, source)
        resolution = words["T1w"]
    sizes = " x ".join(f"{size:.4g}" for size in grid.voxel_sizes_mm)
    shape = " x ".join(map(str, grid.shape))
    facts = {
        **grid.metadata,
        "SpatialReference": reference,
        "Resolution": resolution.format(sizes=sizes, shape=shape),
        RESAMPLED: bundle.grid.space,
        "Interpolation": words["interpolation"],
        "Transforms": [transform.path.name for transform in target.transforms],
        "Sources": [source_uri(path, root, source) for path in target.inputs],
    }
    places = VoxelPlaces(grid, bundle.voxels.positions[:0])
    return map_path(entities, bundle, ".json", places=places), facts


# For a template, shared by all participants; places are compared by id.
@lru_cache(maxsize=4)
def _sampling(
    places: VoxelPlaces, grid: Grid, transforms: tuple[TransformFile, ...]
) -> tuple[VoxelPlaces, PointSampling]:
    try:
        return sample_grid(places, grid, read_transforms(transforms))
    except ValueError as err:
        names = " and ".join(transform.path.name for transform in transforms)
        raise RunError(
            f"{names}: {err}",
            expected=f"transforms from {grid.space} to {places.grid.space}",
        ) from err
