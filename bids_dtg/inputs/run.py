"""One resting-state run as files, and what the names of a dataset's files say of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

from bids_dtg.files.names import BidsName, parse_name
from bids_dtg.files.sidecars import applies_to

SPACE = "MNI152NLin6Asym"  # of the models that are published, and of HCP and UK Biobank
# The grid of the run itself: fMRIPrep names no space then, or one of these.
NATIVE = "boldref"
_OWN_GRID = frozenset({"boldref", "func", "run"})
T1W = "T1w"
# Parcels of CIFTI, and what names of series and maps of them end with.
PARCELS, PARCEL_MAPS = "fsLR parcels", (".pscalar.nii",)
# Series of parcels, the best first: of XCP-D, its tables, and grayordinates, which are averaged.
PARCEL_SERIES = (".ptseries.nii", ".tsv", ".dtseries.nii")
SURFACE = "fsLR"  # where the cortex of CIFTI files lies
IMAGES = (".nii.gz", ".nii")
# Storage, not measurement: what differs between files of one run.
STORAGE = frozenset(
    {"space", "cohort", "res", "den", "desc", "label", "seg", "atlas", "scale", "stat"}
)
# fMRIPrep makes one file of the echoes, and of magnitude and phase: its name may lack them.
COMBINED = frozenset({"echo", "part"})

_T = TypeVar("_T")


@dataclass(frozen=True)
class NamedFile:
    """A file or folder, and its name taken apart: the one that it has in BIDS, or would have."""

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
        """Label without `task-`; empty: it is of none."""
        return self.name.get("task") or ""

    @property
    def measured(self) -> tuple[tuple[str, str], ...]:
        """The entities that say what was measured: the same for all files of a run."""
        return tuple(pair for pair in self.name.entities if pair[0] not in STORAGE)

    @property
    def title(self) -> str:
        """Name of what was measured, for messages, e.g. `sub-01_task-rest_run-1`."""
        return "_".join(f"{key}-{value}" for key, value in self.measured)

    @property
    def space(self) -> str:
        """The space that it is in by its name; `NATIVE` for the run's own grid."""
        if is_parcel_series(self.name):
            return PARCELS
        space = self.name.get("space")
        return NATIVE if space in _OWN_GRID else space or NATIVE


@dataclass(frozen=True)
class TransformFile:
    """A transform file, and which way round it is used.

    A file named `from-A_to-B` resamples images of A onto B: it maps points of B
    to points of A. A run's transforms are listed in the order in which they meet
    a point of the model's space; the last gives a point of the BOLD file's space.
    """

    path: Path  # ITK text (.txt, .tfm), composite (.h5), or displacement field (.nii.gz)
    inverse: bool = False  # use the file's inverse: it maps points the other way
    # Only for a warp field of FSL: the image that it warps, whose header gives its coordinates.
    warped: Path | None = None


@dataclass(frozen=True)
class RestRun:
    """One resting-state run, as files; no image has been opened."""

    bold: Path  # absolute path of the BOLD series
    entities: tuple[tuple[str, str], ...]  # of the BOLD file's name, in its order
    participant: str  # label without sub- of the folder that it is in
    space: str  # space that the BOLD series is in: a template's name, T1w or boldref
    root: Path  # the dataset of derivatives
    mask: Path | None = None  # its brain mask, None where there is none
    confounds: Path | None = None  # its table of confounds, None where there is none
    sidecars: tuple[Path, ...] = ()  # JSON files read for it, nearest first
    tr_seconds: float | None = None  # RepetitionTime of the sidecars; None: only the header knows
    # Their composition maps points of the model's space to points of the BOLD series' space.
    transforms: tuple[TransformFile, ...] = ()
    space_reason: str = ""  # why this version of the run was taken
    cleaned_before: bool = False  # by another program than this one
    cleaned_as: str = ""  # which of several cleanings its file has, by its name; empty: no choice
    dof_stated: float | None = None  # left by that cleaning; None where no sidecar has them
    outliers: Path | None = None  # XCP-D's table of the frames that it flagged for motion

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
        """The sidecar that states the repetition time: the last that was read for it."""
        return self.sidecars[-1] if self.sidecars and self.tr_seconds is not None else None

    @property
    def inputs(self) -> tuple[Path, ...]:
        """All files that the run's results depend on."""
        transforms = (transform.path for transform in self.transforms)
        tables = (self.confounds, self.outliers)
        files = (self.bold, self.mask, *tables, *self.sidecars, *transforms)
        return tuple(path for path in files if path)

    @property
    def named(self) -> NamedFile:
        """Its series, with the BIDS name that it has, or would have."""
        return NamedFile(self.bold, BidsName(self.entities, "bold", ".nii.gz"))

    @property
    def title(self) -> str:
        """Name for messages, e.g. `sub-01_task-rest_run-1`."""
        return self.named.title


def named_files(paths: Iterable[Path]) -> list[NamedFile]:
    """Take the names of files apart, sorted; those that BIDS does not know are left out."""
    files = []
    for path in sorted(paths, key=str):
        try:
            files.append(NamedFile(path, parse_name(path.name)))
        except ValueError:
            continue  # notes, scripts and copies that people leave lying about
    return files


def having(
    files: Iterable[NamedFile], **wanted: str | tuple[str | None, ...] | None
) -> list[NamedFile]:
    """Keep files by the suffix, the extension and entities of their names.

    Each is a label, None (no such entity), or one of several of these: files that have the first
    of them come first.

    Examples
    --------
    >>> names = ["sub-01_desc-brain_mask.nii.gz", "sub-01_space-T1w_desc-brain_mask.nii.gz"]
    >>> found = having(named_files(map(Path, names)), suffix="mask", space=("T1w", None))
    >>> [file.name.get("space") for file in found]
    ['T1w', None]
    """
    allowed = {key: each if isinstance(each, tuple) else (each,) for key, each in wanted.items()}
    found = []
    for file in files:
        own = {"suffix": file.name.suffix, "extension": file.name.extension}
        own |= dict(file.name.entities)
        if all(own.get(key) in each for key, each in allowed.items()):
            found.append(([each.index(own.get(key)) for key, each in allowed.items()], file))
    return [file for _, file in sorted(found, key=itemgetter(0))]


def is_parcel_series(name: BidsName) -> bool:
    """Return whether a name is that of a series of parcels, or of what can be averaged over them.

    Examples
    --------
    >>> names = (
    ...     "sub-01_task-rest_space-fsLR_seg-Glasser_stat-mean_timeseries.tsv",
    ...     "sub-01_task-rest_space-MNI152NLin6Asym_seg-Glasser_stat-mean_timeseries.tsv",
    ...     "sub-01_task-rest_space-fsLR_den-91k_bold.dtseries.nii",
    ... )
    >>> [is_parcel_series(parse_name(name)) for name in names]
    [True, False, True]
    """
    if name.get("space") != SURFACE:
        return name.extension in PARCEL_SERIES[:1]
    if name.extension == ".tsv":
        of_atlas = name.get("seg") or name.get("atlas")
        return name.suffix == "timeseries" and name.get("stat") == "mean" and bool(of_atlas)
    return name.extension in PARCEL_SERIES


def is_rest(name: BidsName) -> bool:
    """Return whether a file is of a task whose name begins with rest."""
    return (name.get("task") or "").lower().startswith("rest")


def belongs_to(name: BidsName, run: BidsName, but: Collection[str] = ()) -> bool:
    """Return whether a file is a run's own by its name, and not that of another run.

    It has all entities of the run but those of storage, echo and part, and no others.

    Parameters
    ----------
    name, run
        Names of the file and of the BOLD series.
    but
        Entities of the file that do not say which run it is of.

    Examples
    --------
    >>> run = parse_name("sub-01_task-rest_run-1_part-mag_desc-preproc_bold.nii.gz")
    >>> belongs_to(parse_name("sub-01_task-rest_run-01_desc-brain_mask.nii.gz"), run)
    True
    >>> belongs_to(parse_name("sub-01_task-rest_desc-brain_mask.nii.gz"), run)
    False
    """
    own, needed = without(name, {*STORAGE, *but}), without(run, STORAGE | COMBINED)
    return applies_to(own, run) and applies_to(needed, name)


def without(name: BidsName, keys: Collection[str]) -> BidsName:
    """Leave entities out of a name."""
    return replace(name, entities=tuple(pair for pair in name.entities if pair[0] not in keys))


def two_alike(items: Iterable[_T], key: Callable[[_T], Hashable]) -> tuple[_T, _T] | None:
    """Return the first two items of one key; None: all differ.

    Examples
    --------
    >>> two_alike(["A1", "b", "a1"], str.casefold)
    ('A1', 'a1')
    """
    known: dict[Hashable, _T] = {}
    for item in items:
        other = known.setdefault(key(item), item)
        if other is not item:
            return other, item
    return None


def natural_order(title: str) -> list[str]:
    """Sort run-10 after run-9."""
    return [part.zfill(12) if part.isdecimal() else part for part in re.split(r"(\d+)", title)]
