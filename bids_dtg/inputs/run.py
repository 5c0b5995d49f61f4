"""One resting-state run as files, and the information in file names."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Literal, TypeVar

from bids_dtg.errors import RunError
from bids_dtg.files.names import BidsName, parse_name
from bids_dtg.files.sidecars import applies_to
from bids_dtg.files.text import read_json

SPACE = "MNI152NLin6Asym"  # space of the published models, and of HCP and UK Biobank
BIDS_SPACE = "MNI152NLin6ASym"  # the same template, as the BIDS specification spells it
# The run's own grid, for which fMRIPrep gives no space or one of these.
NATIVE = "boldref"
_NATIVE_NAMES = frozenset({"boldref", "func", "run"})
T1W = "T1w"
PARCELS = "fsLR parcels"  # space of CIFTI parcels
PARCEL_MAPS = (".pscalar.nii",)  # extension of maps of parcels
# Extensions of parcel time series, the best first; grayordinates (last) are averaged here.
PARCEL_SERIES = (".ptseries.nii", ".tsv", ".dtseries.nii")
SURFACE = "fsLR"  # space of the cortex in CIFTI files
IMAGES = (".nii.gz", ".nii")
OF_PARCELS = "hcp-glasser"  # the packaged model that reads parcels
# Extension of a hemisphere's series on a mesh, and its spaces: all have fsaverage's registration.
GIFTI_SERIES = ".func.gii"
FSAVERAGES = ("fsaverage5", "fsaverage6", "fsaverage")
# Entities about storage, which differ between the files of one run, not about the measurement.
STORAGE = frozenset(
    {
        "hemi",
        "space",
        "cohort",
        "res",
        "den",
        "desc",
        "label",
        "seg",
        "atlas",
        "scale",
        "stat",
    }
)
# Entities that derivatives may lack, as fMRIPrep combines echoes, and magnitude and phase.
COMBINED = frozenset({"echo", "part"})

# A template's name in a sidecar: within a file's name (tpl-...), or alone.
_TEMPLATE = re.compile(r".*?tpl-([0-9A-Za-z]+).*|(?!orig$)([0-9A-Za-z]+)", re.DOTALL)
_JOINED = frozenset({"run", "dir"})  # entities that joined series lack

# A criterion for a part of a name: a label, None (no such entity), or a tuple, the best first.
Wanted = str | tuple[str | None, ...] | None
_T = TypeVar("_T")


class SeveralFilesError(RunError):
    """Two files fit a run or an anatomy equally well, so nobody can say which belongs to it."""


@dataclass(frozen=True)
class NamedFile:
    """A file or folder, and its parsed BIDS name: its real one, or the one it would have."""

    path: Path  # absolute
    name: BidsName  # entities, suffix, extension

    @property
    def participant(self) -> str:
        """Label without `sub-`."""
        return self.name.get("sub") or ""

    @property
    def session(self) -> str | None:
        """Label without `ses-`."""
        return self.name.get("ses")

    @property
    def task(self) -> str:
        """Label without `task-`; empty if the name has none."""
        return self.name.get("task") or ""

    @property
    def measured(self) -> tuple[tuple[str, str], ...]:
        """The entities that identify the measurement: the same for all files of a run."""
        return tuple(pair for pair in self.name.entities if pair[0] not in STORAGE)

    @property
    def title(self) -> str:
        """Name of the measurement, for messages, e.g. `sub-01_task-rest_run-1`."""
        return "_".join(f"{key}-{value}" for key, value in self.measured)

    @property
    def space(self) -> str:
        """The space given by the name; `NATIVE` for the run's own grid."""
        if is_parcel_series(self.name):
            return PARCELS
        space = self.name.get("space")
        return NATIVE if space in _NATIVE_NAMES else template_name(space or NATIVE)


@dataclass(frozen=True)
class TransformFile:
    """A transform file, and the direction in which it is used.

    A file named `from-A_to-B` resamples images of A onto B, so it maps points of B to points of
    A. A run's transforms are listed in the order in which they are applied to a point of the
    model's space; the last one gives a point of the BOLD file's space.
    """

    # ITK text (.txt, .tfm), composite (.h5), or displacement field (.nii.gz).
    path: Path
    inverse: bool = False  # use the inverse of the file's transform
    # Only for FSL warp fields: the image that is warped, whose header defines the coordinates.
    warped: Path | None = None
    # In a plan, that the file is missing and would be fetched; else empty.
    missing: str = ""


Side = Literal["L", "R"]
# Surface over whose vertices parcels are averaged.
Cortex = Literal["own", "fsaverage", "template"]


@dataclass(frozen=True)
class SurfaceSide:
    """Files of one hemisphere's cortex, on the fsLR mesh or with spheres registered to a mesh."""

    # The surface halfway between white matter and pia; or these two, whose mean it is.
    midthickness: tuple[Path, ...]
    # Spheres with the same vertices, registered to fsLR and to fsaverage; none on the fsLR mesh.
    fs_lr_sphere: Path | None = None
    fsaverage_sphere: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of the hemisphere."""
        spheres = filter(None, (self.fs_lr_sphere, self.fsaverage_sphere))
        return (*self.midthickness, *spheres)


Sides = dict[Side, SurfaceSide]


@dataclass(frozen=True)
class SurfaceFiles:
    """The midthickness surfaces of one participant, or a template's, and the reason."""

    reason: str  # one clause
    # Empty if the participant has no usable surfaces, and a template's surface is used instead.
    sides: Sides = field(default_factory=dict)
    # Their composition maps points of the surfaces to points of the space where they are needed:
    # the model's for maps, that of the BOLD series for a run.
    transforms: tuple[TransformFile, ...] = ()
    template: str = SPACE  # the space of the points of a template's surface
    # Transforms of points from the files' space to T1w space; FreeSurfer's files need them.
    to_t1w: tuple[TransformFile, ...] = ()
    # The probability of grey matter in the space of the surfaces, which shows misplaced ones.
    grey_matter: Path | None = None
    # The template's surface, if the position is wrong.
    instead: SurfaceFiles | None = None
    # The same files, if their meshes show that they lie in T1w space, as XCP-D leaves or moves
    # them; without sides where there is no transform. None: the space is known.
    in_t1w: SurfaceFiles | None = None
    # Program whose version decides where meshes do not, and whether it leaves them in T1w space.
    maker: str = ""
    stays_in_t1w: bool = False

    @property
    def inputs(self) -> tuple[Path, ...]:
        """All files that values at the vertices depend on."""
        instead = self.instead.transforms if self.instead else ()
        files = list(chain.from_iterable(side.files for side in self.sides.values()))
        if self.in_t1w:
            files += self.in_t1w.inputs
        if self.grey_matter:
            files.append(self.grey_matter)
        for transform in (*self.to_t1w, *self.transforms, *instead):
            if not transform.missing:
                files.append(transform.path)
        return tuple(dict.fromkeys(files))


@dataclass(frozen=True)
class RestRun:
    """One resting-state run, as files; no image has been opened yet."""

    bold: Path  # absolute path of the BOLD series
    entities: tuple[tuple[str, str], ...]  # of the BOLD file's name, in its order
    participant: str  # label without sub-, from the participant's folder
    space: str  # space of the BOLD series: a template's name, T1w or boldref
    root: Path  # the derivatives dataset
    mask: Path | None = None  # brain mask; None if there is none
    confounds: Path | None = None  # confounds table; None if there is none
    sidecars: tuple[Path, ...] = ()  # JSON files read for it, nearest first
    # RepetitionTime of the sidecars; None if only in the header.
    tr_seconds: float | None = None
    # Their composition maps points of the model's space to points of the BOLD series' space.
    transforms: tuple[TransformFile, ...] = ()
    # For parcels that are averaged over vertices, at which volumes are sampled; else None.
    surfaces: SurfaceFiles | None = None
    space_reason: str = ""  # why this version of the run was chosen
    cleaned_before: bool = False  # whether another program has already cleaned it
    cleaned_as: str = ""  # HCP's name of its cleaning; empty for other inputs
    # Residual degrees of freedom from a sidecar, if cleaned.
    dof_stated: float | None = None
    outliers: Path | None = None  # XCP-D's table of frames flagged for motion
    motion: Path | None = None  # XCP-D's table of motion

    @property
    def session(self) -> str | None:
        """Label without `ses-`."""
        return self.named.session

    @property
    def task(self) -> str:
        """Label without `task-`."""
        return self.named.task

    @property
    def dof_known(self) -> bool:
        """Whether its residual degrees of freedom can be computed."""
        return not self.cleaned_before or self.dof_stated is not None

    @property
    def time_sidecar(self) -> Path | None:
        """The sidecar that states the repetition time: the last one that was read."""
        if not self.sidecars or self.tr_seconds is None:
            return None
        return self.sidecars[-1]

    @property
    def cortex(self) -> Cortex | None:
        """The surface over whose vertices parcels are averaged here; None: over none."""
        if self.surfaces is not None:
            return "own" if self.surfaces.sides else "template"
        return "fsaverage" if self.bold.name.endswith(GIFTI_SERIES) else None

    @property
    def inputs(self) -> tuple[Path, ...]:
        """All files on which the run's results depend, without those that would be fetched."""
        transforms = (step.path for step in self.transforms if not step.missing)
        surface_files = self.surfaces.inputs if self.surfaces else ()
        files = (
            self.bold,
            other_side(self.bold),
            self.mask,
            self.confounds,
            self.outliers,
            self.motion,
            *self.sidecars,
            *transforms,
            *surface_files,
        )
        return tuple(path for path in files if path)

    @property
    def named(self) -> NamedFile:
        """The BOLD series, with its real BIDS name, or the one it would have."""
        return NamedFile(self.bold, BidsName(self.entities, "bold", ".nii.gz"))

    @property
    def title(self) -> str:
        """Name for messages, e.g. `sub-01_task-rest_run-1`."""
        return self.named.title


def template_name(space: str) -> str:
    """Return TemplateFlow's name of a template that BIDS spells otherwise; other names unchanged.

    Examples
    --------
    >>> template_name("MNI152NLin6ASym"), template_name("T1w")
    ('MNI152NLin6Asym', 'T1w')
    """
    return SPACE if space == BIDS_SPACE else space


def other_side(path: Path) -> Path | None:
    """Return the right hemisphere's file beside a left one's series on a mesh; else None.

    Examples
    --------
    >>> other_side(Path("sub-01_task-rest_hemi-L_space-fsaverage5_bold.func.gii")).name
    'sub-01_task-rest_hemi-R_space-fsaverage5_bold.func.gii'
    """
    if not path.name.endswith(GIFTI_SERIES):
        return None
    return path.with_name(path.name.replace("_hemi-L", "_hemi-R"))


def named_files(paths: Iterable[Path]) -> list[NamedFile]:
    """Parse the names of files and sort them; files without a BIDS name are left out."""
    files = []
    for path in sorted(paths, key=str):
        try:
            files.append(NamedFile(path, parse_name(path.name)))
        except ValueError:
            continue  # notes, scripts and copies of users
    return files


def having(files: Iterable[NamedFile], **wanted: Wanted) -> list[NamedFile]:
    """Keep files by the suffix, extension and entities of their names.

    Each criterion is a label, None (no such entity), or a tuple of these; files that match earlier
    entries of a tuple come first.

    Examples
    --------
    >>> names = ["sub-01_desc-brain_mask.nii.gz", "sub-01_space-T1w_desc-brain_mask.nii.gz"]
    >>> masks = having(named_files(map(Path, names)), suffix="mask", space=("T1w", None))
    >>> [file.name.get("space") for file in masks]
    ['T1w', None]
    """
    ranked = [(_ranks(file, wanted), file) for file in files]
    fitting = [(ranks, file) for ranks, file in ranked if ranks is not None]
    return [file for _, file in sorted(fitting, key=lambda pair: pair[0])]


def best(files: Iterable[NamedFile], what: str, **wanted: Wanted) -> NamedFile | None:
    """Return the file that fits best, by the criteria of `having`; None if none fits.

    Parameters
    ----------
    files, wanted
        As for `having`; earlier extensions are not better.
    what
        What the file is, for the error message.

    Raises
    ------
    SeveralFilesError
        Two files fit equally well.

    Examples
    --------
    >>> files = named_files([Path("sub-01_T1w.nii"), Path("sub-01_space-T1w_T1w.nii")])
    >>> best(files, "the image", suffix="T1w", space=(None, "T1w")).path.name
    'sub-01_T1w.nii'
    >>> best(files, "the image", suffix="T1w")
    Traceback (most recent call last):
    bids_dtg.inputs.run.SeveralFilesError: two files may be the image: sub-01_... and sub-01_...
    """
    fitting = having(files, **wanted)
    criteria = {key: labels for key, labels in wanted.items() if key != "extension"}
    ranks = [_ranks(file, criteria) for file in fitting[:2]]
    if len(ranks) > 1 and ranks[0] == ranks[1]:
        require_one([file.path for file in fitting], what)
    return fitting[0] if fitting else None


def require_one(paths: Sequence[Path], what: str) -> None:
    """Refuse several files that fit equally well; `what` says what each of them may be."""
    if len(paths) > 1:
        raise SeveralFilesError(
            f"two files may be {what}: {paths[0]} and {paths[1]}",
            expected="one of them",
            remedy="remove or rename the one that does not belong here",
        )


def _ranks(file: NamedFile, wanted: Mapping[str, Wanted]) -> list[int] | None:
    """Return the position of a file's label in each criterion; None: it misfits."""
    labels = {"suffix": file.name.suffix, "extension": file.name.extension}
    labels |= dict(file.name.entities)
    ranks = []
    for key, allowed in wanted.items():
        choices = allowed if isinstance(allowed, tuple) else (allowed,)
        if labels.get(key) not in choices:
            return None
        ranks.append(choices.index(labels.get(key)))
    return ranks


def is_parcel_series(name: BidsName) -> bool:
    """Return whether a name is of parcel time series, or of grayordinates to average over parcels.

    Examples
    --------
    >>> names = (
    ...     "sub-01_task-rest_space-fsLR_seg-Glasser_stat-mean_timeseries.tsv",
    ...     "sub-01_task-rest_space-fsLR_seg-Glasser_stat-pearsoncorrelation_relmat.tsv",
    ...     "sub-01_task-rest_space-MNI152NLin6Asym_seg-Glasser_stat-mean_timeseries.tsv",
    ...     "sub-01_task-rest_space-fsLR_den-91k_bold.dtseries.nii",
    ... )
    >>> [is_parcel_series(parse_name(name)) for name in names]
    [True, False, False, True]
    """
    if name.get("space") != SURFACE:
        return name.extension in PARCEL_SERIES[:1]
    if name.extension == ".tsv":
        is_mean = name.suffix == "timeseries" and name.get("stat") == "mean"
        return is_mean and bool(name.get("seg") or name.get("atlas"))
    return name.extension in PARCEL_SERIES


def is_series(path: Path) -> bool:
    """Return whether a file holds series of parcels, grayordinates or vertices, not volumes.

    Examples
    --------
    >>> names = "bold.dtseries.nii", "timeseries.tsv", "bold.func.gii", "bold.nii.gz"
    >>> [is_series(Path(name)) for name in names]
    [True, True, True, False]
    """
    return path.name.endswith((*PARCEL_SERIES, GIFTI_SERIES))


def is_rest(name: BidsName) -> bool:
    """Return whether the task in a name begins with rest."""
    return (name.get("task") or "").lower().startswith("rest")


def belongs_to(name: BidsName, run: BidsName, but: Collection[str] = ()) -> bool:
    """Return whether a file belongs to a run, and not to another run, according to its name.

    It must have all entities of the run, except those of storage, echo and part, and no others.

    Parameters
    ----------
    name, run
        Names of the file and of the BOLD series.
    but
        Entities of the file that do not identify a run.

    Examples
    --------
    >>> run = parse_name("sub-01_task-rest_run-1_part-mag_desc-preproc_bold.nii.gz")
    >>> belongs_to(parse_name("sub-01_task-rest_run-01_desc-brain_mask.nii.gz"), run)
    True
    >>> belongs_to(parse_name("sub-01_task-rest_desc-brain_mask.nii.gz"), run)
    False
    """
    file_entities = without(name, {*STORAGE, *but})
    run_entities = without(run, STORAGE | COMBINED)
    return applies_to(file_entities, run) and applies_to(run_entities, name)


def without(name: BidsName, keys: Collection[str]) -> BidsName:
    """Return a name without some entities."""
    entities = tuple(pair for pair in name.entities if pair[0] not in keys)
    return BidsName(entities, name.suffix, name.extension)


def stated_space(sidecars: Iterable[Path]) -> str | None:
    """Return the template that the first of some JSON files names; missing files are ignored."""
    for content in map(read_json, sidecars):
        for key in ("SpatialReference", "Space"):
            match = _TEMPLATE.fullmatch(str(content.get(key, "")))
            if match:
                return template_name(match[1] or match[2])
    return None


def without_joins(
    runs: Iterable[_T],
    file_of: Callable[[_T], NamedFile],
    ignored: Collection[str] = (),
    *,
    joins: Callable[[_T, Sequence[_T]], bool] = lambda run, parts: True,
) -> list[_T]:
    """Leave out series that join series of the list, as their minutes would count twice.

    The name of a joined series lacks run-, dir- or both, which its parts have. There may be only
    one part if a program excluded the others for motion.

    Parameters
    ----------
    runs, file_of
        The series, and the function that returns the file of each.
    ignored
        Further entities in which a joined series and its parts may differ.
    joins
        Whether a series joins those that are its parts by their names.
    """
    runs = list(runs)
    single_runs = []
    for run in runs:
        run_entities = {
            pair for pair in file_of(run).measured if pair[0] not in ignored
        }
        parts = []
        for part in runs:
            part_entities = set(file_of(part).measured)
            further_keys = {key for key, _ in part_entities - run_entities}
            is_allowed = further_keys <= {*_JOINED, *ignored}
            if run_entities < part_entities and is_allowed and further_keys & _JOINED:
                parts.append(part)
        if parts and joins(run, parts):
            names = ", ".join(file_of(part).path.name for part in parts)
            line = f"{file_of(run).path.name} is left out: it joins {names}"
            warnings.warn(line, stacklevel=4)
        else:
            single_runs.append(run)
    return single_runs


def natural_order(title: str) -> list[str]:
    """Return a sort key that puts run-10 after run-9."""
    return [
        part.zfill(12) if part.isdecimal() else part
        for part in re.split(r"(\d+)", title)
    ]
