"""Studies without BIDS names: the layout of their folders, and their runs under BIDS names."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bids_dtg.errors import RunError
from bids_dtg.files.foreign import folder_entries, require_listable
from bids_dtg.files.names import BidsName
from bids_dtg.files.sidecars import stated_repetition_time, stated_residual_dof
from bids_dtg.inputs.run import (
    NATIVE,
    PARCELS,
    SPACE,
    NamedFile,
    RestRun,
    TransformFile,
    without_joins,
)
from bids_dtg.settings import InputType

_LOOKED_AT = 50  # number of folders examined to recognise a study


@dataclass(frozen=True)
class Study:
    """The layout of a study's folders."""

    title: str  # for messages
    sign: str  # a folder in each participant's folder, by which the study is recognised
    # Name of a participant's folder, with groups person and session.
    folder: re.Pattern[str]
    # Returns the runs of a folder, with the entities BIDS would have; `dense` for grayordinates.
    runs: Callable[..., list[RestRun]]
    rest: str  # pattern of paths in a participant's folder that show that rest was measured
    has_dense: bool = False  # whether the study has grayordinates

    def labels(self, name: str) -> tuple[str, str | None] | None:
        """Return the participant and session in a folder's name; None if it is another folder."""
        match = self.folder.fullmatch(name)
        return (match["person"], match["session"]) if match else None


def person_folders(
    study: Study, root: Path, participant: str | None = None
) -> list[NamedFile]:
    """List the folders of a study's participants, or of one of them, sorted by name.

    Raises
    ------
    DatasetError
        The folder cannot be listed.
    """
    folders = []
    with folder_entries(root) as entries:
        for entry in entries:
            labels = study.labels(entry.name)
            if labels is None:
                continue
            person, session = labels
            if participant in (None, person) and entry.is_dir():
                name = _bids_name(sub=person, ses=session)
                folders.append(NamedFile(root / entry.name, name))
    return sorted(folders, key=lambda folder: folder.path.name)


def holds_study(study: Study, root: Path) -> bool:
    """Return whether one of the first participants' folders has the study's layout."""
    first_folders = person_folders(study, root)[:_LOOKED_AT]
    return any((folder.path / study.sign).is_dir() for folder in first_folders)


def _bids_name(**entities: str | None) -> BidsName:
    labelled = tuple((key, label) for key, label in entities.items() if label)
    return BidsName(labelled, "", "")


def _exists(path: Path) -> bool:
    # A broken link counts, as its content may be elsewhere; a later check refuses it by name.
    return path.exists() or path.is_symlink()


# Human Connectome Project: <id>/MNINonLinear/Results/rfMRI_*/rfMRI_*_<one of CLEANINGS>.nii.gz

# REST1_LR; REST1_7T_PA; REST1a_PA and REST1b_PA (the youngest in HCP-D); REST, which joins them.
# Other names, such as REST1_LR.bak, are users' copies.
_RUN = re.compile(
    r"rfMRI_(?P<task>[A-Za-z]+)(?P<run>\d*)(?P<rest>[a-z]?(?:_[0-9A-Za-z]+)*)"
)
_DIRECTIONS = frozenset({"LR", "RL", "AP", "PA"})
# Cleanings in file names; the first one present is used. The high-pass filter has a cutoff of
# 2,000 s (HCP-YA) or removes only a linear trend (Lifespan). Data after ICA-FIX alone, on which the
# published models were trained, come before those with the further cleaning of HCP-YA 2025.
CLEANINGS = tuple(
    f"{filtered}clean{further}"
    for filtered in ("hp2000_", "hp0_", "")
    for further in ("", "_rclean_tclean", "_tclean", "_rclean")
)
_MASKS = (
    "brainmask_fs.2.nii.gz",
    "brainmask_fs.2.0.nii.gz",
    "brainmask_fs.1.60.nii.gz",
)


def _hcp_runs(folder: NamedFile, *, dense: bool) -> list[RestRun]:
    """Find the cleaned resting-state runs of a folder.

    Raises
    ------
    RunError
        There is none; the message names a file that is present.
    """
    results = folder.path / "MNINonLinear" / "Results"
    require_listable(folder.path, results)
    paths = sorted(results.glob("rfMRI_*"))
    run_of_path = {path: _hcp_run(folder, path, dense=dense) for path in paths}
    runs = [run for run in run_of_path.values() if run]
    if not runs:
        series = sorted(results.glob("rfMRI_*/*clean.dtseries.nii"))
        series += sorted(results.glob("rfMRI_*/rfMRI_*.nii.gz"))
        only = f", only {series[0].name}" if series else ""
        raise RunError(
            f"{results} has no cleaned resting run{only}",
            expected="rfMRI_*/rfMRI_*_hp2000_clean.nii.gz, or _hp2000_clean_rclean_tclean.nii.gz",
            remedy="get the volumes of the package 'Resting State fMRI FIX-Denoised (Extended)', "
            "or of HCP-YA 2025",
        )
    for path, run in run_of_path.items():
        uncleaned = "" if run else _uncleaned(path, dense=dense)
        if uncleaned:
            warnings.warn(
                f"{folder.path.name}: {path.name} is left out: it has only {uncleaned}, not "
                "cleaned",
                stacklevel=4,
            )
    # rfMRI_REST joins runs. Its name may have the scanner (rfMRI_REST_3T) where theirs lack it.
    return without_joins(runs, lambda run: run.named, ignored={"acq"})


def _hcp_run(folder: NamedFile, run: Path, *, dense: bool) -> RestRun | None:
    """Return the run in a folder of results; None if it has no cleaned series."""
    match = _RUN.fullmatch(run.name)
    series = _cleaned_series(run, dense=dense)
    if match is None or not series:
        return None
    chosen, *further = series
    space = PARCELS if dense else SPACE
    reason = f"{space}, the space of HCP's MNINonLinear"
    if further:
        reason += f"; {chosen} chosen over {', '.join(further)}"
    mask = None
    if not dense:
        masks = (run / name for name in (*_MASKS, f"{run.name}_brain_mask.nii.gz"))
        mask = next(filter(_exists, masks), None)
    return RestRun(
        bold=series[chosen],
        entities=(*folder.name.entities, *_hcp_name(match).entities),
        participant=folder.participant,
        space=space,
        root=folder.path.parent,
        mask=mask,
        space_reason=reason,
        cleaned_before=True,
        cleaned_as=chosen,
    )


def _cleaned_series(run: Path, *, dense: bool) -> dict[str, Path]:
    """Return a run's existing series by their cleaning, the best first."""
    alignments: tuple[str, ...] = ("",)
    ending = "nii.gz"
    if dense:
        alignments = ("Atlas_MSMAll_", "Atlas_")
        ending = "dtseries.nii"
    series = {}
    for alignment in alignments:
        for kind in CLEANINGS:
            path = run / f"{run.name}_{alignment}{kind}.{ending}"
            if _exists(path):
                series[f"{alignment}{kind}"] = path
    return series


def _hcp_name(match: re.Match[str]) -> BidsName:
    """Return the BIDS name of a run, from HCP's name of it."""
    words = re.findall("[0-9A-Za-z]+", match["rest"])
    direction = next((word for word in words if word in _DIRECTIONS), None)
    return _bids_name(
        task=match["task"].lower(),
        acq="".join(word for word in words if word != direction),
        dir=direction,
        run=match["run"],
    )


def _uncleaned(run: Path, *, dense: bool) -> str:
    """Return the name of a series of a run without a readable cleaned one; empty if it has none."""
    if _RUN.fullmatch(run.name) is None:
        return ""
    # Cleanings that are not known count too; _vn is a map of variances.
    ending = r"(_hp\d+)?(_clean\w*)?(?<!_vn)\.nii\.gz"
    if dense:
        ending = r"_Atlas\w*\.dtseries\.nii"
    pattern = re.compile(re.escape(run.name) + ending)
    names = sorted(path.name for path in run.glob(f"{run.name}*"))
    return next(filter(pattern.fullmatch, names), "")


# UK Biobank: <eid>/fMRI/rfMRI.ica/filtered_func_data_clean.nii.gz, native or warped by FSL

_CLEAN = "filtered_func_data_clean"
# Names of the series after FSL's featregapply or applywarp has warped it to MNI space.
_WARPED = f"reg_standard/{_CLEAN}.nii.gz", f"{_CLEAN}_standard.nii.gz"


def _ukb_runs(folder: NamedFile, *, dense: bool) -> list[RestRun]:
    """Find the cleaned resting-state run of a folder: already warped, or native with FSL's warp.

    Raises
    ------
    RunError
        There is no such run, or a native one without a warp.
    """
    assert not dense  # UK Biobank has no grayordinates
    ica = folder.path / "fMRI" / "rfMRI.ica"
    require_listable(folder.path, ica)
    native = ica / f"{_CLEAN}.nii.gz"
    warp = ica / "reg" / "example_func2standard_warp.nii.gz"
    candidates = [*(ica / name for name in _WARPED), native]
    bold = next(filter(_exists, candidates), None)
    if bold is None:
        where = "" if ica.is_dir() else f": there is no {ica}"
        raise RunError(f"{folder.path} has no {native.name}{where}")
    space = SPACE
    transforms: tuple[TransformFile, ...] = ()
    reason = f"{SPACE}, as FSL warped it ({bold.relative_to(ica)})"
    if bold == native:
        if not _exists(warp):
            raise RunError(
                f"{native} is in native space, but {warp} does not exist",
                expected=f"FSL's warp to MNI space, or the warped series as {_CLEAN}_standard"
                ".nii.gz",
            )
        space = NATIVE
        transforms = (TransformFile(warp, warped=native),)
        reason = (
            f"native space with FSL's warp {warp.name}, as there is no warped series"
        )
    sidecars = tuple(filter(_exists, [ica.parent / "rfMRI.json"]))
    mask = bold.parent / "mask.nii.gz"
    # Next to warped series elsewhere, the mask is that of the native series.
    is_of_series = bold == native or bold.parent.name == "reg_standard"
    has_mask = is_of_series and _exists(mask)
    run = RestRun(
        bold=bold,
        entities=(*folder.name.entities, ("task", "rest")),
        participant=folder.participant,
        space=space,
        root=folder.path.parent,
        mask=mask if has_mask else None,
        sidecars=sidecars,
        tr_seconds=next(map(stated_repetition_time, sidecars), None),
        dof_stated=stated_residual_dof(sidecars),
        transforms=transforms,
        space_reason=reason,
        cleaned_before=True,
    )
    return [run]


HCP = Study(
    title="an HCP folder",
    sign="MNINonLinear",
    # 100307; HCD0001305_V1_MR (Lifespan studies, where a visit is a session); 100307_V1.
    folder=re.compile(
        r"(?P<person>[0-9A-Za-z]+)(?:_(?P<session>[0-9A-Za-z]+?))?(?:_MR)?"
    ),
    runs=_hcp_runs,
    rest="MNINonLinear/Results/rfMRI_*",
    has_dense=True,
)
UKB = Study(
    title="a UK Biobank folder",
    sign="fMRI",
    # 1234567; 1234567_2 (instance); 1234567_20227_2_0 (field, instance, array: the bulk download).
    folder=re.compile(r"(?P<person>[0-9]+)(?:_(?:\d{4,}_)?(?P<session>\d)(?:_\d)?)?"),
    runs=_ukb_runs,
    rest="fMRI/rfMRI*",
)
STUDIES: Mapping[InputType, Study] = {"hcp": HCP, "ukb": UKB}
