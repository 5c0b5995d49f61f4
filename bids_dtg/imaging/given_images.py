"""Images and confounds given in Python, used as a run of files.

Runs are always read from files, so that there is only one code path to a connectome. A path, or an
image that nibabel has read from one, stands for that file with its companions. An image or table
in memory is written to a temporary folder.
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
from nibabel.filebasedimages import ImageFileError
from numpy.typing import ArrayLike

from bids_dtg.errors import DatasetError
from bids_dtg.files.foreign import require_contents
from bids_dtg.files.names import parse_name
from bids_dtg.files.paths import temporary_error, temporary_folder
from bids_dtg.files.sidecars import repetition_time
from bids_dtg.inputs.dataset import find_dataset
from bids_dtg.inputs.run import PARCELS, SPACE, RestRun, is_series
from bids_dtg.inputs.runs import run_of_file
from bids_dtg.inputs.space_choice import SpaceRule
from bids_dtg.inputs.vertex_choice import template_surface
from bids_dtg.settings import InputType

if TYPE_CHECKING:
    import pandas as pd

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
    """Provide an image and its confounds as a run of files, while the context is open.

    Parameters
    ----------
    image
        Path of a BOLD series, a nibabel image, or a run from `find_runs`. A file with a name from
        fMRIPrep or XCP-D is used with its brain mask, confounds table, sidecars and transforms.
        Files with other names and images in memory are assumed to be in the model's space.
    confounds
        Path or data frame: a table with fMRIPrep's columns, from which a strategy selects. Array
        (frames, columns): all columns are removed. None: the file's own confounds table.
    rule
        The space in which the run is needed.
    mask
        The run's brain mask; None for the file's own, if there is one.
    tr_seconds
        Time between frames; None for that of the sidecars or the header.

    Yields
    ------
    run
        The image with its files.
    columns
        A folder for `--custom-confounds` with a table whose columns are all removed, instead of a
        strategy's; None if there is none.

    Raises
    ------
    RunError
        A file cannot be used.
    SettingsError
        Temporary files cannot be written.
    TypeError
        An argument is not an image or a table.
    """
    with temporary_folder() as folder:
        run = image
        if not isinstance(run, RestRun):
            run = _run_of(_as_file(run, folder / "image.nii"), rule)
        changes: dict[str, Any] = {}
        if tr_seconds is not None:
            changes["tr_seconds"] = tr_seconds
        if mask is not None:
            changes["mask"] = _as_file(mask, folder / "mask.nii")
        columns = None
        if isinstance(confounds, str | Path):
            changes["confounds"] = Path(confounds).expanduser().absolute()
        elif confounds is not None:
            import pandas as pd

            is_table = hasattr(confounds, "columns")
            frame: Any = confounds
            if not is_table:  # with column names that no strategy uses
                frame = pd.DataFrame(np.asarray(confounds, np.float64))
                frame = frame.add_prefix("column")
            save = partial(frame.to_csv, sep="\t", index=False, na_rep="n/a")
            path = folder / f"{run.title}_desc-confounds_timeseries.tsv"
            table = _written(save, path)
            if is_table:
                changes["confounds"] = table
            else:
                columns = folder
        yield replace(run, **changes), columns


def _run_of(path: Path, rule: SpaceRule) -> RestRun:
    """Return a BOLD file as a run, with its companions if it has a BIDS name."""
    roots = [parent.parent for parent in path.parents if parent.name.startswith("sub-")]
    root = roots[0] if roots else path.parent
    try:
        label = parse_name(path.name).get("sub")
    except ValueError:
        label = None
    if label is None:
        return _plain_run(path, rule)
    kind: InputType = "fmriprep"  # unless the dataset's description says otherwise
    with suppress(DatasetError):
        dataset = find_dataset(root)
        if dataset.root == root and dataset.input_type == "xcpd":
            kind = "xcpd"
    return run_of_file(path, root, rule=rule, input_type=kind)


def _plain_run(path: Path, rule: SpaceRule) -> RestRun:
    """Return a file without a BIDS name as a run in the model's space.

    Volumes for parcels are taken to be in the template, and read at its surface.
    """
    label = re.sub("[^0-9A-Za-z]", "", path.name.partition(".")[0]) or "image"
    try:
        tr_seconds, sidecars = repetition_time(path, path.parent)
    except ValueError:  # not a BIDS name, so there are no sidecars
        tr_seconds, sidecars = None, ()
    require_contents((path, *sidecars), label)
    space, surfaces = rule.model, None
    if space == PARCELS and not is_series(path):
        space = SPACE
        surfaces = template_surface("the file's name is not that of a participant")
    return RestRun(
        bold=path,
        entities=(("sub", label),),
        participant=label,
        space=space,
        surfaces=surfaces,
        tr_seconds=tr_seconds,
        sidecars=sidecars,
        root=path.parent,
        space_reason=f"{space}, the model's space, as the file's name states none",
    )


def _as_file(image: str | Path | Image, path: Path) -> Path:
    """Return the file of an image: the one it was read from, or `path`, to which it is written."""
    if isinstance(image, str | Path):
        return Path(image).expanduser().absolute()
    if not isinstance(image, nib.spatialimages.SpatialImage):
        raise TypeError(
            f"an image is a path, a nibabel image or a run, not {type(image).__name__}"
        )
    filename = image.get_filename()
    if filename is not None and nib.is_proxy(image.dataobj):
        with suppress(OSError, ImageFileError):
            on_disk = nib.load(filename)
            same_affine = np.array_equal(on_disk.affine, image.affine)
            if same_affine and on_disk.header == image.header:
                return Path(filename).absolute()
    data = np.asanyarray(image.dataobj)
    # NIfTI has neither bool nor float16; these types hold the same values.
    stored = {"?": np.uint8, "e": np.float32}.get(data.dtype.char, data.dtype)
    # Without an explicit type, the header of a scaled file would round the values.
    written = nib.Nifti1Image(
        data.astype(stored), image.affine, image.header, dtype=stored
    )
    return _written(partial(nib.save, written), path)


def _written(save: Callable[[Path], object], path: Path) -> Path:
    """Write a temporary file; return its path."""
    try:
        save(path)
    except OSError as err:
        raise temporary_error(err) from err
    return path
