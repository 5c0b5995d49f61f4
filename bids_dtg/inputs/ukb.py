"""UK Biobank: `<eid>/fMRI/rfMRI.ica/filtered_func_data_clean.nii.gz`, native or warped by FSL."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bids_dtg.errors import RunError
from bids_dtg.files.names import BidsName
from bids_dtg.inputs.folder_runs import FolderSeries, PersonFolder, Study
from bids_dtg.inputs.named_files import NATIVE, NamedFile
from bids_dtg.inputs.run import TransformFile

# 1234567; 1234567_2 (instance); 1234567_20227_2_0 (field, instance, array: the bulk download).
_FOLDER = re.compile(r"(?P<eid>[0-9]+)(?:_(?:(?P<field>\d{4,})_)?(?P<instance>\d)(?:_\d)?)?")
_CLEAN = "filtered_func_data_clean"
_WARP = "reg/example_func2standard_warp.nii.gz"
_KIND = ("bold", ".nii.gz")
# What people call the series once FSL's applywarp or featregapply has brought it to MNI space.
_WARPED = (
    *(f"reg_standard/{_CLEAN}", f"reg/{_CLEAN}_standard", f"{_CLEAN}_standard"),
    *(f"{_CLEAN}_MNI152", f"{_CLEAN}_MNI152_2mm", f"{_CLEAN}_MNI"),
)


def _labels(name: str) -> tuple[str, str | None] | None:
    match = _FOLDER.fullmatch(name)
    return (match["eid"], match["instance"]) if match else None


def _series(folder: PersonFolder) -> Sequence[FolderSeries]:
    """Find the cleaned resting run of a folder: warped before, or native with FSL's warp.

    Raises
    ------
    RunError
        If there is none, or no warp to a native one.
    """
    ica = folder.path / "fMRI" / "rfMRI.ica"
    entities = {"sub": folder.participant, "ses": folder.session, "task": "rest"}
    name = BidsName(tuple((key, value) for key, value in entities.items() if value), *_KIND)
    sidecar = ica.parent / "rfMRI.json"
    beside = sidecar if _there(sidecar) else None
    for warped in _WARPED:
        if _there(path := ica / f"{warped}.nii.gz"):
            mask = path.parent / "mask.nii.gz"
            is_warped = path.parent.name == "reg_standard" and _there(mask)
            why = f"MNI152NLin6Asym, as FSL warped it ({path.relative_to(ica)})"
            series = NamedFile(path, name)
            return [FolderSeries(series, mask if is_warped else None, beside, why)]
    native, warp, mask = ica / f"{_CLEAN}.nii.gz", ica / _WARP, ica / "mask.nii.gz"
    if not _there(native):
        where = "" if ica.is_dir() else f": there is no {ica}"
        raise RunError(f"{folder.path} has no {native.name}{where}")
    if not _there(warp):
        raise RunError(
            f"{native} is in native space, and {warp} is not there",
            expected=f"FSL's warp to MNI space, or the warped series as {_CLEAN}_standard.nii.gz",
        )
    return [
        FolderSeries(
            file=NamedFile(native, name),
            mask=mask if _there(mask) else None,
            sidecar=beside,
            reason=f"native space with FSL's warp {warp.name}, as there is no warped series",
            space=NATIVE,
            transforms=(TransformFile(warp, warped=native),),
        )
    ]


def _there(path: Path) -> bool:
    # A broken link is a file whose content is elsewhere: it is refused by name later.
    return path.exists() or path.is_symlink()


UKB = Study(title="a UK Biobank folder", sign="fMRI", labels=_labels, series=_series)
