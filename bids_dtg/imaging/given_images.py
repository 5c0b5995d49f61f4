"""Images and confounds that people hold in Python, taken as a run of files.

What reads runs reads files. A path, or an image that nibabel has read from one, is that file with
all that belongs to it; an image or table in memory is written to a temporary folder. So one way
leads to a connectome, whoever calls.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import nibabel as nib
import numpy as np
from numpy.typing import ArrayLike

from bids_dtg.errors import DatasetError
from bids_dtg.files.foreign import require_contents
from bids_dtg.files.names import parse_name
from bids_dtg.files.paths import temporary_error, temporary_folder
from bids_dtg.files.sidecars import repetition_time
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


@contextmanager
def as_run(
    image: ImageLike,
    confounds: ConfoundsLike = None,
    *,
    rule: SpaceRule,
    mask: str | Path | Image | None = None,
    tr_seconds: float | None = None,
) -> Iterator[tuple[RestRun, Path | None]]:
    """Take an image with its confounds as a run of files, for as long as the context is open.

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

    Yields
    ------
    run
        The image with its files.
    columns
        A table whose columns are all removed, in place of a strategy's; None: there is none.

    Raises
    ------
    RunError
        A file cannot be used.
    SettingsError
        There is no folder for temporary files, or no space in it.
    TypeError
        Something is no image and no table.
    """
    with temporary_folder() as folder:
        run = image
        if not isinstance(run, RestRun):
            run = _run_of(_as_file(run, folder / "image.nii"), rule)
        changed: dict[str, Any] = {} if tr_seconds is None else {"tr_seconds": tr_seconds}
        if mask is not None:
            changed["mask"] = _as_file(mask, folder / "mask.nii")
        columns = None
        if isinstance(confounds, str | Path):
            changed["confounds"] = Path(confounds).expanduser().absolute()
        elif confounds is not None:
            is_table = hasattr(confounds, "columns")
            frame: Any = confounds if is_table else _frame(confounds)
            save = partial(frame.to_csv, sep="\t", index=False, na_rep="n/a")
            table = _written(save, folder / "confounds.tsv")
            if is_table:
                changed["confounds"] = table
            else:
                columns = table
        yield replace(run, **changed), columns


def _run_of(path: Path, rule: SpaceRule) -> RestRun:
    """Take a BOLD file as a run: with its companions where its name is BIDS."""
    root = next((p.parent for p in path.parents if p.name.startswith("sub-")), path.parent)
    try:
        label = parse_name(path.name).get("sub")
    except ValueError:
        label = None
    if label is None:
        return _plain_run(path, rule)
    kind: InputType = "fmriprep"  # if nothing states another
    with suppress(DatasetError):
        dataset = find_dataset(root)
        kind = "xcpd" if (dataset.root, dataset.input_type) == (root, "xcpd") else kind
    return run_of_file(path, root, rule=rule, input_type=kind)


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
        entities=(("sub", label),),
        participant=label,
        space=rule.model,
        tr_seconds=tr_seconds,
        sidecars=sidecars,
        root=path.parent,
        space_reason=f"{rule.model}, the model's, as nothing else is said of it",
    )


def _as_file(image: str | Path | Image, path: Path) -> Path:
    """Return the file of an image: its own, or `path`, where it is then written."""
    if isinstance(image, str | Path):
        return Path(image).expanduser().absolute()
    if not isinstance(image, nib.spatialimages.SpatialImage):
        raise TypeError(
            f"an image is a path, an image of nibabel or a run, not {type(image).__name__}"
        )
    own = image.get_filename()
    if own is not None and _nib.is_proxy(image.dataobj):
        with suppress(OSError, nib.filebasedimages.ImageFileError):
            kept = _nib.load(own)
            if np.array_equal(kept.affine, image.affine) and kept.header == image.header:
                return Path(own).absolute()
    data = np.asanyarray(image.dataobj)
    # NIfTI has no truth values, and neither bool nor float16 loses anything so.
    stored = {"?": np.uint8, "e": np.float32}.get(data.dtype.char, data.dtype)
    # The header of a scaled file would round the values, but for the type.
    written = _nib.Nifti1Image(data.astype(stored), image.affine, image.header, dtype=stored)
    return _written(partial(_nib.save, written), path)


def _frame(values: ArrayLike) -> pd.DataFrame:
    """Return an array as a table, by names that no strategy has."""
    import pandas as pd

    columns = np.asarray(values, np.float64)
    columns = columns[:, None] if columns.ndim == 1 else columns
    if columns.ndim != 2:
        raise TypeError(f"confounds are (frames, columns), not {columns.shape}")
    return pd.DataFrame(columns).add_prefix("column")


def _written(save: Callable[[Path], object], path: Path) -> Path:
    """Write a temporary file; return its path."""
    try:
        save(path)
    except OSError as err:
        raise temporary_error(err) from err
    return path
