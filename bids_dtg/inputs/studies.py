"""Studies whose folders have no BIDS names: how each is laid out, and its runs with BIDS names."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from bids_dtg.errors import DatasetError, RunError
from bids_dtg.files.annex import require_contents
from bids_dtg.files.names import BidsName
from bids_dtg.files.sidecars import applies_to, stated_repetition_time, stated_residual_dof
from bids_dtg.inputs.run import RestRun, TransformFile
from bids_dtg.inputs.runs import natural_order
from bids_dtg.inputs.selection import (
    NATIVE,
    NamedFile,
    Selection,
    absent_session,
    require_one_file_each,
)
from bids_dtg.inputs.space_choice import SERIES, SPACE, SURFACE, SpaceRule
from bids_dtg.settings import InputType


@dataclass(frozen=True)
class PersonFolder:
    """A folder of one participant, or of one session of one."""

    path: Path  # absolute
    participant: str  # label of the entity sub
    session: str | None  # label of the entity ses


@dataclass(frozen=True)
class FolderSeries:
    """A BOLD series in such a folder, cleaned, and the way to MNI152NLin6Asym."""

    file: NamedFile  # the image, with the BIDS name that it would have
    mask: Path | None  # its brain mask, None where there is none
    sidecar: Path | None  # JSON with its repetition time, None where there is none
    reason: str  # one clause: why this file of the run
    space: str = SPACE  # that the image is in
    transforms: tuple[TransformFile, ...] = ()  # from MNI152NLin6Asym to that space
    cleaned_as: str = ""  # which of several cleanings of the run it holds, by its name


@dataclass(frozen=True)
class Study:
    """How a study lays out its folders."""

    title: str  # for messages
    sign: str  # what a participant's folder holds
    labels: Callable[[str], tuple[str, str | None] | None]  # name -> participant and session
    # Finds a folder's runs in one of the spaces; RunError where there are none.
    series: Callable[[PersonFolder, str], Sequence[FolderSeries]]
    spaces: tuple[str, ...] = (SPACE,)  # of models that can read its runs


def person_folders(study: Study, root: Path, participant: str | None = None) -> list[PersonFolder]:
    """List the folders of a study's participants, or of one of them, sorted by name.

    Raises
    ------
    DatasetError
        If the folder cannot be listed.
    """
    return sorted(_folders(study, root, participant), key=lambda folder: folder.path.name)


def holds_study(study: Study, root: Path, limit: int = 50) -> bool:
    """Return whether one of the first `limit` folders with a participant's name is laid out so."""
    first = islice(_folders(study, root, None), limit)
    return any((folder.path / study.sign).is_dir() for folder in first)


def find_folder_runs(
    study: Study, root: Path, participant: str, selection: Selection, rule: SpaceRule
) -> tuple[RestRun, ...]:
    """Find the runs of one participant, sorted by name.

    Raises
    ------
    RunError
        If there is no such run, its files are not there, or they are in another space.
    """
    root, who = root.absolute(), f"sub-{participant}"
    wanted = (rule.asked or rule.model).partition(":")[0]
    if wanted != rule.model or wanted not in study.spaces:
        spaces = " or ".join(study.spaces)
        raise RunError(
            f"{study.title} is read in {spaces}, not in {rule.asked or rule.model}",
            remedy="leave --space out" if rule.asked else f"choose a model in {spaces}",
        )
    folders = person_folders(study, root, participant)
    if not folders:
        raise RunError(f"{who} is not in {root}", remedy="check --participant-label")
    asked = selection.session_labels
    if asked and not any(folder.session in asked for folder in folders):
        raise absent_session(who, asked, [folder.session for folder in folders if folder.session])
    _refuse_twins(folders, who)
    chosen_folders = [folder for folder in folders if not asked or folder.session in asked]
    alone = len(chosen_folders) == 1
    found = {
        series.file.path: series
        for folder in chosen_folders
        for series in _series(study, folder, rule.model, alone=alone)
    }
    chosen = selection.of([series.file for series in found.values()], who)
    require_one_file_each(chosen, who)
    runs = [_rest_run(found[file.path], participant, root) for file in chosen]
    require_contents((path for run in runs for path in run.inputs), participant)
    return tuple(sorted(runs, key=lambda run: natural_order(run.title)))


def _folders(study: Study, root: Path, participant: str | None) -> Iterator[PersonFolder]:
    try:
        with os.scandir(root) as entries:
            for entry in entries:
                labels = study.labels(entry.name)
                if labels and participant in (None, labels[0]) and entry.is_dir():
                    yield PersonFolder(root / entry.name, *labels)
    except OSError as err:
        raise DatasetError(f"{root} cannot be listed: {err.strerror or err}") from err


def _refuse_twins(folders: Sequence[PersonFolder], who: str) -> None:
    by_session: dict[str | None, Path] = {}
    for folder in folders:
        other = by_session.setdefault(folder.session, folder.path)
        if other != folder.path:
            raise RunError(
                f"{other} and {folder.path.name} are both of {who}"
                + (f", ses-{folder.session}" if folder.session else ""),
                remedy="take one of them away, or name them by session",
            )


def _series(
    study: Study, folder: PersonFolder, space: str, *, alone: bool
) -> Sequence[FolderSeries]:
    try:
        return study.series(folder, space)
    except RunError:
        if alone:
            raise
        return ()  # a session without rest; the others go on


def _rest_run(series: FolderSeries, participant: str, root: Path) -> RestRun:
    file = series.file
    sidecars = (series.sidecar,) if series.sidecar else ()
    return RestRun(
        bold=file.path,
        mask=series.mask,
        confounds=None,
        entities=file.name.entities,
        participant=participant,
        session=file.name.get("ses"),
        task=file.name.get("task") or "",
        space=series.space,
        tr_seconds=stated_repetition_time(series.sidecar) if series.sidecar else None,
        sidecars=sidecars,
        root=root,
        transforms=series.transforms,
        space_reason=series.reason,
        cleaned_before=True,
        cleaned_as=series.cleaned_as,
        dof_stated=stated_residual_dof(sidecars),
    )


# Human Connectome Project: <id>/MNINonLinear/Results/rfMRI_*/rfMRI_*_<one of CLEANINGS>.nii.gz,
# and at grayordinates rfMRI_*_Atlas_MSMAll_<one of CLEANINGS>.dtseries.nii.

# 100307; HCD0001305_V1_MR (Lifespan studies: a visit is a session); 100307_V1.
_HCP_FOLDER = re.compile(r"(?P<person>[0-9A-Za-z]+)(?:_(?P<visit>[0-9A-Za-z]+?))?(?:_MR)?")
# REST1_LR; REST1_7T_PA; REST1a_PA and REST1b_PA (the youngest of HCP-D); REST, which joins them.
# Other names, as REST1_LR.bak, are copies that people keep.
_RUN = re.compile(r"rfMRI_(?P<task>[A-Za-z]+)(?P<run>\d*)(?P<rest>[a-z]?(?:_[0-9A-Za-z]+)*)")
_DIRECTIONS = frozenset({"LR", "RL", "AP", "PA"})
# How a run's files may have been cleaned, by their names, the first that is there winning. By the
# filter: of 2,000 s (HCP-YA), then none but a linear trend (Lifespan), then one not named. By
# what was removed: ICA-FIX alone, as the published models were trained on, before the cleanings of
# HCP-YA 2025: FIX, its components classified anew (rclean), and temporal ICA (tclean).
CLEANINGS = tuple(
    f"{filtered}{cleaned}"
    for filtered in ("hp2000_", "hp0_", "")
    for cleaned in ("clean", "clean_rclean_tclean", "clean_tclean", "clean_rclean")
)
# How the cortices of people were aligned to each other: by several features before folding alone.
_ALIGNED = ("_Atlas_MSMAll", "_Atlas")
_MASKS = ("brainmask_fs.2.nii.gz", "brainmask_fs.2.0.nii.gz", "brainmask_fs.1.60.nii.gz")


def _hcp_labels(name: str) -> tuple[str, str | None] | None:
    match = _HCP_FOLDER.fullmatch(name)
    return (match["person"], match["visit"]) if match else None


def _hcp_series(folder: PersonFolder, space: str) -> Sequence[FolderSeries]:
    """Find the cleaned resting runs of a folder: volumes, or series at grayordinates.

    Raises
    ------
    RunError
        If there is none: what there is.
    """
    results = folder.path / "MNINonLinear" / "Results"
    of_run = _run_at_grayordinates if space == SURFACE else _run
    found = [series for run in sorted(results.glob("rfMRI_*")) if (series := of_run(folder, run))]
    if not found:
        raise _nothing(folder, results, space)
    single = []
    for series in found:
        if any(_joins(series.file.name, other.file.name) for other in found):
            path = series.file.path
            warnings.warn(f"{path} is left out: it joins the runs beside it", stacklevel=2)
        else:
            single.append(series)
    return single


def _joins(one: BidsName, other: BidsName) -> bool:
    """Return whether one series joins runs of which another is one, as rfMRI_REST does.

    The scanner in its name, as in rfMRI_REST_3T, may be left out of theirs.
    """
    shared = replace(one, entities=tuple(pair for pair in one.entities if pair[0] != "acq"))
    return not one.get("dir") and bool(other.get("dir")) and applies_to(shared, other)


def _run(folder: PersonFolder, run: Path) -> FolderSeries | None:
    match = _RUN.fullmatch(run.name)
    there = [kind for kind in CLEANINGS if _there(run / f"{run.name}_{kind}.nii.gz")]
    if match is None or not there:
        return None
    masks = (run / name for name in (*_MASKS, f"{run.name}_brain_mask.nii.gz"))
    return FolderSeries(
        file=_named(folder, run / f"{run.name}_{there[0]}.nii.gz", match),
        mask=next((path for path in masks if path.exists()), None),
        sidecar=None,
        reason="MNI152NLin6Asym, the space of HCP's MNINonLinear" + _before(there),
        cleaned_as=there[0],
    )


def _run_at_grayordinates(folder: PersonFolder, run: Path) -> FolderSeries | None:
    match, ending = _RUN.fullmatch(run.name), SERIES[0]
    files = (
        (kind, run / f"{run.name}{aligned}_{kind}{ending}")
        for kind in CLEANINGS
        for aligned in reversed(_ALIGNED)  # the last that is there is kept
    )
    there = {kind: path for kind, path in files if _there(path)}
    if match is None or not there:
        return None
    return FolderSeries(
        file=_named(folder, next(iter(there.values())), match, ending),
        mask=None,
        sidecar=None,
        reason="fsLR, the grayordinates of HCP's MNINonLinear" + _before(list(there)),
        space=SURFACE,
        cleaned_as=next(iter(there)),
    )


def _before(there: Sequence[str]) -> str:
    """Say which of several cleanings was taken."""
    return f"; {there[0]} taken before {', '.join(there[1:])}" if there[1:] else ""


def _named(
    folder: PersonFolder, path: Path, match: re.Match[str], ending: str = ".nii.gz"
) -> NamedFile:
    """Give a run's file the BIDS name that it would have."""
    further = re.findall("[0-9A-Za-z]+", match["rest"])
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
    return NamedFile(path, BidsName(pairs, "bold", ending))


def _nothing(folder: PersonFolder, results: Path, space: str) -> RunError:
    if space == SURFACE and results.is_dir():
        return RunError(
            f"{results} has no cleaned resting run at grayordinates",
            expected="rfMRI_*/rfMRI_*_Atlas_MSMAll_hp2000_clean.dtseries.nii, or "
            "_hp2000_clean_rclean_tclean",
            remedy="get them, or choose a model of volumes",
        )
    expected = "rfMRI_*/rfMRI_*_hp2000_clean.nii.gz, or _hp2000_clean_rclean_tclean.nii.gz"
    if not results.is_dir():
        return RunError(f"{folder.path} has no MNINonLinear/Results", expected=expected)
    surfaces = next(results.glob("rfMRI_*/*clean.dtseries.nii"), None)
    uncleaned = next((run for run in results.glob("rfMRI_*/rfMRI_*.nii.gz")), None)
    there = surfaces or uncleaned
    return RunError(
        f"{results} has no cleaned resting run" + (f", but {there.name}" if there else ""),
        expected=expected,
        remedy="get the volumes of the package 'Resting State fMRI FIX-Denoised (Extended)', or "
        "those of HCP-YA 2025",
    )


HCP = Study(
    title="an HCP folder",
    sign="MNINonLinear",
    labels=_hcp_labels,
    series=_hcp_series,
    spaces=(SPACE, SURFACE),
)


# UK Biobank: <eid>/fMRI/rfMRI.ica/filtered_func_data_clean.nii.gz, native or warped by FSL

# 1234567; 1234567_2 (instance); 1234567_20227_2_0 (field, instance, array: the bulk download).
_UKB_FOLDER = re.compile(r"(?P<eid>[0-9]+)(?:_(?:(?P<field>\d{4,})_)?(?P<instance>\d)(?:_\d)?)?")
_CLEAN = "filtered_func_data_clean"
_WARP = "reg/example_func2standard_warp.nii.gz"
_KIND = ("bold", ".nii.gz")
# What people call the series once FSL's applywarp or featregapply has brought it to MNI space.
_WARPED = (
    *(f"reg_standard/{_CLEAN}", f"reg/{_CLEAN}_standard", f"{_CLEAN}_standard"),
    *(f"{_CLEAN}_MNI152", f"{_CLEAN}_MNI152_2mm", f"{_CLEAN}_MNI"),
)


def _ukb_labels(name: str) -> tuple[str, str | None] | None:
    match = _UKB_FOLDER.fullmatch(name)
    return (match["eid"], match["instance"]) if match else None


def _ukb_series(folder: PersonFolder, space: str) -> Sequence[FolderSeries]:
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


UKB = Study(title="a UK Biobank folder", sign="fMRI", labels=_ukb_labels, series=_ukb_series)

STUDIES: Mapping[InputType, Study] = {"hcp": HCP, "ukb": UKB}
