"""Images and confounds at hand, as people hold them in Python: taken as a run of files.

What reads runs reads files. A path, or an image that nibabel has read from one, is that file with
all that lies beside it; an image or table in memory is written to a temporary folder. So one way
leads to a connectome, whoever calls.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import nibabel as nib
import numpy as np
from numpy.typing import ArrayLike

from bids_dtg.errors import DatasetError, RunError
from bids_dtg.files.annex import require_contents
from bids_dtg.files.names import parse_name
from bids_dtg.files.sidecars import repetition_time
from bids_dtg.files.temporary import temporary_error, temporary_folder
from bids_dtg.inputs.dataset import find_dataset
from bids_dtg.inputs.run import RestRun
from bids_dtg.inputs.runs import run_of_file
from bids_dtg.inputs.space_choice import SpaceRule
from bids_dtg.settings import InputType

if TYPE_CHECKING:
    import pandas as pd

# nibabel carries few types.
_nib: Any = nib
Image: TypeAlias = Any
ImageLike: TypeAlias = "str | Path | Image | RestRun"
ConfoundsLike: TypeAlias = "str | Path | pd.DataFrame | ArrayLike | None"

_FORMATS = (nib.Nifti1Image, nib.Nifti2Image)


@dataclass(frozen=True)
class AtHand:
    """An image at hand, as files."""

    run: RestRun  # the image and what belongs to it
    input_type: InputType  # of the dataset that it lies in
    columns: Path | None = None  # a table whose columns are all removed, in place of a strategy's


@contextmanager
def at_hand(
    image: ImageLike,
    confounds: ConfoundsLike = None,
    *,
    rule: SpaceRule,
    mask: str | Path | Image | None = None,
    tr_seconds: float | None = None,
) -> Iterator[AtHand]:
    """Take an image with its confounds as a run of files, for as long as it is read.

    Parameters
    ----------
    image
        Path of a BOLD series, an image of nibabel, or a run that `find_runs` has found. A file
        that fMRIPrep or XCP-D has named brings its brain mask, table of confounds, sidecars and
        transforms. Other names, and images in memory, are in the model's space.
    confounds
        Path or data frame: a table with fMRIPrep's columns, of which a strategy takes some. Array
        (frames, columns): all of it is removed. None: the table beside the file.
    rule
        Where the run is wanted.
    mask
        The run's brain mask; None: that beside the file, where there is one.
    tr_seconds
        Time between frames; None: that of the sidecars or the header.

    Raises
    ------
    RunError
        Inside the context too, without the names of temporary files: a file cannot be used.
    SettingsError
        There is no folder for temporary files, or no space in it.
    TypeError
        Something is no image and no table.
    """
    with temporary_folder() as folder:
        try:
            yield _as_files(image, confounds, folder, rule, mask, tr_seconds)
        except RunError as err:
            if str(folder) not in str(err):
                raise
            raise _without(err, folder) from err


def _as_files(
    image: ImageLike,
    confounds: ConfoundsLike,
    folder: Path,
    rule: SpaceRule,
    mask: str | Path | Image | None,
    tr_seconds: float | None,
) -> AtHand:
    if isinstance(image, RestRun):
        found = AtHand(image, "xcpd" if image.cleaned_before else "fmriprep")
    else:
        found = _run_of(_as_file(image, folder / "image.nii"), rule)
    changed: dict[str, Any] = {} if tr_seconds is None else {"tr_seconds": tr_seconds}
    if mask is not None:
        changed["mask"] = _as_file(mask, folder / "mask.nii")
    columns = None
    if isinstance(confounds, str | Path):
        changed["confounds"] = Path(confounds).expanduser().absolute()
    elif hasattr(confounds, "columns"):
        frame: Any = confounds
        changed["confounds"] = _write_frame(frame, folder / "confounds.tsv")
    elif confounds is not None:
        columns = _write_columns(confounds, folder / "confounds.tsv")
    return replace(found, run=replace(found.run, **changed), columns=columns)


def _run_of(path: Path, rule: SpaceRule) -> AtHand:
    """Take a BOLD file as a run: with its companions where its name is BIDS."""
    root = next((p.parent for p in path.parents if p.name.startswith("sub-")), path.parent)
    try:
        name = parse_name(path.name)
    except ValueError:
        name = None
    if name is None or name.get("sub") is None:
        return AtHand(_plain_run(path, rule), "fmriprep")
    kind = _type_of(root)
    run = run_of_file(path, root, name.get("sub") or "", rule=rule, input_type=kind)
    return AtHand(run, kind)


def _plain_run(path: Path, rule: SpaceRule) -> RestRun:
    """Take a file whose name says nothing as a run in the model's space."""
    label = re.sub("[^0-9A-Za-z]", "", path.name.partition(".")[0]) or "image"
    try:
        tr_seconds, sidecars = repetition_time(path, path.parent)
    except ValueError:  # sidecars go by names of BIDS
        tr_seconds, sidecars = None, ()
    require_contents((path, *sidecars), label)
    return RestRun(
        bold=path,
        mask=None,
        confounds=None,
        entities=(("sub", label),),
        participant=label,
        session=None,
        task="",
        space=rule.model,
        tr_seconds=tr_seconds,
        sidecars=sidecars,
        root=path.parent,
        space_reason=f"{rule.model}, the model's, as nothing else is said of it",
    )


def _type_of(root: Path) -> InputType:
    """Return the program that made a folder's derivatives; fMRIPrep if nothing states another."""
    try:
        dataset = find_dataset(root)
    except DatasetError:
        return "fmriprep"
    return "xcpd" if dataset.root == root and dataset.input_type == "xcpd" else "fmriprep"


def _as_file(image: str | Path | Image, path: Path) -> Path:
    """Return the file of an image: its own, or `path`, where it is then written."""
    if isinstance(image, str | Path):
        return Path(image).expanduser().absolute()
    if not isinstance(image, nib.spatialimages.SpatialImage):
        raise TypeError(
            f"an image is a path, an image of nibabel or a run, not {type(image).__name__}"
        )
    own = _own_file(image)
    if own is not None:
        return own
    data = np.asanyarray(image.dataobj)
    # NIfTI has no truth values, and neither bool nor float16 loses anything so.
    wider: dict[str, np.dtype[Any]] = {"?": np.dtype(np.uint8), "e": np.dtype(np.float32)}
    stored: np.dtype[Any] = wider.get(data.dtype.char, data.dtype)
    kind: Any = type(image) if isinstance(image, _FORMATS) else nib.Nifti1Image
    written = kind(data.astype(stored, copy=False), image.affine, image.header)
    # A header that was taken over from a scaled file would round the values.
    written.set_data_dtype(stored)
    try:
        nib.save(written, path)
    except OSError as err:
        raise temporary_error(err) from err
    return path


def _own_file(image: Image) -> Path | None:
    """Return the file that an image is read from; None if it is not as the file has it."""
    name = image.get_filename()
    if name is None or not _nib.is_proxy(image.dataobj) or not isinstance(image, _FORMATS):
        return None
    path = Path(name).absolute()
    try:
        kept: Any = nib.load(path)
    except (OSError, nib.filebasedimages.ImageFileError):
        return None
    same = np.array_equal(kept.affine, image.affine) and kept.header == image.header
    return path if same else None


def _write_frame(frame: pd.DataFrame, path: Path) -> Path:
    """Write a data frame as a table of confounds: its numbers are read back as they are."""
    try:
        frame.to_csv(path, sep="\t", index=False, na_rep="n/a")
    except OSError as err:
        raise temporary_error(err) from err
    return path


def _write_columns(values: ArrayLike, path: Path) -> Path:
    """Write an array as a table all of whose columns are removed."""
    import pandas as pd

    columns = np.asarray(values, np.float64)
    columns = columns[:, None] if columns.ndim == 1 else columns
    if columns.ndim != 2:
        raise TypeError(f"confounds are (frames, columns), not {columns.shape}")
    names = [f"column{number:03d}" for number in range(1, columns.shape[1] + 1)]
    return _write_frame(pd.DataFrame(columns, columns=names), path)


def _without(err: RunError, folder: Path) -> RunError:
    """Return an error that names the files of a temporary folder without it."""
    words: Sequence[str | None] = (err.found, err.expected, err.remedy)
    found, expected, remedy = (w and w.replace(f"{folder}/", "") for w in words)
    return type(err)(found or "", expected=expected, remedy=remedy)
