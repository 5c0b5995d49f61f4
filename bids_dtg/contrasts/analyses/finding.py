"""Find the people who have rest and measured maps, from file names only."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from bids_dtg.cleaning.design import TooShortError
from bids_dtg.cleaning.strategies import find_strategy
from bids_dtg.contrasts.analyses.cohort import CohortFiles, CohortPlan
from bids_dtg.contrasts.contrast import (
    Contrast,
    by_plain_label,
    hcp_contrasts,
    tasks_by_contrast,
)
from bids_dtg.contrasts.participant.request import Request
from bids_dtg.errors import DatasetError, DtgError, RunError
from bids_dtg.inputs.run import PARCELS
from bids_dtg.inputs.statmaps import (
    PersonMaps,
    Statistic,
    StatMap,
    choose_statistic,
    chosen_contrasts,
    find_statmaps,
    in_space,
    name_targets,
    people_maps,
    plain_contrast,
)
from bids_dtg.notices import counted, named, say, show
from bids_dtg.participants.run_source import plan_run


def find_people(
    plan: CohortPlan,
    contrasts: Sequence[Contrast] | None,
    *,
    everything: bool = False,
) -> CohortFiles:
    """Find who has both scans.

    Parameters
    ----------
    plan
        Dataset, model and folder of measured maps.
    contrasts
        Contrasts to look for; None: all that the maps have.
    everything
        Whether to ignore `--contrast`.

    Raises
    ------
    DtgError
        Nobody has both, or maps are ambiguous or in other spaces.
    """
    model_contrasts = plan.bundle.contrasts
    measured, predicted = find_statmaps(plan.statmaps)
    statmaps, transforms, space_note = _in_model_space(plan, measured)
    tasks = tasks_by_contrast((*hcp_contrasts(), *model_contrasts))
    statmaps, task_note = name_targets(statmaps, tasks)
    rows = contrast_rows(
        [statmap.contrast for statmap in statmaps],
        contrasts,
        model_contrasts,
        () if everything else plan.settings.modelling.contrast,
    )
    wanted = by_plain_label(rows)
    statmaps = [
        statmap for statmap in statmaps if plain_contrast(statmap.contrast) in wanted
    ]
    maps = _maps_of_people(plan, statmaps)
    statistic, run_note = choose_statistic(maps)
    maps = {
        label: _with_statistic(person_maps, statistic)
        for label, person_maps in maps.items()
    }
    predicted_note = predicted and (
        f"{counted(predicted, 'file')} among the measured maps were predicted by "
        "bids_dtg and will not be used"
    )
    name_note = names_beyond_hcp(rows) if contrasts is None else ""
    notes = (task_note, space_note, run_note, predicted_note, name_note)
    return CohortFiles(
        plan,
        maps,
        rows,
        statistic,
        left_out=_without_both(plan, maps, statmaps),
        notes=tuple(note for note in notes if note),
        transforms=transforms,
    )


def _in_model_space(
    plan: CohortPlan, measured: Sequence[StatMap]
) -> tuple[Sequence[StatMap], dict[str, Path], str]:
    """Return the maps in the model's space or with a transform, the transforms, and a note."""
    space = plan.bundle.space
    transforms, errors = _transforms(plan.request, measured)
    try:
        statmaps, note = in_space(measured, space, transforms)
    except DatasetError as err:
        remedy = next((error.remedy for error in errors if error.remedy), None)
        remedy = remedy or err.remedy
        raise DatasetError(err.found, expected=err.expected, remedy=remedy) from err
    return statmaps, transforms, note


def _transforms(
    request: Request, statmaps: Sequence[StatMap]
) -> tuple[dict[str, Path], list[RunError]]:
    """Return transforms to the templates of the maps, and errors for those without one."""
    transforms: dict[str, Path] = {}
    errors: list[RunError] = []
    model_space = request.bundle.space
    if model_space == PARCELS:
        return transforms, errors
    spaces = {statmap.space for statmap in statmaps} - {None, model_space, PARCELS}
    for space in sorted(filter(None, spaces)):
        try:
            transforms[space] = request.templateflow.transform(model_space, space)
        except RunError as err:
            errors.append(err)
    return transforms, errors


def _maps_of_people(
    plan: CohortPlan, statmaps: Sequence[StatMap]
) -> dict[str, PersonMaps]:
    """Choose the maps of people who have rest, by label."""
    request = plan.request
    files = [file for file in statmaps if file.participant in request.participants]
    maps = people_maps(files, plan.settings.inputs.session_label)
    if not maps:
        labels = sorted({statmap.participant for statmap in statmaps})
        raise DatasetError(
            f"no participant of {request.dataset.root} has maps in {plan.statmaps}",
            expected="the same labels in both; there are maps of "
            f"{', '.join(labels[:5])}",
        )
    return maps


def _with_statistic(maps: PersonMaps, statistic: Statistic) -> PersonMaps:
    """Return a person's maps without the retests that lack the statistic."""
    retest = {
        contrast: statmap
        for contrast, statmap in maps.retest.items()
        if statistic in statmap.files
    }
    return dataclasses.replace(maps, retest=retest)


def _without_both(
    plan: CohortPlan, maps: Mapping[str, PersonMaps], statmaps: Sequence[StatMap]
) -> dict[str, str]:
    """Return why people are left out who lack one of the scans, by label."""
    participants = plan.request.participants
    left_out = {
        label: "no measured maps" for label in participants if label not in maps
    }
    # With --participant-label, people without rest were not asked for.
    if not plan.request.settings.inputs.participant_label:
        with_maps = sorted({statmap.participant for statmap in statmaps})
        left_out |= {
            label: "no rest" for label in with_maps if label not in participants
        }
    return left_out


def find_cohort(
    plan: CohortPlan,
    contrasts: Sequence[Contrast] | None,
    *,
    everything: bool = False,
) -> CohortFiles:
    """Find who has both scans, as `find_people` does, and report it.

    In a dry run, people whose rest cannot be used, judged by headers and tables, are left out.
    """
    files = find_people(plan, contrasts, everything=everything)
    for reason in sorted(set(files.left_out.values())):
        labels = [label for label, why in files.left_out.items() if why == reason]
        people = counted(labels, "participant")
        say(f"left out: {people} with {reason} ({named(labels)})")
    for line in (files.sessions_in_words, files.targets_in_words, *files.notes):
        if line:
            say(line)
    predicted = plan.bundle.part.statistic
    if contrasts is not None and files.statistic != predicted:
        say(
            f"the model predicts {predicted} maps, and the measured ones are "
            f"{files.statistic} maps: their scales and intervals cannot be compared"
        )
    if not plan.is_dry:
        return files
    reasons = {label: _why_no_rest(plan, label) for label in files.labels}
    failures = {label: reason for label, reason in reasons.items() if reason}
    for label, reason in failures.items():
        say(f"sub-{label} would be left out: {reason}")
    return files.among([label for label in files.labels if label not in failures])


def _why_no_rest(plan: CohortPlan, label: str) -> str | None:
    """Return why a person's runs cannot be used, judged by their headers and tables."""
    request = plan.request
    usable, too_short = False, ""
    try:
        for run in request.runs(label):
            try:
                plan_run(run, plan.bundle.space, request.settings.cleaning)
                usable = True
            except TooShortError as err:
                too_short = str(err)
    except DtgError as err:
        return str(err)
    return None if usable else too_short


def with_file_record(files: CohortFiles) -> CohortFiles:
    """Return the cohort with a result folder that records these people's files.

    Raises
    ------
    SettingsError
        The folder holds a model that was made from other data.
    """
    plan = files.plan
    paths: list[Path] = []
    for label, maps in files.maps.items():
        with suppress(DtgError):  # a later step says why these runs cannot be used
            for run in plan.request.runs(label):
                paths += run.inputs
        for statmap in (*maps.target.values(), *maps.retest.values()):
            paths += statmap.files.values()
    base = None if plan.roi_sets else plan.bundle
    results = plan.results.with_provenance(paths, plan.request.dataset.root, base)
    plan = dataclasses.replace(plan, results=results)
    return dataclasses.replace(files, plan=plan)


def print_plan(files: CohortFiles, sets: Mapping[str, Sequence[str]]) -> int:
    """Print what the run would do with sets of people; return 0, the number of failures."""
    plan = files.plan
    dataset, cleaning = plan.request.dataset, plan.request.settings.cleaning
    strategy = find_strategy(cleaning.denoise_strategy).in_words
    show(
        f"{dataset.root} is read as {dataset.title}, {strategy}; measured maps in "
        f"{plan.statmaps}"
    )
    number = counted(files.contrasts, "contrast")
    show(f"{number} ({files.statistic}): {', '.join(files.contrast_labels)}")
    for use, labels in sets.items():
        if labels:
            show(f"to {use}: {counted(labels, 'participant')} ({named(labels)})")
    results = f"scores of {plan.bundle.name}"
    if plan.makes_model:
        results = f"the model {plan.name}"
    show(
        f"would write {results} to {plan.results.path}, and arrays of people to "
        f"{plan.cache.root}"
    )
    show("no image was read, and no output was written")
    return 0


def contrast_rows(
    labels: Sequence[str],
    contrasts: Sequence[Contrast] | None,
    model_contrasts: Sequence[Contrast],
    choice: Sequence[str],
) -> tuple[Contrast, ...]:
    """Return the contrasts to work on, numbered anew.

    Parameters
    ----------
    labels
        Labels of the measured maps.
    contrasts
        Contrasts to choose from; None: all.
    model_contrasts
        The model's contrasts. Their descriptions are kept where `contrasts` are given; else HCP's
        definition goes first, as a model may have computed its maps otherwise.
    choice
        Labels or tasks of ``--contrast``; empty: all.

    Raises
    ------
    DatasetError, SettingsError
        No contrast is left, or one that was asked for is not there.
    """
    measured = {plain_contrast(label): label for label in labels}
    hcp_by_label = by_plain_label(hcp_contrasts())
    known_contrasts = hcp_by_label | by_plain_label(model_contrasts)
    if contrasts is None:
        known_contrasts |= hcp_by_label
    tasks = {
        label: known_contrasts[key].task if key in known_contrasts else ""
        for key, label in measured.items()
    }
    chosen = {plain_contrast(label) for label in chosen_contrasts(choice, tasks)}
    if contrasts is not None:
        order = list(by_plain_label(contrasts))
    else:
        order = [*known_contrasts, *sorted(measured.keys() - known_contrasts.keys())]
    keys = [key for key in order if key in measured and (key in chosen or not chosen)]
    if not keys:
        candidates = contrasts or known_contrasts.values()
        examples = [contrast.label for contrast in candidates][:4]
        raise DatasetError(
            "no measured map has a contrast of the model",
            expected=f"labels such as {', '.join(examples)}; found "
            f"{', '.join(sorted(measured.values())[:6])}",
        )
    rows = []
    for number, key in enumerate(keys):
        contrast = known_contrasts.get(key) or _new_contrast(measured[key])
        rows.append(dataclasses.replace(contrast, index=number))
    return tuple(rows)


def _new_contrast(name: str) -> Contrast:
    """Return a contrast that neither HCP nor the model has, labelled by letters and digits."""
    label = "".join(
        character for character in name if character.isascii() and character.isalnum()
    )
    return Contrast(0, label, "", name, name)


def names_beyond_hcp(contrasts: Sequence[Contrast]) -> str:
    """Name the contrasts that are not among HCP's, in a sentence; empty if there are none.

    Examples
    --------
    >>> names_beyond_hcp(contrast_rows(["WM 0bk:faces", "SOCIAL:rnd"], None, (), ()))
    "not among HCP's contrasts, so kept under its own name: 1 of 2 contrasts (SOCIALrnd)"
    """
    hcp_by_label = by_plain_label(hcp_contrasts())
    labels = [
        contrast.label
        for key, contrast in by_plain_label(contrasts).items()
        if key not in hcp_by_label
    ]
    if not labels:
        return ""
    names = "its own name" if len(labels) == 1 else "their own names"
    share = f"{len(labels)} of {counted(contrasts, 'contrast')}"
    return (
        f"not among HCP's contrasts, so kept under {names}: {share} "
        f"({', '.join(labels)})"
    )
