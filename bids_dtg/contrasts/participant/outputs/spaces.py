"""Further spaces of maps: one row each in `OUTPUT_SPACES`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from bids_dtg.errors import RunError, SettingsError, did_you_mean
from bids_dtg.files.annex import require_contents
from bids_dtg.files.names import same_label
from bids_dtg.imaging.grid import Grid, grid_over
from bids_dtg.imaging.header import read_header
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.surfaces.templates import DENSITIES
from bids_dtg.imaging.transforms.itk import read_transforms
from bids_dtg.imaging.warp import Warp
from bids_dtg.inputs.anatomy import Anatomy
from bids_dtg.inputs.run import TransformFile
from bids_dtg.inputs.templateflow import TemplateFlow

# Of a T1w image's field of view: a head of 20 cm at half a millimetre.
_MOST_VOXELS = 2**26
_ALIASES = {"anat": "T1w"}  # of fMRIPrep's option


@dataclass(frozen=True, eq=False)
class Target:
    """A grid of another space, and the transforms from its points to the model's."""

    grid: Grid  # of the resampled maps
    transforms: tuple[TransformFile, ...]  # from its points to the model's, in order
    image: Path | None = None  # image that defines its field of view; None: the template's

    @property
    def personal(self) -> bool:
        """Whether it belongs to one participant."""
        return self.image is not None

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Files that values on it depend on."""
        image = () if self.image is None else (self.image,)
        return (*(transform.path for transform in self.transforms), *image)

    def warp(self, places: VoxelPlaces) -> Warp:
        """Return the weights from the model's places to its voxels; computed once for a template.

        Raises
        ------
        RunError
            A transform cannot be read, or leads to another space.
        """
        return _warp(places, self.grid, self.transforms)


@dataclass(frozen=True)
class Needs:
    """Sources from which a target is found."""

    model: Grid  # of the maps
    templateflow: TemplateFlow  # where transforms between templates are
    anatomy: Callable[[], Anatomy]  # the participant's; RunError where the input has none


@dataclass(frozen=True)
class OutputSpace:
    """A space, and how its grid and transforms are found."""

    name: str  # value of space-, and of --output-spaces
    words: str  # description of its grid and needs, for the documentation
    personal: bool  # one for each participant
    resolution: str | None  # value of res-; None: its names have none
    find: Callable[[Needs], Target]


def _template(
    name: str, shape: tuple[int, int, int], origin_mm: tuple[float, float, float]
) -> OutputSpace:
    """Make the row of a template on TemplateFlow's grid of 2 mm."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = origin_mm
    grid = Grid(shape, affine, name)

    def find(needs: Needs) -> Target:
        way = needs.templateflow.transform(name, needs.model.space)
        return Target(grid, (TransformFile(way),))

    sizes = " x ".join(map(str, shape))
    words = f"TemplateFlow's grid of 2 mm ({sizes} voxels), by its transform from the model's space"
    return OutputSpace(name, words, False, grid.resolution, find)


def _find_t1w(needs: Needs) -> Target:
    anatomy = needs.anatomy()
    transforms, image = anatomy.points_to(needs.model.space), anatomy.t1w
    files = (image, *(transform.path for transform in transforms))
    require_contents(files, anatomy.participant)
    header = read_header(image)
    if len(header.shape) < 3:
        raise RunError(f"{image} has sizes {header.shape}", expected="an image of three dimensions")
    if header.forms_differ_mm:
        raise RunError(
            f"{image} has an sform and a qform that put a voxel {header.forms_differ_mm:.3g} mm "
            "apart, and transforms lead to one of them",
            expected="two forms that agree",
            remedy="find out which the transforms were made with and set the code of the other to "
            "0",
        )
    sizes = needs.model.voxel_sizes_mm
    grid = grid_over(header.shape, header.affine, (min(sizes),) * 3, space="T1w")
    if (voxels := int(np.prod(grid.shape))) > _MOST_VOXELS:
        edges = " x ".join(f"{edge:.0f}" for edge in np.array(grid.shape) * min(sizes))
        raise RunError(
            f"{image} has a field of view of {edges} mm, {voxels} voxels of the model",
            expected=f"a head in at most {_MOST_VOXELS} of them",
        )
    return Target(grid, transforms, image)


OUTPUT_SPACES: Mapping[str, OutputSpace] = {
    row.name: row
    for row in (
        _template("MNI152NLin2009cAsym", (97, 115, 97), (-96.5, -132.5, -78.5)),
        _template("MNI152NLin6Asym", (91, 109, 91), (-90.0, -126.0, -72.0)),
        OutputSpace(
            "T1w",
            "the field of view of the participant's T1w image along its own axes, at the model's "
            "voxel size, by fMRIPrep's transforms",
            True,
            None,
            _find_t1w,
        ),
    )
}


def choose_spaces(asked: Sequence[str], model: str) -> tuple[OutputSpace, ...]:
    """Return the rows that `--output-spaces` names, each once.

    Parameters
    ----------
    asked
        Names, with `:res-` as in fMRIPrep's spelling.
    model
        Space in which maps are always written; it may also be asked for.

    Raises
    ------
    SettingsError
        There is no such space, or not at this resolution.

    Examples
    --------
    >>> asked = ["MNI152NLin2009cAsym:res-2", "anat"]
    >>> [row.name for row in choose_spaces(asked, "MNI152NLin6Asym")]
    ['MNI152NLin2009cAsym', 'T1w']
    """
    found = {row.name: row for row in map(_row, asked)}
    return tuple(row for name, row in found.items() if name != model)


def _row(asked: str) -> OutputSpace:
    name, *modifiers = asked.split(":")
    row = OUTPUT_SPACES.get(_ALIASES.get(name, name))
    legal = ", ".join(
        other.name + (f"[:res-{other.resolution}]" if other.resolution else "")
        for other in OUTPUT_SPACES.values()
    )
    if row is None:
        # As fMRIPrep's fsaverage5.
        begun = (mesh for mesh in DENSITIES if name.casefold().startswith(mesh.casefold()))
        mesh = next(begun, None)
        raise SettingsError(
            f"--output-spaces has '{asked}'" + (", which is a mesh" if mesh else ""),
            expected=f"of {legal}",
            remedy=f"--surfaces {mesh} writes the maps on it"
            if mesh
            else did_you_mean(name, [*OUTPUT_SPACES, *_ALIASES]),
        )
    for modifier in modifiers:
        key, _, value = modifier.partition("-")
        if key != "res" or row.resolution is None or not same_label("run", value, row.resolution):
            raise SettingsError(
                f"--output-spaces has '{asked}', and maps are not written so",
                expected=f"of {legal}",
                remedy="resample the maps by antsApplyTransforms where another grid is wanted",
            )
    return row


@lru_cache(maxsize=4)  # shared by all participants for a template; places compare by id
def _warp(places: VoxelPlaces, grid: Grid, transforms: tuple[TransformFile, ...]) -> Warp:
    try:
        return Warp.between(places, grid, read_transforms(transforms))
    except ValueError as err:
        names = " and ".join(transform.path.name for transform in transforms)
        raise RunError(
            f"{names}: {err}", expected=f"transforms from {grid.space} to {places.grid.space}"
        ) from err
