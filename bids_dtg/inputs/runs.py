"""Finding the resting-state runs of a participant, or saying what is there instead."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bids_dtg.errors import RunError
from bids_dtg.files.foreign import files_below, is_stub, require_contents
from bids_dtg.files.names import BidsName, parse_name
from bids_dtg.files.sidecars import repetition_time, stated_residual_dof
from bids_dtg.inputs.index import filtered_names
from bids_dtg.inputs.run import RestRun
from bids_dtg.inputs.selection import (
    EVERY_REST,
    IMAGES,
    PARCEL_SERIES,
    NamedFile,
    Selection,
    absent_session,
    belongs_to,
    combined_echoes,
    measured,
    named_files,
    require_measured_once,
    require_one_file_each,
    space_of,
    versions_by_run,
)
from bids_dtg.inputs.space_choice import (
    SPACE,
    SURFACE,
    Choice,
    CoregistrationMissingError,
    SpaceRule,
    choose_version,
)
from bids_dtg.inputs.templateflow import TransformMissingError
from bids_dtg.settings import InputType

# What the cleaned or preprocessed series are called, the first that is there winning.
_DESCS: Mapping[InputType, tuple[str, ...]] = {
    "fmriprep": ("preproc",),
    # Unsmoothed before smoothed: models are trained on what has not been smoothed.
    "xcpd": ("denoised", "denoisedSmoothed"),
}

# Entities that the name of XCP-D's join lacks, and what filters call them.
_REMOVED = {"run": "run", "dir": "direction"}

_REMEDIES: dict[InputType, str] = {
    "fmriprep": f"fmriprep --output-spaces {SPACE}:res-2",
    "xcpd": "run XCP-D with --file-format nifti",
}


def find_runs(
    root: Path,
    participant: str,
    selection: Selection = EVERY_REST,
    *,
    rule: SpaceRule | None = None,
    input_type: InputType = "fmriprep",
    bids_filter: Mapping[str, Any] | None = None,
) -> tuple[RestRun, ...]:
    """Find the runs of one participant of BIDS derivatives, sorted by name.

    Parameters
    ----------
    root
        Root folder of the dataset of derivatives.
    participant
        Participant's label, without `sub-`.
    selection
        Sessions, tasks and runs asked for.
    rule
        How a version of each run is chosen; the usual model's where not given.
    input_type
        Who made the derivatives: fmriprep or xcpd.
    bids_filter
        Further filters, from `selection.read_filter_file`.

    Raises
    ------
    RunError
        If there is no such run, or its files are not there.
    """
    root, bids_filter = root.absolute(), dict(bids_filter or {})
    who = f"sub-{participant}"
    if not (root / who).is_dir():
        raise RunError(f"{who} is not in {root}", remedy="check --participant-label")
    paths = functional_files(root / who, selection.session_labels)
    func = named_files(paths)
    rule = rule or SpaceRule()
    of_parcels = rule.endings == PARCEL_SERIES
    bold = [f for f in func if f.name.suffix == "bold" and not f.name.extension.endswith(".json")]
    bold += [f for f in func if of_parcels and f.name.extension in PARCEL_SERIES]
    if not bold:
        raise no_bold(root / who, selection.session_labels, paths, input_type)
    bold = selection.of(bold, who, any_task="task" in bids_filter)
    if bids_filter:
        names = filtered_names(root, participant, bids_filter, selection.session_labels)
        left = [file for file in bold if file.path.name in names]
        if not left:
            raise RunError(
                f"{who}: the BIDS filter file leaves no run of {len(bold)}, as {bold[0].path.name}",
                expected="values as file names have them, without ses- and the like",
                remedy="correct or widen the filter",
            )
        bold = left
    usable = usable_series(bold, who, input_type, rule.endings)
    require_one_file_each(usable, who)
    series = combined_echoes(usable, who, filtered="echo" in bids_filter)
    found = versions_by_run(series)
    if input_type == "xcpd":
        found = _without_joins(found, who)
    require_measured_once(found, who)

    choices = _choices(found, rule, root)
    runs = [_rest_run(choice, func, root, participant, input_type) for choice in choices]
    require_contents((path for run in runs for path in run.inputs), participant)
    return tuple(sorted(runs, key=lambda run: natural_order(run.title)))


def functional_files(folder: Path, sessions: Sequence[str] = ()) -> tuple[Path, ...]:
    """List the files in and below the `func` folders of one participant (and session).

    Parameters
    ----------
    folder
        Folder of the participant in the derivatives.
    sessions
        Labels without `ses-`; all where empty.
    """
    places = [folder / "func"]
    for place in folder.glob("ses-*"):
        if not sessions or place.name.removeprefix("ses-") in sessions:
            places.append(place / "func")
    return tuple(path for place in places for path in files_below(place, follow_links=False))


def run_of_file(
    bold: Path,
    root: Path,
    participant: str,
    *,
    rule: SpaceRule | None = None,
    input_type: InputType = "fmriprep",
) -> RestRun:
    """Take one BOLD file of BIDS derivatives as a run, with its companions as `find_runs`.

    Parameters
    ----------
    bold
        The series; what belongs to it is looked for in its folder.
    root, participant, rule, input_type
        Dataset, participant, rule of choice and type of input, as for `find_runs`.

    Raises
    ------
    RunError
        It is missing, or cannot be brought to the model's space.
    ValueError
        Its name is not BIDS.
    """
    root, bold = root.absolute(), bold.absolute()
    file = NamedFile(bold, parse_name(bold.name))
    choice = choose_version([file], rule or SpaceRule(), root)
    beside = named_files(sorted(bold.parent.glob("*")))
    run = _rest_run(choice, beside, root, participant, input_type)
    require_contents(run.inputs, participant)
    return run


def natural_order(title: str) -> list[str]:
    """Sort run-10 after run-9."""
    return [part.zfill(12) if part.isdecimal() else part for part in re.split(r"(\d+)", title)]


def _choices(runs: list[list[NamedFile]], rule: SpaceRule, root: Path) -> list[Choice]:
    """Choose a version of each run; runs without one are reported, unless there are no others."""
    chosen, failed = [], []
    for versions in runs:
        try:
            chosen.append(choose_version(versions, rule, root))
        except RunError as err:
            failed.append((versions[0], err))
    # What can be fetched is not left out: the maps would be others once it is there. Nor is a run
    # without its own co-registration: some of fMRIPrep's files of it are lost.
    refused = (TransformMissingError, CoregistrationMissingError)
    missing = [error for _, error in failed if isinstance(error, refused)]
    if missing:
        raise missing[0]
    if failed and not chosen:
        raise failed[0][1]
    for file, error in failed:
        name = "_".join(f"{key}-{value}" for key, value in measured(file))
        warnings.warn(f"{name} is left out: {error}", stacklevel=4)
    return chosen


def usable_series(
    files: list[NamedFile], who: str, input_type: InputType, endings: tuple[str, ...]
) -> list[NamedFile]:
    """Keep the images that hold what the input type promises."""
    # Phase and complex parts are no BOLD signal.
    images = [
        file
        for file in files
        if file.name.extension in endings and file.name.get("part") in {None, "mag"}
    ]
    if endings == IMAGES:
        for desc in _DESCS[input_type]:
            if kept := [file for file in images if file.name.get("desc") == desc]:
                return kept
        raise none_usable(files, who, _DESCS[input_type][0], input_type)
    if not images:
        raise RunError(
            f"{who} has no series of parcels, but {files[0].path.name}",
            expected=f"*_space-{SURFACE}_seg-*_timeseries{endings[0]} (CIFTI), which the model "
            "reads",
            remedy="run XCP-D with --file-format cifti, or wb_command -cifti-parcellate",
        )
    return images


def _without_joins(runs: list[list[NamedFile]], who: str) -> list[list[NamedFile]]:
    """Leave out series of XCP-D that join others, whose minutes would count twice.

    The name of a join lacks run-, dir- or both, which its parts have.

    Raises
    ------
    RunError
        A join has other frames than its parts.
    """
    entities = [frozenset(measured(versions[0])) for versions in runs]
    joins: set[int] = set()
    # Long names first: what joins joins is compared with their parts alone.
    for at in sorted(range(len(runs)), key=lambda at: -len(entities[at])):
        parts = [
            run
            for other, run in enumerate(runs)
            if other not in joins
            and entities[at] < entities[other]
            and {key for key, _ in entities[other] - entities[at]} <= _REMOVED.keys()
        ]
        if parts and _is_join(runs[at], parts, who):
            joins.add(at)
            name = runs[at][0].path.name
            warnings.warn(f"{name} is left out: it joins {_names(parts)}", stacklevel=3)
    return [versions for at, versions in enumerate(runs) if at not in joins]


def _is_join(run: list[NamedFile], parts: list[list[NamedFile]], who: str) -> bool:
    """Return whether a series of XCP-D joins these; refuse one that should, of other frames."""
    own, of_parts = _series(run), [_series(part) for part in parts]
    frames, each = _frames(own), [_frames(part) for part in of_parts]
    together = sum(each) if all(each) else 0
    if len(parts) == 1:
        # XCP-D joins also what motion left of several runs; two runs of one length differ.
        return 0 < frames == together and _begin_alike(own, of_parts[0])
    if frames and together and frames != together:
        kept = (_REMOVED[key] for key in _REMOVED if all(part[0].name.get(key) for part in parts))
        raise RunError(
            f"{who}: {run[0].path} has {frames} frames, and {_names(parts)} have {together}",
            expected="the frames of all of them, as XCP-D joins runs under a name without run- "
            "and dir-",
            remedy="rerun XCP-D on the session, or choose with --bids-filter-file: "
            f'{{"bold": {{"{next(kept, "run")}": "*"}}}}',
        )
    return True


def _names(runs: Iterable[list[NamedFile]]) -> str:
    return ", ".join(versions[0].path.name for versions in runs)


def _series(versions: list[NamedFile]) -> Any:
    """Open a run without reading its values; None where that fails, as its reader will say."""
    import nibabel as nib

    here = (f.path for f in versions if f.path.name.endswith(IMAGES) and not is_stub(f.path))
    try:
        image: Any = nib.load(next(here))
    except Exception:  # nibabel raises many kinds on damaged files
        return None
    return image.dataobj


def _frames(series: Any) -> int:
    """Return the frames of a series; 0 where they are not known. Of CIFTI they come first."""
    shape = getattr(series, "shape", ())
    return int(shape[{4: 3, 2: 0}[len(shape)]]) if len(shape) in (2, 4) else 0


def _begin_alike(*series: Any) -> bool:
    """Return whether the first frames of two series are equal."""
    import numpy as np

    try:
        first, second = (
            np.asarray(one[..., 0] if len(one.shape) == 4 else one[0]) for one in series
        )
    except Exception:  # a damaged file, as its reader will say
        return False
    return np.array_equal(first, second, equal_nan=True)


def _rest_run(
    choice: Choice,
    func: list[NamedFile],
    root: Path,
    participant: str,
    input_type: InputType,
) -> RestRun:
    file, cleaned = choice.file, input_type == "xcpd"
    mask = _companion(file, func, desc="brain", suffixes={"mask"}, extensions=IMAGES)
    table = _companion(
        file, func, desc="confounds", suffixes={"timeseries", "regressors"}, extensions=(".tsv",)
    )
    outliers = None
    if cleaned:
        outliers = _companion(file, func, desc=None, suffixes={"outliers"}, extensions=(".tsv",))
    tr_seconds, sidecars = repetition_time(file.path, root)
    return RestRun(
        bold=file.path,
        mask=mask,
        confounds=table,
        entities=file.name.entities,
        participant=participant,
        session=file.name.get("ses"),
        task=file.name.get("task") or "",
        space=choice.space or space_of(file.name),
        tr_seconds=tr_seconds,
        sidecars=sidecars,
        root=root,
        transforms=choice.transforms,
        space_reason=choice.reason,
        cleaned_before=cleaned,
        dof_stated=stated_residual_dof(sidecars) if cleaned else None,
        outliers=outliers,
    )


def _companion(
    bold: NamedFile,
    func: list[NamedFile],
    *,
    desc: str | None,
    suffixes: set[str],
    extensions: tuple[str, ...],
) -> Path | None:
    """Find the run's own file beside a BOLD series; None where there is none.

    A mask is in the space and resolution of the series; confounds are in none.
    """
    is_mask = "mask" in suffixes
    found = [
        file
        for file in func
        if file.name.suffix in suffixes
        and file.name.extension in extensions
        and file.name.get("desc") == desc
        and (_same_grid(file.name, bold.name) if is_mask else file.name.get("space") is None)
        and belongs_to(file.name, bold.name)
        and file.path.parent == bold.path.parent
    ]
    if not found:
        return None
    if is_mask:
        require_one_file_each(found, f"sub-{bold.name.get('sub')}")
    # Newer names win over older ones that somebody kept beside them.
    return max(found, key=lambda f: (len(f.name.entities), f.name.suffix == "timeseries")).path


def _same_grid(one: BidsName, other: BidsName) -> bool:
    same = all(one.get(key) == other.get(key) for key in ("cohort", "res"))
    return same and space_of(one) == space_of(other)


def no_bold(
    folder: Path, sessions: Sequence[str], files: Sequence[Path], input_type: InputType
) -> RunError:
    """Say that a participant has no BOLD series, and what is there."""
    present = sorted(path.name for path in folder.glob("ses-*"))
    if sessions and not any(f"ses-{label}" in present for label in sessions):
        return absent_session(folder.name, sessions, present)
    names = sorted(path.name for path in files)
    found = f"{folder.name} has no BOLD series in {folder}"
    if not names:
        return RunError(found, remedy="run fMRIPrep on it")
    for ending, why, remedy in (
        (
            "_bold.json",
            "there are sidecars but no images",
            f"copy the images too, or datalad get {folder}",
        ),
        (
            "_desc-hmc_xfm.txt",
            "fMRIPrep's level minimal or resampling writes none",
            "rerun it on the same output folder with --level full --output-spaces "
            f"{SPACE}:res-2: what is there is reused",
        ),
    ):
        if there := [name for name in names if name.endswith(ending)]:
            return RunError(f"{found}, but {there[0]}: {why}", remedy=remedy)
    images = [name for name in names if name.endswith(IMAGES)]
    desc = _DESCS[input_type][0]
    return RunError(
        f"{found}, but {(images or names)[0]}",
        expected=f"names such as sub-LABEL_task-rest_space-{SPACE}_desc-{desc}_bold.nii.gz, with "
        "labels of letters and digits only",
        remedy=_REMEDIES[input_type],
    )


def none_usable(files: list[NamedFile], who: str, desc: str, input_type: InputType) -> RunError:
    """Say that none of the BOLD series is what the input type promises."""
    kinds = sorted({file.name.extension for file in files})
    if any(kind.startswith(".dtseries") for kind in kinds):
        found = f"{who} has CIFTI files only ({', '.join(kinds)}): they hold no volume of the brain"
    else:
        found = f"{who} has no desc-{desc}_bold image, but {files[0].path.name}"
    remedy = _REMEDIES[input_type]
    if input_type == "fmriprep" and any(f.name.get("desc") in _DESCS["xcpd"] for f in files):
        remedy = "--input-type xcpd, if XCP-D made them: the dataset's description names others"
    return RunError(found, expected=f"NIfTI volumes in {SPACE}", remedy=remedy)
