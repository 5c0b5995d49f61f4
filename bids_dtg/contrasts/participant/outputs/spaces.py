"""Further spaces of maps: their grids, and how values of voxels or parcels come there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

import numpy as np

from bids_dtg.contrasts.bundle.bundle import ModelBundle
from bids_dtg.contrasts.participant.outputs.maps import (
    WORDS,
    AverageMaps,
    File,
    map_path,
)
from bids_dtg.errors import RunError, SettingsError, did_you_mean
from bids_dtg.files.foreign import require_contents
from bids_dtg.files.names import build_name, same_label
from bids_dtg.files.regions import name_cell
from bids_dtg.files.text import tsv_text
from bids_dtg.imaging.grid import TEMPLATE_GRIDS, Grid, grid_over
from bids_dtg.imaging.nifti import encode_integers, read_header, require_one_form
from bids_dtg.imaging.placement import PointSampling, sample_grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces
from bids_dtg.imaging.surfaces.meshes import DENSITIES
from bids_dtg.imaging.surfaces.painting import (
    OWN_MM,
    TEMPLATE_MM,
    Painting,
    paint_voxels,
    painted,
    voxels_near,
)
from bids_dtg.imaging.surfaces.vertices import read_own_cortex
from bids_dtg.imaging.transforms import read_transforms
from bids_dtg.inputs.anatomy import Anatomy
from bids_dtg.inputs.run import (
    BIDS_SPACE,
    SPACE,
    SeveralFilesError,
    SurfaceFiles,
    TransformFile,
)
from bids_dtg.inputs.templateflow import TemplateFlow, TransformMissingError
from bids_dtg.participants.origin import model_facts, source_uri
from bids_dtg.report.contents import RESAMPLED
from bids_dtg.version import __version__

Sampling: TypeAlias = PointSampling | Painting  # how maps come to other points
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
    # The person's own surfaces in this space, near which parcels are painted; None: a template's.
    surfaces: SurfaceFiles | None = None

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Files that maps on this grid depend on."""
        files = [step.path for step in self.transforms if not step.missing]
        if self.image is not None:
            files.append(self.image)
        if self.surfaces is not None:
            files += self.surfaces.inputs
        return tuple(files)

    @property
    def way(self) -> str:
        """How maps come to this grid, in a few words."""
        names = ", ".join(transform.path.name for transform in self.transforms)
        if names:
            return f"through {names}"
        return (
            "near the person's own surfaces" if self.surfaces else "near a template's"
        )

    def sampling(
        self, places: VoxelPlaces | ParcelPlaces
    ) -> tuple[VoxelPlaces, Sampling]:
        """Return the grid's voxels, and how maps come to them; cached for a template.

        Raises
        ------
        RunError
            A transform or a surface cannot be read, or leads to another space.
        """
        if isinstance(places, VoxelPlaces):
            return _sampling(places, self.grid, self.transforms)
        if self.surfaces is None:
            return painted(places, self.grid.space)
        mesh, _ = read_own_cortex(self.surfaces)
        return paint_voxels(places, *voxels_near(mesh, self.grid, OWN_MM))


PAINTABLE = tuple(TEMPLATE_GRIDS)  # those whose surface comes with the program
T1W = "T1w"  # the participant's own
LABEL_EXTENSIONS = (".json", ".tsv", ".nii.gz")  # of files of painted labels
_PAINTED_MM = 2.0  # voxel edge of parcels painted in T1w


def find_target(
    name: str,
    model: Grid | None,
    templateflow: TemplateFlow,
    anatomy: Callable[[], Anatomy],
    surfaces: SurfaceFiles | None = None,
) -> Target:
    """Find the grid of a space, and the transforms from it to the model's.

    Parameters
    ----------
    name
        From `choose_spaces`.
    model
        Grid of the maps; None: they are of parcels, which are painted.
    templateflow
        Where transforms between templates are.
    anatomy
        Finds the participant's T1w image and transforms.
    surfaces
        The participant's own surfaces in T1w space, near which parcels are painted.

    Raises
    ------
    RunError
        The participant's transforms or T1w image are missing, or cannot be used.
    """
    transforms: tuple[TransformFile, ...] = ()
    if name != T1W:
        if model is not None:
            transforms = (templateflow.step(name, model.space),)
        return Target(TEMPLATE_GRIDS[name], transforms)
    with _anatomy_files():
        person_anatomy = anatomy()
        if model is not None:
            transforms = person_anatomy.points_to(model.space)
        image = person_anatomy.t1w
    files = [step.path for step in transforms if not step.missing]
    require_contents((image, *files), person_anatomy.participant)
    size_mm = _PAINTED_MM if model is None else min(model.voxel_sizes_mm)
    return Target(_grid_of(image, size_mm), transforms, image, surfaces)


@contextmanager
def _anatomy_files() -> Iterator[None]:
    """Add what to do to errors about missing files of a person's anatomy."""
    try:
        yield
    except (TransformMissingError, SeveralFilesError):
        raise
    except RunError as err:
        raise err.as_kind(RunError, remedy=_COPY) from err


def _grid_of(image: Path, size_mm: float) -> Grid:
    """Return a grid over the field of view of a T1w image."""
    header = read_header(image)
    if len(header.shape) < 3:
        raise RunError(
            f"{image} has sizes {header.shape}", expected="an image of three dimensions"
        )
    require_one_form(header)
    grid = grid_over(header.shape, header.affine, size_mm, space="T1w")
    voxels = int(np.prod(grid.shape))
    if voxels > _MOST_VOXELS:
        edges = " x ".join(f"{edge:.0f}" for edge in np.array(grid.shape) * size_mm)
        raise RunError(
            f"{image} has a field of view of {edges} mm, {voxels} voxels at the model's size",
            expected=f"at most {_MOST_VOXELS} voxels",
        )
    return grid


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
    templates = [
        f"{key}[:res-{grid.resolution}]" for key, grid in TEMPLATE_GRIDS.items()
    ]
    expected = f"one of {', '.join([*templates, T1W])}"
    if space not in (*TEMPLATE_GRIDS, T1W):
        # A mesh, such as fMRIPrep's fsaverage5.
        plain = spelling.casefold()
        meshes = [mesh for mesh in DENSITIES if plain.startswith(mesh.casefold())]
        if meshes:
            raise SettingsError(
                f"--output-spaces has '{name}', which is a mesh",
                expected=expected,
                remedy=f"--surfaces {meshes[0]} writes the maps on it",
            )
        raise SettingsError(
            f"--output-spaces has '{name}'",
            expected=expected,
            remedy=did_you_mean(spelling, [*TEMPLATE_GRIDS, T1W, *_ALIASES]),
        )
    grid = TEMPLATE_GRIDS.get(space)
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


def space_sidecar(
    average: AverageMaps, target: Target, root: Path, source: str
) -> File:
    """Return the sidecar of a further space, which adds to the one that all maps inherit.

    Parameters
    ----------
    average
        The maps in this space.
    target
        The space.
    root, source
        Folder of the input dataset, and its name in BIDS URIs.
    """
    words, grid = WORDS["spaces"], target.grid
    reference, resolution = grid.metadata["SpatialReference"], words["template"]
    if target.image is not None:
        reference = source_uri(target.image, root, source)
        resolution = words["T1w"]
    facts = {
        **grid.metadata,
        "SpatialReference": reference,
        "Resolution": _resolution(resolution, grid),
        **_how(target, average.bundle),
    }
    # FreeSurfer's folder beside the dataset has no URI.
    files = [
        path
        for path in target.inputs
        if target.surfaces is None or path.is_relative_to(root)
    ]
    if files:
        facts["Sources"] = [source_uri(path, root, source) for path in files]
    path = map_path(average.entities, average.bundle, ".json", places=average.voxels)
    return path, facts


def _resolution(words: str, grid: Grid) -> str:
    """Describe the size and number of a grid's voxels."""
    sizes = " x ".join(f"{size:.4g}" for size in grid.voxel_sizes_mm)
    return words.format(sizes=sizes, shape=" x ".join(map(str, grid.shape)))


def _how(target: Target, bundle: ModelBundle) -> dict[str, Any]:
    """Return the sidecar's fields on how values came to a space."""
    words = WORDS["spaces"]
    if not isinstance(bundle.places, ParcelPlaces):
        return {
            RESAMPLED: bundle.grid.space,
            "Interpolation": words["interpolation"],
            "Transforms": [transform.path.name for transform in target.transforms],
        }
    is_own_surface = target.surfaces is not None
    rule = words["painting"].format(
        surface="the person's own" if is_own_surface else "a template's",
        within=OWN_MM if is_own_surface else TEMPLATE_MM,
    )
    error = {} if is_own_surface else {"InterpolationNote": words["painting_error"]}
    return {RESAMPLED: bundle.places.entities["space"], "Interpolation": rule, **error}


def label_files(
    bundle: ModelBundle, target: Target, voxels: VoxelPlaces, painting: Painting
) -> Iterator[File]:
    """Yield the sidecar of a template's label image of painted parcels, its table and the image.

    Their extensions are `LABEL_EXTENSIONS`. The image is encoded when it is asked for.

    Parameters
    ----------
    bundle
        The model.
    target
        The template's grid.
    voxels, painting
        From `Target.sampling`.
    """
    places = bundle.places
    assert isinstance(places, ParcelPlaces)  # as they are painted
    label, grid = bundle.part.atlas, target.grid
    folder = PurePosixPath(f"tpl-{grid.space}")
    named = {"tpl": grid.space, "seg": label, "res": grid.resolution}
    sidecar, table, image = (
        folder / build_name(named, "dseg", extension) for extension in LABEL_EXTENSIONS
    )
    words = WORDS["labels"]
    yield (
        sidecar,
        {
            "Description": words["description"].format(atlas=label),
            "SpatialReference": grid.metadata["SpatialReference"],
            "Resolution": _resolution(WORDS["spaces"]["template"], grid),
            **_how(target, bundle),
            **model_facts(bundle),
            "ParcelsSHA256": bundle.parcels_sha256,
        },
    )
    rows = [[number, name_cell(name)] for number, name in enumerate(places.names, 1)]
    yield table, tsv_text(["index", "name"], rows).encode()
    numbers = voxels.volume((painting.parcel + 1).astype(np.int16))
    description = f"bids_dtg {__version__} labels of {label}"
    yield image, encode_integers(numbers, grid, description=description)


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
