"""The resting-state runs of a participant; refusal of labels that no run has."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from bids_dtg.errors import RunError, SettingsError, together
from bids_dtg.files.foreign import files_below, require_contents, require_listable
from bids_dtg.files.names import is_label, parse_name, plain_index
from bids_dtg.files.sidecars import repetition_time, sidecars_of, stated_residual_dof
from bids_dtg.files.text import read_json
from bids_dtg.inputs.dataset import InputDataset, participants_of
from bids_dtg.inputs.run import (
    COMBINED,
    FSAVERAGES,
    GIFTI_SERIES,
    IMAGES,
    OF_PARCELS,
    PARCEL_SERIES,
    PARCELS,
    SPACE,
    STORAGE,
    SURFACE,
    NamedFile,
    RestRun,
    SeveralFilesError,
    Wanted,
    belongs_to,
    best,
    having,
    named_files,
    natural_order,
    other_side,
    template_name,
    without_joins,
)
from bids_dtg.inputs.selection import Selection, narrow
from bids_dtg.inputs.space_choice import (
    Choice,
    SpaceRule,
    choose_version,
    files_in_space,
)
from bids_dtg.inputs.studies import STUDIES, Study, person_folders
from bids_dtg.inputs.templateflow import TransformMissingError
from bids_dtg.inputs.vertex_choice import (
    choose_for_parcels,
    lack_of_parcels,
    no_own_surfaces,
    template_surface,
)
from bids_dtg.settings import InputType

EVERY_REST = Selection()
# Values of desc- of the preprocessed or cleaned series; the first one present is used. Unsmoothed
# series come first, as models are trained on unsmoothed data.
_DESCS: dict[InputType, tuple[str, ...]] = {
    "fmriprep": ("preproc",),
    "xcpd": ("denoised", "denoisedSmoothed"),
}
_REMEDIES: dict[InputType, str] = {
    "fmriprep": f"fmriprep --level full --output-spaces {SPACE}:res-2",
    "xcpd": "run XCP-D with --file-format nifti",
}
# Ends of the names of its series, also in ABCD's collection 3165.
_ABCD_HCP_SERIES = re.compile(
    r"_bold_([A-Za-z0-9]+-[A-Za-z0-9]+_)*timeseries\.[dp]tseries\.nii$"
)
# Suffixes of confounds tables; the newer one takes precedence.
_CONFOUNDS = ("timeseries", "regressors")
# Entities that differ between files made in several ways from one measurement.
_WAYS = frozenset({"rec", "hash", "part"})
# Keys of sidecars that are the same for all echoes of a measurement, and for nothing else.
_OF_ECHO = ("run", "echo")  # entities by which converters name echoes
_OF_SCAN = ("SeriesInstanceUID", "AcquisitionDateTime", "AcquisitionTime", "SeriesTime")
_ONE_OF_TWO = (
    "remove or rename one, or choose with --bids-filter-file, as in "
    '{"bold": {"reconstruction": "A"}}'
)


def find_runs(
    root: Path,
    participant: str,
    selection: Selection = EVERY_REST,
    *,
    rule: SpaceRule | None = None,
    input_type: InputType = "fmriprep",
) -> tuple[RestRun, ...]:
    """Find the runs of one participant, sorted by name.

    Parameters
    ----------
    root
        Root folder of the dataset.
    participant
        Participant's label, without `sub-`.
    selection
        Requested sessions, tasks and runs.
    rule
        How a version of each run is chosen; by default the rule for the published models.
    input_type
        How the folders are read.

    Raises
    ------
    RunError
        There is no such run, or files of it are missing.
    SettingsError
        A filter was given for an input without BIDS names.
    """
    rule = replace(rule or SpaceRule(), root=root.absolute(), input_type=input_type)
    study = STUDIES.get(input_type)
    if study:
        runs = _study_runs(study, participant, selection, rule)
    else:
        runs = _derivative_runs(participant, selection, rule)
    require_contents((path for run in runs for path in run.inputs), participant)
    return tuple(sorted(runs, key=lambda run: natural_order(run.title)))


def run_of_file(
    bold: Path,
    root: Path,
    *,
    rule: SpaceRule | None = None,
    input_type: InputType = "fmriprep",
) -> RestRun:
    """Return one BOLD file of BIDS derivatives as a run, with its other files as in `find_runs`.

    Parameters
    ----------
    bold
        The BOLD series; the files that belong to it are searched for in its folder.
    root, rule, input_type
        Dataset, rule of choice and type of input, as for `find_runs`.

    Raises
    ------
    RunError
        The file is missing, or cannot be brought to the model's space.
    ValueError
        Its name is not a BIDS name.
    """
    rule = replace(rule or SpaceRule(), root=root.absolute(), input_type=input_type)
    file = NamedFile(bold.absolute(), parse_name(bold.name))
    folder_files = named_files(file.path.parent.iterdir())
    choice = _choose([file], rule)
    run = _rest_run(choice, folder_files, file.participant, rule)
    require_contents(run.inputs, run.participant)
    return run


def list_series(dataset: InputDataset, participant: str) -> list[NamedFile]:
    """List a participant's BOLD series in all versions, from names alone."""
    if dataset.study is None:
        paths = _functional_paths(dataset.root / f"sub-{participant}")
        return _series(named_files(paths))
    series: list[NamedFile] = []
    for folder in person_folders(dataset.study, dataset.root, participant):
        with suppress(RunError):  # reported when the participant is processed
            series += [run.named for run in dataset.study.runs(folder, dense=False)]
    return series


def _list_folders(dataset: InputDataset, participant: str) -> list[NamedFile]:
    """List a participant's folders in a study, one a session, whether or not rest can be read."""
    assert dataset.study is not None
    return person_folders(dataset.study, dataset.root, participant)


def refuse_absent(
    dataset: InputDataset, participants: Sequence[str], selection: Selection
) -> None:
    """Refuse labels of sessions and tasks that no run of a dataset has.

    Only names are read, those of the requested participants first, until a label is found. A
    participant who lacks a label that somebody else has fails later, without ending the run.

    Raises
    ------
    SettingsError
        A label is invalid, or no run has it; the message lists the labels of one participant.
    """
    list_files = list_series if dataset.study is None else _list_folders
    for label in selection.sessions:
        keep = partial(narrow, entity="ses", labels=[label])
        _require_one(dataset, participants, keep, list_files)
    for label in selection.tasks:
        keep = partial(narrow, entity="task", labels=[label])
        _require_one(dataset, participants, keep)


def refuse_absent_space(
    dataset: InputDataset,
    participants: Sequence[str],
    selection: Selection,
    rule: SpaceRule,
) -> None:
    """Refuse a value of ``--space`` in which no requested run exists.

    Raises
    ------
    SettingsError
        No run is in this space; the message lists the spaces of one participant's runs.
    """
    space = rule.requested
    if space is None:
        return
    if dataset.study is not None:
        error = _wrong_space(dataset.study, rule)
        if error:
            raise error.as_kind(SettingsError)
        return

    rule = replace(rule, input_type=dataset.input_type)

    def keep(series: list[NamedFile], participant: str) -> list[NamedFile]:
        try:
            selected = selection.of(series, participant)
            usable = _usable(selected, participant, rule)
        except RunError:
            return []  # reported when the participant is processed
        return files_in_space(usable, space)

    _require_one(dataset, participants, keep)


def _require_one(
    dataset: InputDataset,
    participants: Sequence[str],
    keep: Callable[[list[NamedFile], str], list[NamedFile]],
    list_files: Callable[[InputDataset, str], list[NamedFile]] = list_series,
) -> None:
    """Raise the first participant's error if `keep` keeps no file of anybody."""
    error: RunError | None = None
    for participant in dict.fromkeys((*participants, *participants_of(dataset))):
        files = list_files(dataset, participant)
        if not files:  # another error is raised later
            continue
        try:
            if keep(files, f"sub-{participant}"):
                return
        except RunError as err:
            error = error or err
    if error is not None:
        raise error.as_kind(SettingsError)


def refuse_echoes(runs: Sequence[RestRun], raw: Path | None) -> None:
    """Refuse runs that are echoes of one measurement, as a converter may name echoes by `run-`.

    They have another `EchoTime`, the same `SeriesInstanceUID` or start, and names that differ in
    `run-` or `echo-` alone. A time of zero is that of anonymised files, not a start.

    Parameters
    ----------
    runs
        Runs of one participant.
    raw
        The raw dataset, whose sidecars say more than those of derivatives; None: not there.

    Raises
    ------
    RunError
        Two runs are echoes of one measurement.
    """
    if len(runs) < 2:
        return
    echoes: dict[Any, tuple[RestRun, Any]] = {}  # first run of a scan, and its EchoTime
    for run in runs:
        facts = _facts_of_scan(run, raw)
        named = frozenset(
            pair for pair in run.named.measured if pair[0] not in _OF_ECHO
        )
        for key in _OF_SCAN:
            start = str(facts.get(key) or "")
            is_zero = key.endswith("Time") and not re.search("[1-9]", start[-15:])
            if is_zero or not start or facts.get("EchoTime") is None:
                continue
            scan = (key, named, start)
            echo_time = facts["EchoTime"]
            first, first_time = echoes.setdefault(scan, (run, echo_time))
            if first_time != echo_time:
                raise RunError(
                    f"{first.title} and {run.title} are echoes of one measurement: they have the "
                    f"same {key}, and the EchoTime {first_time} and {echo_time}",
                    expected="the optimally combined series of the echoes",
                    remedy="name them echo-1, echo-2 and so on in the raw dataset and run fMRIPrep "
                    'again, or choose one with --bids-filter-file, as in {"bold": {"run": 2}}',
                )


def _facts_of_scan(run: RestRun, raw: Path | None) -> dict[str, Any]:
    """Return what the sidecars of a run say, those of the raw dataset first."""
    sidecars = list(run.sidecars[::-1])
    if raw is not None:
        pairs = [f"{key}-{label}" for key, label in run.named.measured if key != "hash"]
        name = "_".join([*pairs, "bold.nii.gz"])
        folder = raw / run.bold.parent.relative_to(run.root)
        sidecars += [*sidecars_of(folder / name, folder)][::-1]
    facts: dict[str, Any] = {}
    for path in sidecars:
        facts |= read_json(path)
    return facts


# --- Studies


def _study_runs(
    study: Study, participant: str, selection: Selection, rule: SpaceRule
) -> list[RestRun]:
    title = f"sub-{participant}"
    if selection.filters:
        raise SettingsError(
            f"--bids-filter-file was given for {study.title}",
            expected="BIDS derivatives, as it filters BIDS names",
            remedy="choose with --task-id or --session-label",
        )
    error = _wrong_space(study, rule)
    if error:
        raise error
    folders = person_folders(study, rule.root, participant)
    if not folders:
        raise _no_participant(rule, participant)
    if selection.sessions:
        folders = narrow(folders, title, "ses", selection.sessions)
    wants_volumes = rule.requested not in (None, PARCELS)
    wants_volumes |= rule.sample_on == "template"
    is_dense = rule.model == PARCELS and study.has_dense and not wants_volumes
    run_of_path: dict[Path, RestRun] = {}
    failed: dict[NamedFile, RunError] = {}
    for folder in folders:
        try:
            for run in _readable_by_model(
                study.runs(folder, dense=is_dense), study, folder, rule
            ):
                run_of_path[run.bold] = run
        except RunError as err:
            failed[folder] = err
    # A session without rest does not matter.
    unreadable = {
        folder: error
        for folder, error in failed.items()
        if any(folder.path.glob(study.rest))
    }
    if failed and not run_of_path:
        raise next(iter((unreadable or failed).values()))
    for folder, error in unreadable.items():
        warnings.warn(f"{folder.title} is left out: {error}", stacklevel=4)
    chosen = selection.of([run.named for run in run_of_path.values()], title)
    remedy = "remove or move one of the two folders"
    _require_measured_once(chosen, title, remedy)
    runs = [run_of_path[file.path] for file in chosen]
    if rule.model != PARCELS:
        return runs
    return [
        run if run.space == PARCELS else _at_template(run, study, rule) for run in runs
    ]


def _readable_by_model(
    runs: Sequence[RestRun], study: Study, folder: NamedFile, rule: SpaceRule
) -> list[RestRun]:
    """Replace grayordinates that lack the model's parcels, or are on another mesh, by volumes."""
    on_lattice = rule.on_lattice
    if on_lattice is None or rule.requested == PARCELS:
        return [*runs]
    misfits = [run for run in runs if run.space == PARCELS and not on_lattice(run.bold)]
    volumes: dict[Path, RestRun] = {}
    if misfits:
        with suppress(RunError):  # there are none, and the grayordinates are refused
            volumes = {run.bold.parent: run for run in study.runs(folder, dense=False)}
    chosen = []
    for run in runs:
        volume = volumes.get(run.bold.parent) if run in misfits else None
        if volume is not None:
            lack = lack_of_parcels(run.bold)
            warnings.warn(f"{lack}: volumes are read", stacklevel=5)
            reason = f"{volume.space_reason}; {lack}"
            volume = replace(volume, space_reason=reason)
        chosen.append(volume or run)
    return chosen


def _at_template(run: RestRun, study: Study, rule: SpaceRule) -> RestRun:
    """Return a study's run of volumes, to be read at the vertices of the template's surface."""
    lack = f"{study.title} has no surfaces of its own here"
    if rule.sample_on == "own":
        raise no_own_surfaces(lack)
    reason = "requested with --sample-on" if rule.sample_on else lack
    return replace(
        run,
        surfaces=template_surface(reason, run.transforms),
        transforms=(),
        space_reason=f"{run.space_reason}, at the vertices of a template's surface",
    )


def _wrong_space(study: Study, rule: SpaceRule) -> RunError | None:
    """Return an error if a study's runs cannot be read in the requested space, else None."""
    space = rule.requested or rule.model
    is_volume = template_name(space.partition(":")[0]) == SPACE
    if is_volume and rule.model in (SPACE, PARCELS):
        return None
    if space == rule.model == PARCELS:
        return None
    return RunError(
        f"{study.title} is read in {SPACE}, not in {space}",
        remedy="leave --space out" if rule.requested else f"choose a model in {SPACE}",
    )


# --- BIDS derivatives


def _derivative_runs(
    participant: str, selection: Selection, rule: SpaceRule
) -> list[RestRun]:
    folder = rule.root / f"sub-{participant}"
    if not folder.is_dir():
        raise _no_participant(rule, participant)
    title = folder.name
    files = named_files(_functional_paths(folder))
    series = _series(files)
    if not series:
        raise _no_series(folder, rule.input_type)
    series = selection.filtered(selection.of(series, title), folder)
    usable = _usable(series, title, rule)
    tables = _confounds_tables(files, title, selection)
    _warn_of_lost_runs([*series, *tables], usable)
    is_echo_chosen = "echo" in selection.filters
    versions_of_runs = _by_run(usable, title, is_echo_chosen=is_echo_chosen)
    if rule.is_of_xcpd:
        versions_of_runs = without_joins(versions_of_runs, lambda versions: versions[0])
    _require_measured_once([*chain.from_iterable(versions_of_runs)], title)
    choices, refused = _choices(versions_of_runs, rule)
    runs = []
    for choice in choices:
        try:
            runs.append(_rest_run(choice, files, participant, rule))
        except RunError as err:
            refused.append(err)
    if refused:
        raise together(refused)
    return runs


def _functional_paths(folder: Path) -> Iterable[Path]:
    """Yield the files in the `func` folders of one participant, including subfolders."""
    require_listable(folder)
    for session_folder in (folder, *folder.glob("ses-*")):
        require_listable(session_folder)
        yield from files_below(session_folder / "func")


def _series(files: list[NamedFile]) -> list[NamedFile]:
    series = []
    for file in files:
        is_sidecar = file.name.extension.endswith(".json")
        if file.space == PARCELS or (file.name.suffix == "bold" and not is_sidecar):
            series.append(file)
    return series


def _usable(series: list[NamedFile], title: str, rule: SpaceRule) -> list[NamedFile]:
    """Keep the preprocessed or cleaned series of the input type; raise an error if none exists.

    A model of parcels reads series of parcels and of fsaverage's meshes, and volumes; a model of
    voxels reads volumes.
    """
    # Phase and complex-valued parts are not BOLD signal.
    magnitudes = having(series, part=("mag", None))
    images = having(magnitudes, extension=IMAGES)
    voxel_files = [file for file in images if file.space != PARCELS]
    volumes = _preprocessed(voxel_files, rule.input_type)
    desc = _DESCS[rule.input_type][0]
    if rule.model != PARCELS:
        if volumes:
            return volumes
        remedy = f"use --model {OF_PARCELS}, which reads such series"
        if any(file.space != PARCELS for file in series):
            remedy = _REMEDIES[rule.input_type]
        raise RunError(
            f"{title} has no desc-{desc}_bold image. It has {series[0].path.name}",
            expected=f"NIfTI volumes in {SPACE}",
            remedy=remedy,
        )
    tables_and_cifti = having(magnitudes, extension=PARCEL_SERIES)
    parcel_files = [file for file in tables_and_cifti if file.space == PARCELS]
    parcels = _preprocessed(parcel_files, rule.input_type, or_none=True)
    meshes = having(magnitudes, extension=GIFTI_SERIES, space=FSAVERAGES)
    paths = {file.path for file in meshes}
    left_sides = [
        file for file in having(meshes, hemi="L") if other_side(file.path) in paths
    ]
    usable = [*parcels, *left_sides, *volumes]
    if usable:
        return usable
    if meshes:
        raise RunError(
            f"{title} has a series of one hemisphere only: {meshes[0].path.name}",
            expected="hemi-L and hemi-R",
            remedy="copy the other one, or rerun fMRIPrep",
        )
    raise RunError(
        f"{title} has no series of parcels, and no volumes. It has {series[0].path.name}",
        expected=f"*_desc-{desc}_bold.nii.gz, "
        f"*_space-{SURFACE}_seg-*_timeseries{PARCEL_SERIES[0]} (or .tsv), or "
        f"*_space-{SURFACE}_den-91k_*bold{PARCEL_SERIES[-1]}",
        remedy="run fMRIPrep with --level full, or XCP-D with --file-format cifti",
    )


def _preprocessed(
    files: list[NamedFile], input_type: InputType, *, or_none: bool = False
) -> list[NamedFile]:
    """Keep series with the best value of desc- that exists; `or_none`: also those without desc-."""
    with_desc = having(files, desc=_DESCS[input_type])
    allowed: tuple[str | None, ...] = (None,) if or_none else ()
    if with_desc:
        allowed += (with_desc[0].name.get("desc"),)
    return having(files, desc=allowed)


def _confounds_tables(
    files: list[NamedFile], title: str, selection: Selection
) -> list[NamedFile]:
    """Return the confounds tables of the requested runs; none with filters, which choose series."""
    tables = having(files, suffix=_CONFOUNDS, extension=".tsv", desc="confounds")
    if tables and not selection.filters:
        with suppress(RunError):  # the requested tasks and sessions have no table
            return selection.of(tables, title)
    return []


def _warn_of_lost_runs(files: list[NamedFile], usable: list[NamedFile]) -> None:
    """Warn of runs that have files, but no usable series, as after an interrupted fMRIPrep."""

    def run(file: NamedFile) -> frozenset[tuple[str, str]]:
        return frozenset(
            (key, plain_index(key, label))
            for key, label in file.measured
            if key not in COMBINED
        )

    usable_runs = {run(file) for file in usable}
    lost = {run(file): file for file in files if run(file) not in usable_runs}
    for file in lost.values():
        warnings.warn(
            f"{file.title} is left out: it has {file.path.name}, but no series such as "
            f"{usable[0].path.name}",
            stacklevel=5,
        )


def _by_run(
    files: list[NamedFile], title: str, *, is_echo_chosen: bool
) -> list[list[NamedFile]]:
    """Group files into the versions of each run, by the measurement.

    For a multi-echo run this is the combined series, or the one echo that a filter selected.
    """
    runs: dict[tuple[tuple[str, str], ...], list[NamedFile]] = {}
    for file in files:
        key = tuple(pair for pair in file.measured if pair[0] != "echo")
        runs.setdefault(key, []).append(file)
    for key, members in runs.items():
        combined = [file for file in members if file.name.get("echo") is None]
        if combined:
            runs[key] = combined
            continue
        echoes = sorted({file.name.get("echo") or "" for file in members})
        if len(echoes) > 1 or not is_echo_chosen:
            raise RunError(
                f"{title} has only single echoes (echo {', '.join(echoes)}): "
                f"{members[0].path.name}",
                expected="the optimally combined series, without echo-",
                remedy="run fMRIPrep with --level full, which combines them, or choose one echo "
                'with --bids-filter-file: {"bold": {"echo": 2}}',
            )
    return list(runs.values())


def _require_measured_once(
    files: list[NamedFile], title: str, remedy: str = _ONE_OF_TWO
) -> None:
    """Refuse two runs that are one measurement, and two files of the same version of a run.

    Names mean the same if they differ only in `.nii` and `.nii.gz`, zeros before a number, or upper
    and lower case. One measurement may have several reconstructions, configurations and parts.
    """
    file_of_run: dict[Any, NamedFile] = {}
    file_of_version: dict[Any, NamedFile] = {}
    for file in files:
        version = tuple(
            (key, plain_index(key, label))
            for key, label in file.name.entities
            if key not in _WAYS
        )
        run = tuple((key, label) for key, label in version if key not in STORAGE)
        run_file = file_of_run.setdefault(run, file)
        version_file = file_of_version.setdefault(version, file)
        if version_file is not file or run_file.measured != file.measured:
            first = run_file if version_file is file else version_file
            raise RunError(
                f"{title} has two files of one measurement, {first.path} and {file.path}",
                expected="one of them, as each would count as a run",
                remedy=remedy,
            )


def _choose(versions: list[NamedFile], rule: SpaceRule) -> Choice:
    if rule.model == PARCELS:
        return choose_for_parcels(versions, rule)
    return choose_version(versions, rule)


def _choices(
    runs: list[list[NamedFile]], rule: SpaceRule
) -> tuple[list[Choice], list[RunError]]:
    """Choose a version of each run; warn of runs without one, or fail if no run has one.

    Errors that the user must settle first are returned, for all runs.
    """
    chosen: list[Choice] = []
    refused: list[RunError] = []
    failed: dict[str, RunError] = {}
    for versions in runs:
        try:
            chosen.append(_choose(versions, rule))
        except (TransformMissingError, SeveralFilesError) as err:
            # Not left out if its transform can be fetched or chosen, as the maps would change once
            # it is; nor if its co-registration is missing, as then files of fMRIPrep are lost.
            refused.append(err)
        except RunError as err:
            failed[versions[0].title] = err
    if failed and not chosen:
        raise together([*refused, *failed.values()])
    for title, error in failed.items():
        warnings.warn(f"{title} is left out: {error}", stacklevel=5)
    return chosen, refused


# Long, as each kind of file that belongs to a run has its criteria.
def _rest_run(
    choice: Choice, files: list[NamedFile], participant: str, rule: SpaceRule
) -> RestRun:
    """Return a run from the chosen version and the files that belong to it.

    A mask must have the space and resolution of the series; confounds have no space.
    """
    bold, transforms, surfaces, reason = choice
    companions = [
        file
        for file in files
        if file.path.parent == bold.path.parent and belongs_to(file.name, bold.name)
    ]
    tr_seconds, sidecars = _stated_time(bold, files, rule.root)
    mask = _closest(
        [file for file in companions if file.space == bold.space],
        f"the brain mask of {bold.title}",
        suffix="mask",
        extension=IMAGES,
        desc="brain",
        cohort=bold.name.get("cohort"),
        res=bold.name.get("res"),
    )
    find_table = partial(_closest, companions, extension=".tsv", space=None)
    confounds = find_table(
        f"the confounds table of {bold.title}", suffix=_CONFOUNDS, desc="confounds"
    )
    outliers = motion = None
    if rule.is_of_xcpd:
        what = f"the outliers of {bold.title}"
        outliers = find_table(what, suffix="outliers", desc=None)
        what = f"the motion of {bold.title}"
        # XCP-D before 0.7 named filtered motion so, by which it censored.
        motion = find_table(what, suffix="motion", desc=("filtered", None))
    return RestRun(
        bold=bold.path,
        mask=mask,
        confounds=confounds,
        entities=bold.name.entities,
        participant=participant,
        space=bold.space if transforms or surfaces else rule.model,
        tr_seconds=tr_seconds,
        sidecars=sidecars,
        root=rule.root,
        transforms=transforms,
        surfaces=surfaces,
        space_reason=reason,
        cleaned_before=rule.is_of_xcpd,
        dof_stated=stated_residual_dof(sidecars) if rule.is_of_xcpd else None,
        outliers=outliers,
        motion=motion,
    )


def _stated_time(
    bold: NamedFile, files: list[NamedFile], root: Path
) -> tuple[float | None, tuple[Path, ...]]:
    """Return the RepetitionTime of a run's sidecars, and the sidecars that were read."""
    tr_seconds, sidecars = repetition_time(bold.path, root)
    # It may be in the sidecar of the BOLD series behind a table or a mesh's series.
    if bold.name.extension in (".tsv", GIFTI_SERIES):
        for file in files:
            is_bold = file.name.suffix == "bold" and belongs_to(file.name, bold.name)
            if tr_seconds is None and is_bold:
                tr_seconds, sidecars = repetition_time(file.path, root)
    return tr_seconds, sidecars


def _closest(files: list[NamedFile], what: str, **wanted: Wanted) -> Path | None:
    """Return the best file with the most entities; files of a run may lack echo- and part-."""
    fitting = having(files, **wanted)
    most = max((len(file.name.entities) for file in fitting), default=0)
    nearest = [file for file in fitting if len(file.name.entities) == most]
    file = best(nearest, what, **wanted)
    return file.path if file else None


def _no_participant(rule: SpaceRule, participant: str) -> RunError:
    return RunError(
        f"sub-{participant} is not in {rule.root}", remedy="check --participant-label"
    )


def _no_series(folder: Path, input_type: InputType) -> RunError:
    """Return the error for a participant without BOLD series; it names a file that is present."""
    lack = f"{folder.name} has no BOLD series in {folder}"
    paths = list(_functional_paths(folder))
    names = sorted(path.name for path in paths)
    desc = _DESCS[input_type][0]
    expected = (
        f"names such as sub-LABEL_task-rest_space-{SPACE}_desc-{desc}_bold.nii.gz, with labels of "
        "letters and digits only"
    )
    sidecars = [name for name in names if name.endswith("_bold.json")]
    images = [name for name in names if not name.endswith(".json")]
    in_bids = {file.path.name for file in named_files(paths)}
    misnamed = [name for name in images if "_bold." in name and name not in in_bids]
    if misnamed:
        label = folder.name.removeprefix("sub-")
        fault = f"{misnamed[0]} in {folder} has a name that is not BIDS"
        if not is_label(label):
            fault += f": sub {label!r} cannot be part of a file name"
        remedy = "rename it, and its folder if that has the label"
        return RunError(fault, expected=expected, remedy=remedy)
    if sidecars:
        return RunError(
            f"{lack}, only {sidecars[0]}: there are sidecars but no images",
            remedy=f"copy the images too, or datalad get {folder}",
        )
    abcd_series = [name for name in names if _ABCD_HCP_SERIES.search(name)]
    if abcd_series:
        return RunError(
            f"{lack}, only {abcd_series[0]} of abcd-hcp-pipeline, which is not read, as the frames "
            "to leave out are in .mat files",
            expected="derivatives of fMRIPrep or XCP-D",
            remedy="run one of them on the raw data",
        )
    examples = [name for name in names if name.endswith(IMAGES)] or names
    only = f", only {examples[0]}" if examples else ""
    return RunError(f"{lack}{only}", expected=expected, remedy=_REMEDIES[input_type])
