"""One resting-state run as files: the images, tables and transforms that belong together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bids_dtg.files.names import BidsName
from bids_dtg.inputs.selection import STORAGE, NamedFile


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
    mask: Path | None  # its brain mask, None where there is none
    confounds: Path | None  # its table of confounds, None where there is none
    entities: tuple[tuple[str, str], ...]  # of the BOLD file's name, in its order
    participant: str  # label without sub-
    session: str | None  # label without ses-
    task: str  # label without task-
    space: str  # space that the BOLD series is in: a template's name, T1w or boldref
    tr_seconds: float | None  # RepetitionTime of the sidecars; None: only the header knows
    sidecars: tuple[Path, ...]  # JSON files read for it, nearest first
    root: Path  # the dataset of derivatives
    # Their composition maps points of the model's space to points of the BOLD series' space.
    transforms: tuple[TransformFile, ...] = ()
    space_reason: str = ""  # why this version of the run was taken
    cleaned_before: bool = False  # by another program than this one
    cleaned_as: str = ""  # which of several cleanings its file has, by its name; empty: no choice
    dof_stated: float | None = None  # left by that cleaning; None where no sidecar has them
    outliers: Path | None = None  # XCP-D's table of the frames that it flagged for motion

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
        return "_".join(f"{k}-{v}" for k, v in self.entities if k not in STORAGE)
