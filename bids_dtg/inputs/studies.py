"""Studies whose folders have no BIDS names: how each is laid out, and its runs with BIDS names."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from bids_dtg.errors import DatasetError, RunError
from bids_dtg.files.foreign import require_contents
from bids_dtg.files.names import BidsName
from bids_dtg.files.sidecars import applies_to, stated_repetition_time, stated_residual_dof
from bids_dtg.inputs.run import RestRun, TransformFile
from bids_dtg.inputs.runs import natural_order
from bids_dtg.inputs.selection import (
    NATIVE,
    Selection,
    absent_session,
    require_one_file_each,
)
from bids_dtg.inputs.space_choice import SPACE, SpaceRule
from bids_dtg.settings import InputType


@dataclass(frozen=True)
class PersonFolder:
    """A folder of one participant, or of one session of one."""

    path: Path  # absolute
    participant: str  # label of the entity sub
    session: str | None  # label of the entity ses


@dataclass(frozen=True)
class Study:
    """How a study lays out its folders."""

    title: str  # for messages
    sign: str  # what a participant's folder holds
    labels: Callable[[str], tuple[str, str | None] | None]  # name -> participant and session
    runs: Callable[[PersonFolder], list[RestRun]]  # of a folder, with the entities BIDS would have


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
    wanted = rule.asked or rule.model
    if not rule.model == wanted.partition(":")[0] == SPACE:
        raise RunError(
            f"{study.title} is read in {SPACE}, not in {wanted}",
            remedy="leave --space out" if rule.asked else f"choose a model in {SPACE}",
        )
    folders = person_folders(study, root, participant)
    if not folders:
        raise RunError(f"{who} is not in {root}", remedy="check --participant-label")
    asked = selection.session_labels
    if asked and not any(folder.session in asked for folder in folders):
        raise absent_session(who, asked, [folder.session for folder in folders if folder.session])
    for one, other in pairwise(sorted(folders, key=lambda folder: folder.session or "")):
        if one.session == other.session:
            raise RunError(
                f"{one.path} and {other.path.name} are both of {who}"
                + (f", ses-{one.session}" if one.session else ""),
                remedy="take one of them away, or name them by session",
            )
    folders = [folder for folder in folders if not asked or folder.session in asked]
    found: dict[Path, RestRun] = {}
    for folder in folders:
        try:
            found |= {run.bold: run for run in study.runs(folder)}
        except RunError:
            if len(folders) == 1:
                raise  # else a session without rest: the others go on
    chosen = selection.of([run.named for run in found.values()], who)
    require_one_file_each(chosen, who)
    runs = [_with_sidecar(found[file.path], root) for file in chosen]
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


def _with_sidecar(run: RestRun, root: Path) -> RestRun:
    """Add what the sidecar of a run states; it is read for runs that were asked for alone."""
    seconds = [stated_repetition_time(sidecar) for sidecar in run.sidecars]
    return replace(
        run,
        root=root,
        tr_seconds=next(iter(seconds), None),
        dof_stated=stated_residual_dof(run.sidecars),
    )


def _cleaned_run(
    folder: PersonFolder,
    bold: Path,
    reason: str,
    *,
    task: str = "rest",
    further: Mapping[str, str | None] | None = None,
    sidecar: Path | None = None,
    **facts: Any,
) -> RestRun:
    """Make a run that the study has cleaned, of the entities that its file would have in BIDS."""
    named = {"sub": folder.participant, "ses": folder.session, "task": task, **(further or {})}
    return RestRun(
        bold=bold,
        confounds=None,
        entities=tuple((key, value) for key, value in named.items() if value),
        participant=folder.participant,
        session=folder.session,
        task=task,
        tr_seconds=None,
        sidecars=(sidecar,) if sidecar and _there(sidecar) else (),
        root=folder.path.parent,
        space_reason=reason,
        cleaned_before=True,
        **{"space": SPACE, **facts},
    )


# Human Connectome Project: <id>/MNINonLinear/Results/rfMRI_*/rfMRI_*_<one of CLEANINGS>.nii.gz

# 100307; HCD0001305_V1_MR (Lifespan studies: a visit is a session); 100307_V1.
_HCP_FOLDER = re.compile(r"(?P<person>[0-9A-Za-z]+)(?:_(?P<visit>[0-9A-Za-z]+?))?(?:_MR)?")
# REST1_LR; REST1_7T_PA; REST1a_PA and REST1b_PA (the youngest of HCP-D); REST, which joins them.
# Other names, as REST1_LR.bak, are copies that people keep.
_RUN = re.compile(r"rfMRI_(?P<task>[A-Za-z]+)(?P<run>\d*)(?P<rest>[a-z]?(?:_[0-9A-Za-z]+)*)")
_DIRECTIONS = frozenset({"LR", "RL", "AP", "PA"})
# How a run's file may have been cleaned, by its name, the first that is there winning. The filter
# is of 2,000 s (HCP-YA), or takes a linear trend alone (Lifespan). ICA-FIX, as the published models
# were trained on, comes before the further cleaning of HCP-YA 2025.
CLEANINGS = (
    *("hp2000_clean", "hp2000_clean_rclean_tclean"),
    *("hp0_clean", "hp0_clean_rclean_tclean"),
    *("clean", "clean_rclean_tclean"),
)
_MASKS = ("brainmask_fs.2.nii.gz", "brainmask_fs.2.0.nii.gz", "brainmask_fs.1.60.nii.gz")


def _hcp_labels(name: str) -> tuple[str, str | None] | None:
    match = _HCP_FOLDER.fullmatch(name)
    return (match["person"], match["visit"]) if match else None


def _hcp_runs(folder: PersonFolder) -> list[RestRun]:
    """Find the cleaned resting runs of a folder.

    Raises
    ------
    RunError
        If there is none: what there is.
    """
    results = folder.path / "MNINonLinear" / "Results"
    found = [run for path in sorted(results.glob("rfMRI_*")) if (run := _hcp_run(folder, path))]
    if not found:
        raise _nothing(folder, results)
    single = []
    for run in found:
        if any(_joins(run.named.name, other.named.name) for other in found):
            warnings.warn(f"{run.bold} is left out: it joins the runs beside it", stacklevel=2)
        else:
            single.append(run)
    return single


def _joins(one: BidsName, other: BidsName) -> bool:
    """Return whether one series joins runs of which another is one, as rfMRI_REST does.

    The scanner in its name, as in rfMRI_REST_3T, may be left out of theirs.
    """
    shared = replace(one, entities=tuple(pair for pair in one.entities if pair[0] != "acq"))
    return not one.get("dir") and bool(other.get("dir")) and applies_to(shared, other)


def _hcp_run(folder: PersonFolder, run: Path) -> RestRun | None:
    match = _RUN.fullmatch(run.name)
    there = [kind for kind in CLEANINGS if _there(run / f"{run.name}_{kind}.nii.gz")]
    if match is None or not there:
        return None
    masks = (run / name for name in (*_MASKS, f"{run.name}_brain_mask.nii.gz"))
    further = re.findall("[0-9A-Za-z]+", match["rest"])
    direction = next((part for part in further if part in _DIRECTIONS), None)
    acquisition = "".join(part for part in further if part != direction)
    before = f"; {there[0]} taken before {', '.join(there[1:])}" if there[1:] else ""
    return _cleaned_run(
        folder,
        run / f"{run.name}_{there[0]}.nii.gz",
        f"{SPACE}, the space of HCP's MNINonLinear{before}",
        task=match["task"].lower(),
        further={"acq": acquisition, "dir": direction, "run": match["run"]},
        mask=next((path for path in masks if path.exists()), None),
        cleaned_as=there[0],
    )


def _nothing(folder: PersonFolder, results: Path) -> RunError:
    expected = "rfMRI_*/rfMRI_*_hp2000_clean.nii.gz, or _hp2000_clean_rclean_tclean.nii.gz"
    if not results.is_dir():
        return RunError(f"{folder.path} has no MNINonLinear/Results", expected=expected)
    surfaces = next(results.glob("rfMRI_*/*clean.dtseries.nii"), None)
    there = surfaces or next(results.glob("rfMRI_*/rfMRI_*.nii.gz"), None)
    return RunError(
        f"{results} has no cleaned resting run" + (f", but {there.name}" if there else ""),
        expected=expected,
        remedy="get the volumes of the package 'Resting State fMRI FIX-Denoised (Extended)', or "
        "those of HCP-YA 2025",
    )


HCP = Study(title="an HCP folder", sign="MNINonLinear", labels=_hcp_labels, runs=_hcp_runs)


# UK Biobank: <eid>/fMRI/rfMRI.ica/filtered_func_data_clean.nii.gz, native or warped by FSL

# 1234567; 1234567_2 (instance); 1234567_20227_2_0 (field, instance, array: the bulk download).
_UKB_FOLDER = re.compile(r"(?P<eid>[0-9]+)(?:_(?:(?P<field>\d{4,})_)?(?P<instance>\d)(?:_\d)?)?")
_CLEAN = "filtered_func_data_clean"
_WARP = "reg/example_func2standard_warp.nii.gz"
# What people call the series once FSL's applywarp or featregapply has brought it to MNI space.
_WARPED = (
    *(f"reg_standard/{_CLEAN}", f"reg/{_CLEAN}_standard", f"{_CLEAN}_standard"),
    *(f"{_CLEAN}_MNI152", f"{_CLEAN}_MNI152_2mm", f"{_CLEAN}_MNI"),
)


def _ukb_labels(name: str) -> tuple[str, str | None] | None:
    match = _UKB_FOLDER.fullmatch(name)
    return (match["eid"], match["instance"]) if match else None


def _ukb_runs(folder: PersonFolder) -> list[RestRun]:
    """Find the cleaned resting run of a folder: warped before, or native with FSL's warp.

    Raises
    ------
    RunError
        If there is none, or no warp to a native one.
    """
    ica = folder.path / "fMRI" / "rfMRI.ica"
    sidecar = ica.parent / "rfMRI.json"
    for warped in _WARPED:
        if _there(path := ica / f"{warped}.nii.gz"):
            mask = path.parent / "mask.nii.gz"
            is_warped = path.parent.name == "reg_standard" and _there(mask)
            why = f"{SPACE}, as FSL warped it ({path.relative_to(ica)})"
            mask_of_it = mask if is_warped else None
            return [_cleaned_run(folder, path, why, mask=mask_of_it, sidecar=sidecar)]
    native, warp, mask = ica / f"{_CLEAN}.nii.gz", ica / _WARP, ica / "mask.nii.gz"
    if not _there(native):
        where = "" if ica.is_dir() else f": there is no {ica}"
        raise RunError(f"{folder.path} has no {native.name}{where}")
    if not _there(warp):
        raise RunError(
            f"{native} is in native space, and {warp} is not there",
            expected=f"FSL's warp to MNI space, or the warped series as {_CLEAN}_standard.nii.gz",
        )
    run = _cleaned_run(
        folder,
        native,
        f"native space with FSL's warp {warp.name}, as there is no warped series",
        mask=mask if _there(mask) else None,
        sidecar=sidecar,
        space=NATIVE,
        transforms=(TransformFile(warp, warped=native),),
    )
    return [run]


def _there(path: Path) -> bool:
    # A broken link is a file whose content is elsewhere: it is refused by name later.
    return path.exists() or path.is_symlink()


UKB = Study(title="a UK Biobank folder", sign="fMRI", labels=_ukb_labels, runs=_ukb_runs)

STUDIES: Mapping[InputType, Study] = {"hcp": HCP, "ukb": UKB}
