"""The resting-state runs of a participant; refusal of labels that no run has."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from bids_dtg.errors import RunError, SettingsError, together
from bids_dtg.files.foreign import files_below, require_contents
from bids_dtg.files.names import parse_name, plain_index
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
    SurfaceFiles,
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
from bids_dtg.inputs.space_choice import Choice, SpaceRule, choose_version, of_space
from bids_dtg.inputs.studies import STUDIES, Study, person_folders
from bids_dtg.inputs.templateflow import TransformMissingError
from bids_dtg.inputs.vertex_choice import (
    choose_for_parcels,
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
_OF_ABCD_HCP = re.compile(
    r"_bold_([A-Za-z0-9]+-[A-Za-z0-9]+_)*timeseries\.[dp]tseries\.nii$"
)
# Suffixes of confounds tables; the newer one takes precedence.
_CONFOUNDS = ("timeseries", "regressors")
_COMPANIONS = frozenset({"mask", *_CONFOUNDS, "outliers", "motion"})
# Entities that differ between files made in several ways from one measurement.
_MADE = frozenset({"rec", "hash", "part"})
# Keys of sidecars that are the same for all echoes of a measurement, and for nothing else.
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
    root, rule = root.absolute(), rule or SpaceRule()
    if study := STUDIES.get(input_type):
        runs = _study_runs(study, root, participant, selection, rule)
    else:
        runs = _derivative_runs(root, participant, selection, rule, input_type)
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
    root, bold, rule = root.absolute(), bold.absolute(), rule or SpaceRule()
    file = NamedFile(bold, parse_name(bold.name))
    beside = named_files(bold.parent.iterdir())
    chosen = _choose([file], rule, root, input_type)
    run = _rest_run(*chosen, beside, file.participant, rule, root, input_type)
    require_contents(run.inputs, run.participant)
    return run


def list_series(dataset: InputDataset, participant: str) -> list[NamedFile]:
    """List a participant's BOLD series in all versions, from names alone."""
    if dataset.study is None:
        return _series(
            named_files(_functional_paths(dataset.root / f"sub-{participant}"))
        )
    found: list[NamedFile] = []
    for folder in person_folders(dataset.study, dataset.root, participant):
        with suppress(RunError):  # reported when the participant is processed
            found += [run.named for run in dataset.study.runs(folder, dense=False)]
    return found


def _list_folders(dataset: InputDataset, participant: str) -> list[NamedFile]:
    """List a participant's folders in a study, one a session, whether or not rest can be read."""
    assert dataset.study is not None
    return person_folders(dataset.study, dataset.root, participant)


def refuse_absent(
    dataset: InputDataset, participants: Sequence[str], selection: Selection
) -> None:
    """Refuse labels of sessions and tasks that no run of a dataset has.

    Only names are read, those of the requested participants first, until a label is found. A
    participant who lacks a label that others have fails later, without ending the run.

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
        _require_one(
            dataset, participants, partial(narrow, entity="task", labels=[label])
        )


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
    if (space := rule.requested) is None:
        return
    if dataset.study is not None:
        if wrong := _wrong_space(dataset.study, rule):
            raise wrong.as_kind(SettingsError)
        return

    def keep(series: list[NamedFile], who: str) -> list[NamedFile]:
        try:
            usable = _usable(
                selection.of(series, who), who, dataset.input_type, rule.model
            )
        except RunError:
            return []  # reported when the participant is processed
        return of_space(usable, space)

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
        if files := list_files(
            dataset, participant
        ):  # without any, another error is raised
            try:
                if keep(files, f"sub-{participant}"):
                    return
            except RunError as err:
                error = error or err
    if error is not None:
        raise error.as_kind(SettingsError)


def refuse_echoes(runs: Sequence[RestRun], raw: Path | None) -> None:
    """Refuse runs that are echoes of one measurement, as a converter may name echoes by `run-`.

    They have another `EchoTime`, and the same `SeriesInstanceUID` or start.

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
    echoes = dict[Any, tuple[RestRun, Any]]()
    for run in runs if len(runs) > 1 else ():
        facts = _facts_of_scan(run, raw)
        for key in _OF_SCAN:
            if facts.get(key) is None or facts.get("EchoTime") is None:
                continue
            scan = key, run.session, str(facts[key])
            first, time = echoes.setdefault(scan, (run, facts["EchoTime"]))
            if time != facts["EchoTime"]:
                raise RunError(
                    f"{first.title} and {run.title} are echoes of one measurement: they have the "
                    f"same {key}, and the EchoTime {time} and {facts['EchoTime']}",
                    expected="the optimally combined series of the echoes",
                    remedy="name them echo-1, echo-2 and so on in the raw dataset and run fMRIPrep "
                    'again, or choose one with --bids-filter-file, as in {"bold": {"run": 2}}',
                )


def _facts_of_scan(run: RestRun, raw: Path | None) -> dict[str, Any]:
    """Return what the sidecars of a run say, those of the raw dataset before the others."""
    files = list(run.sidecars[::-1])
    if raw is not None:
        entities = [pair for pair in run.named.measured if pair[0] != "hash"]
        name = "_".join([*(f"{key}-{label}" for key, label in entities), "bold.nii.gz"])
        folder = raw / run.bold.parent.relative_to(run.root)
        files += [*sidecars_of(folder / name, folder)][::-1]
    facts = dict[str, Any]()
    for path in files:
        facts |= read_json(path)
    return facts


# --- Studies


def _study_runs(
    study: Study, root: Path, participant: str, selection: Selection, rule: SpaceRule
) -> list[RestRun]:
    who = f"sub-{participant}"
    if selection.filters:
        raise SettingsError(
            f"--bids-filter-file was given for {study.title}",
            expected="BIDS derivatives, as it filters BIDS names",
            remedy="choose with --task-id or --session-label",
        )
    if wrong := _wrong_space(study, rule):
        raise wrong
    folders = person_folders(study, root, participant)
    if not folders:
        raise _no_participant(root, participant)
    if selection.sessions:
        folders = narrow(folders, who, "ses", selection.sessions)
    volumes = rule.sample_on == "template" or rule.requested not in (None, PARCELS)
    is_dense = rule.model == PARCELS and study.has_dense and not volumes
    found, failed = dict[Path, RestRun](), list[tuple[NamedFile, RunError]]()
    for folder in folders:
        try:
            found |= {run.bold: run for run in study.runs(folder, dense=is_dense)}
        except RunError as err:
            failed.append((folder, err))
    # A session without rest does not matter.
    unreadable = [
        (folder, error) for folder, error in failed if any(folder.path.glob(study.rest))
    ]
    if failed and not found:
        raise (unreadable or failed)[0][1]
    for folder, error in unreadable:
        warnings.warn(f"{folder.title} is left out: {error}", stacklevel=4)
    chosen = selection.of([run.named for run in found.values()], who)
    _require_measured_once(chosen, who, remedy="remove or move one of the two folders")
    runs = [found[file.path] for file in chosen]
    if rule.model == PARCELS and not is_dense:
        return [_at_template(run, study, rule) for run in runs]
    return runs


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
    wanted = rule.requested or rule.model
    is_volume = template_name(wanted.partition(":")[0]) == SPACE
    if (rule.model in (SPACE, PARCELS) and is_volume) or (
        rule.model == PARCELS == wanted
    ):
        return None
    return RunError(
        f"{study.title} is read in {SPACE}, not in {wanted}",
        remedy="leave --space out" if rule.requested else f"choose a model in {SPACE}",
    )


# --- BIDS derivatives


def _derivative_runs(
    root: Path,
    participant: str,
    selection: Selection,
    rule: SpaceRule,
    input_type: InputType,
) -> list[RestRun]:
    folder = root / f"sub-{participant}"
    if not folder.is_dir():
        raise _no_participant(root, participant)
    who, files = folder.name, named_files(_functional_paths(folder))
    if not (series := _series(files)):
        raise _no_series(folder, input_type)
    series = selection.filtered(selection.of(series, who), folder)
    usable = _usable(series, who, input_type, rule.model)
    _warn_of_lost_runs([*series, *_confounds_tables(files, who, selection)], usable)
    found = _by_run(usable, who, is_echo_chosen="echo" in selection.filters)
    if input_type == "xcpd":
        found = without_joins(found, lambda versions: versions[0])
    _require_measured_once([file for versions in found for file in versions], who)
    chosen, refused = _choices(found, rule, root, input_type)
    runs = []
    for choice in chosen:
        try:
            runs.append(_rest_run(*choice, files, participant, rule, root, input_type))
        except RunError as err:
            refused.append(err)
    if refused:
        raise together(refused)
    return runs


def _functional_paths(folder: Path) -> Iterable[Path]:
    """Yield the files in the `func` folders of one participant, including subfolders."""
    for place in (folder, *folder.glob("ses-*")):
        yield from files_below(place / "func")


def _series(files: list[NamedFile]) -> list[NamedFile]:
    return [
        file
        for file in files
        if (file.name.suffix == "bold" and not file.name.extension.endswith(".json"))
        or file.space == PARCELS
    ]


def _usable(
    series: list[NamedFile], who: str, input_type: InputType, model: str
) -> list[NamedFile]:
    """Keep the preprocessed or cleaned series of the input type; raise an error if none exists.

    A model of parcels reads series of parcels and of fsaverage's meshes, and volumes; others read
    volumes.
    """
    # Phase and complex-valued parts are not BOLD signal.
    found = having(series, part=("mag", None))
    volumes = _preprocessed(
        [file for file in having(found, extension=IMAGES) if file.space != PARCELS],
        input_type,
    )
    if model != PARCELS:
        if volumes:
            return volumes
        raise RunError(
            f"{who} has no desc-{_DESCS[input_type][0]}_bold image. It has {series[0].path.name}",
            expected=f"NIfTI volumes in {SPACE}",
            remedy=_REMEDIES[input_type]
            if any(file.space != PARCELS for file in series)
            else f"use --model {OF_PARCELS}, which reads such series",
        )
    parcels = [
        file for file in having(found, extension=PARCEL_SERIES) if file.space == PARCELS
    ]
    meshes = having(found, extension=GIFTI_SERIES, space=FSAVERAGES)
    paths = {file.path for file in meshes}
    left = [file for file in having(meshes, hemi="L") if other_side(file.path) in paths]
    if kept := [*_preprocessed(parcels, input_type, or_none=True), *left, *volumes]:
        return kept
    raise RunError(
        f"{who} has no series of parcels, and no volumes. It has {series[0].path.name}",
        expected=f"*_desc-{_DESCS[input_type][0]}_bold.nii.gz, "
        f"*_space-{SURFACE}_seg-*_timeseries{PARCEL_SERIES[0]} (or .tsv), or "
        f"*_space-{SURFACE}_den-91k_*bold{PARCEL_SERIES[-1]}",
        remedy="run fMRIPrep with --level full, or XCP-D with --file-format cifti",
    )


def _preprocessed(
    files: list[NamedFile], input_type: InputType, *, or_none: bool = False
) -> list[NamedFile]:
    """Keep series with the best value of desc- that one of them has, or also those without one."""
    descs = tuple(
        file.name.get("desc") for file in having(files, desc=_DESCS[input_type])
    )
    return having(files, desc=(None, *descs[:1]) if or_none else descs[:1])


def _confounds_tables(
    files: list[NamedFile], who: str, selection: Selection
) -> list[NamedFile]:
    """Return the confounds tables of the requested runs; none with filters, which choose series."""
    tables = having(files, suffix=_CONFOUNDS, extension=".tsv", desc="confounds")
    if tables and not selection.filters:
        with suppress(RunError):  # the requested tasks and sessions have no table
            return selection.of(tables, who)
    return []


def _warn_of_lost_runs(files: list[NamedFile], usable: list[NamedFile]) -> None:
    """Warn of runs that have files, but no usable series, as after an interrupted fMRIPrep."""

    def run(file: NamedFile) -> frozenset[tuple[str, str]]:
        entities = (
            pair for pair in file.measured if pair[0] not in {*COMBINED, "hemi"}
        )
        return frozenset((key, plain_index(key, label)) for key, label in entities)

    there = {run(file) for file in usable}
    for file in {run(file): file for file in files if run(file) not in there}.values():
        warnings.warn(
            f"{file.title} is left out: it has {file.path.name}, but no series such as "
            f"{usable[0].path.name}",
            stacklevel=5,
        )


def _by_run(
    files: list[NamedFile], who: str, *, is_echo_chosen: bool
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
        echoes = sorted(
            {e for file in members if (e := file.name.get("echo")) is not None}
        )
        if combined:
            runs[key] = combined
        elif len(echoes) > 1 or not is_echo_chosen:
            raise RunError(
                f"{who} has only single echoes (echo {', '.join(echoes)}): {members[0].path.name}",
                expected="the optimally combined series, without echo-",
                remedy="run fMRIPrep with --level full, which combines them, or choose one echo "
                'with --bids-filter-file: {"bold": {"echo": 2}}',
            )
    return list(runs.values())


def _require_measured_once(
    files: list[NamedFile], who: str, remedy: str = _ONE_OF_TWO
) -> None:
    """Refuse two runs that are one measurement, and two files of the same version of a run.

    Names mean the same if they differ only in `.nii` and `.nii.gz`, zeros before a number, or upper
    and lower case. One measurement may have several reconstructions, configurations and parts.
    """
    runs, names = dict[Any, NamedFile](), dict[Any, NamedFile]()
    for file in files:
        entities = ((key, own) for key, own in file.name.entities if key not in _MADE)
        plain = tuple((key, plain_index(key, own)) for key, own in entities)
        run = tuple(pair for pair in plain if pair[0] not in STORAGE)
        first, same = runs.setdefault(run, file), names.setdefault(plain, file)
        if same is not file or first.measured != file.measured:
            other = first if same is file else same
            raise RunError(
                f"{who} has two files of one measurement, {other.path} and {file.path}",
                expected="one of them, as each would count as a run",
                remedy=remedy,
            )


def _choose(
    versions: list[NamedFile], rule: SpaceRule, root: Path, input_type: InputType
) -> tuple[Choice, SurfaceFiles | None]:
    """Choose a version of a run, and for parcels the surface that volumes are sampled on."""
    if rule.model == PARCELS:
        return choose_for_parcels(versions, rule, root, is_moved=input_type == "xcpd")
    return choose_version(versions, rule, root), None


def _choices(
    runs: list[list[NamedFile]], rule: SpaceRule, root: Path, input_type: InputType
) -> tuple[list[tuple[Choice, SurfaceFiles | None]], list[RunError]]:
    """Choose a version of each run; warn of runs without one, or fail if no run has one.

    Errors that the user must settle first are returned, for all runs.
    """
    chosen, refused = list[tuple[Choice, SurfaceFiles | None]](), list[RunError]()
    failed = list[tuple[str, RunError]]()
    for versions in runs:
        try:
            chosen.append(_choose(versions, rule, root, input_type))
        except (TransformMissingError, SeveralFilesError) as err:
            # Not left out if its transform can be fetched or chosen, as the maps would change once
            # it is; nor if its co-registration is missing, as then files of fMRIPrep are lost.
            refused.append(err)
        except RunError as err:
            failed.append((versions[0].title, err))
    if failed and not chosen:
        raise together([*refused, *(error for _, error in failed)])
    for title, error in failed:
        warnings.warn(f"{title} is left out: {error}", stacklevel=5)
    return chosen, refused


def _rest_run(
    choice: Choice,
    surfaces: SurfaceFiles | None,
    files: list[NamedFile],
    participant: str,
    rule: SpaceRule,
    root: Path,
    input_type: InputType,
) -> RestRun:
    """Return a run from the chosen version and the files that belong to it.

    A mask must have the space and resolution of the series; confounds have no space.
    """
    bold, transforms, reason = choice
    own = [
        file
        for file in files
        if file.name.suffix in _COMPANIONS
        and file.path.parent == bold.path.parent
        and belongs_to(file.name, bold.name)
    ]
    cohort, res = bold.name.get("cohort"), bold.name.get("res")
    in_space = [file for file in own if file.space == bold.space]
    is_mask = {
        "suffix": "mask",
        "extension": IMAGES,
        "desc": "brain",
        "cohort": cohort,
        "res": res,
    }
    is_table = {
        "suffix": _CONFOUNDS,
        "extension": ".tsv",
        "desc": "confounds",
        "space": None,
    }
    is_flags = {"suffix": "outliers", "extension": ".tsv", "desc": None, "space": None}
    # XCP-D before 0.7 named filtered motion so, by which it censored.
    is_motion = {
        "suffix": "motion",
        "extension": ".tsv",
        "desc": ("filtered", None),
        "space": None,
    }
    is_cleaned = input_type == "xcpd"
    tr_seconds, sidecars = repetition_time(bold.path, root)
    # The TR may be in the sidecar of the BOLD series behind it.
    if bold.name.extension in (".tsv", GIFTI_SERIES):
        for file in (file for file in files if belongs_to(file.name, bold.name)):
            if tr_seconds is None and file.name.suffix == "bold":
                tr_seconds, sidecars = repetition_time(file.path, root)
    return RestRun(
        bold=bold.path,
        mask=_closest(in_space, f"the brain mask of {bold.title}", is_mask),
        confounds=_closest(own, f"the confounds table of {bold.title}", is_table),
        entities=bold.name.entities,
        participant=participant,
        space=bold.space if transforms or surfaces else rule.model,
        tr_seconds=tr_seconds,
        sidecars=sidecars,
        root=root,
        transforms=transforms,
        surfaces=surfaces,
        space_reason=reason,
        cleaned_before=is_cleaned,
        dof_stated=stated_residual_dof(sidecars) if is_cleaned else None,
        outliers=_closest(own, f"the outliers of {bold.title}", is_flags)
        if is_cleaned
        else None,
        motion=_closest(own, f"the motion of {bold.title}", is_motion)
        if is_cleaned
        else None,
    )


def _closest(
    files: list[NamedFile], what: str, wanted: Mapping[str, Any]
) -> Path | None:
    """Return the best file with the most entities; files of a run may lack echo- and part-."""
    fitting = having(files, **wanted)
    most = max((len(file.name.entities) for file in fitting), default=0)
    nearest = [file for file in fitting if len(file.name.entities) == most]
    file = best(nearest, what, **wanted)
    return file.path if file else None


def _no_participant(root: Path, participant: str) -> RunError:
    return RunError(
        f"sub-{participant} is not in {root}", remedy="check --participant-label"
    )


def _no_series(folder: Path, input_type: InputType) -> RunError:
    """Return the error for a participant without BOLD series; it names a file that is present."""
    found = f"{folder.name} has no BOLD series in {folder}"
    names = sorted(path.name for path in _functional_paths(folder))
    if there := [name for name in names if name.endswith("_bold.json")]:
        return RunError(
            f"{found}, only {there[0]}: there are sidecars but no images",
            remedy=f"copy the images too, or datalad get {folder}",
        )
    if there := [name for name in names if _OF_ABCD_HCP.search(name)]:
        return RunError(
            f"{found}, only {there[0]} of abcd-hcp-pipeline, which is not read, as the frames to "
            "leave out are in .mat files",
            expected="derivatives of fMRIPrep or XCP-D",
            remedy="run one of them on the raw data",
        )
    there = [name for name in names if name.endswith(IMAGES)] or names
    desc = _DESCS[input_type][0]
    return RunError(
        found + f", only {there[0]}" if there else found,
        expected=f"names such as sub-LABEL_task-rest_space-{SPACE}_desc-{desc}_bold.nii.gz, with "
        "labels of letters and digits only",
        remedy=_REMEDIES[input_type],
    )
