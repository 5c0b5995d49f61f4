"""Human Connectome Project: `<id>/MNINonLinear/Results/rfMRI_*/rfMRI_*_hp2000_clean.nii.gz`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bids_dtg.errors import RunError
from bids_dtg.files.names import BidsName
from bids_dtg.inputs.folder_runs import FolderSeries, PersonFolder, Study
from bids_dtg.inputs.named_files import NamedFile

# 100307; HCD0001305_V1_MR (Lifespan studies: a visit is a session); 100307_V1.
_FOLDER = re.compile(r"(?P<person>[0-9A-Za-z]+)(?:_(?P<visit>[0-9A-Za-z]+?))?(?:_MR)?")
_RUN = re.compile(r"rfMRI_(?P<task>[A-Za-z]+)(?P<run>\d*)(?P<rest>(?:_[0-9A-Za-z]+)*)")
_DIRECTIONS = frozenset({"LR", "RL", "AP", "PA"})
# Of one run: the high-pass filter of 2,000 s (HCP-YA), then none but a linear trend (Lifespan).
_FILTERS = ("hp2000", "hp0")
_MASKS = ("brainmask_fs.2.nii.gz", "brainmask_fs.2.0.nii.gz", "brainmask_fs.1.60.nii.gz")


def _labels(name: str) -> tuple[str, str | None] | None:
    match = _FOLDER.fullmatch(name)
    return (match["person"], match["visit"]) if match else None


def _series(folder: PersonFolder) -> Sequence[FolderSeries]:
    """Find the cleaned resting runs of a folder.

    Raises
    ------
    RunError
        If there is none: what there is.
    """
    results = folder.path / "MNINonLinear" / "Results"
    found = [series for run in sorted(results.glob("rfMRI_*")) if (series := _run(folder, run))]
    if not found:
        raise _nothing(folder, results)
    single = [series for series in found if series.file.name.get("dir")]
    return single or found  # rfMRI_REST of the Lifespan studies joins the runs beside it


def _run(folder: PersonFolder, run: Path) -> FolderSeries | None:
    match = _RUN.fullmatch(run.name)
    files = [run / f"{run.name}_{kind}_clean.nii.gz" for kind in _FILTERS]
    # A broken link is a file whose content is elsewhere: it is refused by name later.
    bold = next((path for path in files if path.exists() or path.is_symlink()), None)
    if match is None or bold is None:
        return None
    further = [part for part in match["rest"].split("_") if part]
    direction = next((part for part in further if part in _DIRECTIONS), None)
    acquisition = "".join(part for part in further if part != direction)
    entities = {
        "sub": folder.participant,
        "ses": folder.session,
        "task": match["task"].lower(),
        "acq": acquisition or None,
        "dir": direction,
        "run": match["run"] or None,
    }
    pairs = tuple((key, value) for key, value in entities.items() if value)
    masks = (run / name for name in _MASKS)
    return FolderSeries(
        file=NamedFile(bold, BidsName(pairs, "bold", ".nii.gz")),
        mask=next((path for path in masks if path.exists()), None),
        sidecar=None,
        reason="MNI152NLin6Asym, the space of HCP's MNINonLinear",
    )


def _nothing(folder: PersonFolder, results: Path) -> RunError:
    expected = "rfMRI_*/rfMRI_*_hp2000_clean.nii.gz"
    if not results.is_dir():
        return RunError(f"{folder.path} has no MNINonLinear/Results", expected=expected)
    surfaces = next(results.glob("rfMRI_*/*_clean.dtseries.nii"), None)
    uncleaned = next((run for run in results.glob("rfMRI_*/rfMRI_*.nii.gz")), None)
    there = surfaces or uncleaned
    return RunError(
        f"{results} has no cleaned resting run" + (f", but {there.name}" if there else ""),
        expected=expected,
        remedy="get the volumes of the package 'Resting State fMRI FIX-Denoised (Extended)'",
    )


HCP = Study(title="an HCP folder", sign="MNINonLinear", labels=_labels, series=_series)
