"""UK Biobank: `<eid>/fMRI/rfMRI.ica/filtered_func_data_clean.nii.gz`, warped to MNI space."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bids_dtg.bids.folder_runs import FolderSeries, PersonFolder, Study
from bids_dtg.bids.names import BidsName
from bids_dtg.bids.series import NamedFile
from bids_dtg.errors import RunError

# 1234567; 1234567_2 (instance); 1234567_20227_2_0 (field, instance, array: the bulk download).
_FOLDER = re.compile(r"(?P<eid>[0-9]+)(?:_(?:(?P<field>\d{4,})_)?(?P<instance>\d)(?:_\d)?)?")
_CLEAN = "filtered_func_data_clean"
# What people call the series once FSL's applywarp or featregapply has brought it to MNI space.
_WARPED = (
    *(f"reg_standard/{_CLEAN}", f"reg/{_CLEAN}_standard", f"{_CLEAN}_standard"),
    *(f"{_CLEAN}_MNI152", f"{_CLEAN}_MNI152_2mm", f"{_CLEAN}_MNI"),
)


def _labels(name: str) -> tuple[str, str | None] | None:
    match = _FOLDER.fullmatch(name)
    return (match["eid"], match["instance"]) if match else None


def _series(folder: PersonFolder) -> Sequence[FolderSeries]:
    """Find the cleaned resting run of a folder.

    Raises
    ------
    RunError
        If there is none, or only one in native space.
    """
    ica = folder.path / "fMRI" / "rfMRI.ica"
    bold = next((path for name in _WARPED if _there(path := ica / f"{name}.nii.gz")), None)
    if bold is None:
        raise _nothing(ica)
    entities = {"sub": folder.participant, "ses": folder.session, "task": "rest"}
    pairs = tuple((key, value) for key, value in entities.items() if value)
    mask, sidecar = ica / "reg_standard" / "mask.nii.gz", ica.parent / "rfMRI.json"
    return [
        FolderSeries(
            file=NamedFile(bold, BidsName(pairs, "bold", ".nii.gz")),
            mask=mask if bold.parent == mask.parent and _there(mask) else None,
            sidecar=sidecar if _there(sidecar) else None,
            reason=f"MNI152NLin6Asym, as FSL warped it ({bold.relative_to(ica)})",
        )
    ]


def _there(path: Path) -> bool:
    # A broken link is a file whose content is elsewhere: it is refused by name later.
    return path.exists() or path.is_symlink()


def _nothing(ica: Path) -> RunError:
    native = ica / f"{_CLEAN}.nii.gz"
    if not _there(native):
        there = "" if ica.is_dir() else f": there is no {ica}"
        return RunError(f"{ica.parents[1]} has no {native.name}{there}")
    return RunError(
        f"{native} is in native space, and FSL's warp beside it is not read here",
        expected=f"the series in MNI space, e.g. {_CLEAN}_standard.nii.gz",
        remedy=f"applywarp -i {native} -r $FSLDIR/data/standard/MNI152_T1_2mm "
        f"-w {ica}/reg/example_func2standard_warp -o {ica}/{_CLEAN}_standard",
    )


UKB = Study(title="a UK Biobank folder", sign="fMRI", labels=_labels, series=_series)
