"""The group level: what is read of all participants, and tables, mean maps and pages of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bids_dtg.array_types import Float64
from bids_dtg.cohort.group_participants import require_same_dataset
from bids_dtg.cohort.maps import (
    choose_averages,
    choose_measured,
    find_without_details,
    map_reader,
    read_measured,
)
from bids_dtg.cohort.mean_maps import (
    GroupMaps,
    mean_of_averages,
    remove_earlier_means,
    write_means,
)
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.cohort.run_table import RUN_TABLE, Row, add_to_runs, write_run_table
from bids_dtg.contrasts.contrast import hcp_contrasts, tasks_by_contrast
from bids_dtg.contrasts.panels.group_page import MeanMapFiles, write_group_page
from bids_dtg.errors import DatasetError, RunError
from bids_dtg.files.atomic import remove_stale_in
from bids_dtg.files.columns import Column
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.paths import PathNames, machine_folders
from bids_dtg.files.provenance import Failure, all_failures
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.imaging.surfaces.cifti import ParcelPlaces
from bids_dtg.inputs.statmaps import (
    PersonMaps,
    Statistic,
    plain_contrast,
    statmaps_place,
)
from bids_dtg.notices import counted, named, say, show
from bids_dtg.participants.reports import existing_output, participants_asked
from bids_dtg.report.contents import (
    AverageFiles,
    ParticipantFiles,
    find_participant_labels,
)
from bids_dtg.report.flags import Flag, run_flags
from bids_dtg.report.inclusion import (
    Decisions,
    decision_lines,
    read_inclusion,
    split_by_inclusion,
)
from bids_dtg.report.methods import write_all_methods
from bids_dtg.report.participant import GROUP, INDEX, write_index
from bids_dtg.report.presentation import presentation_of
from bids_dtg.settings import Settings
from bids_dtg.stats.correlation import correlation
from bids_dtg.stats.metrics import dice_auc

_COMPARED = "group/desc-measured_comparison.tsv"
_COMPARED_COLUMNS = (
    Column("contrast", "Label of the contrast"),
    Column("people", "Participants whose predicted maps are averaged"),
    Column(
        "measured_people",
        "How many of them have a measured map in the measured mean",
    ),
    Column("r", "Correlation over voxels of the predicted with the measured mean map"),
    Column(
        "dice",
        "Area under the Dice curve of their strongest 5 to 50 % of voxels",
        "Dice AUC",
    ),
)


def run_group(settings: Settings) -> int:
    """Collect the results of the participant level; return the number of failures, 0.

    Raises
    ------
    DatasetError
        The output folder holds no results, or BIDS_DIR is another dataset than theirs.
    """
    output = existing_output(settings.inputs.output_dir)
    require_same_dataset(settings.inputs, output)
    labels, absent = participants_asked(settings, output)
    if absent is not None:
        raise absent
    participants = [find_without_details(output, label) for label in labels]
    rows = [
        dict(run.quality)
        for participant in participants
        for run in participant.runs
        if run.quality
    ]
    if not rows:
        raise DatasetError(
            f"{output.root} has no quality tables of runs",
            remedy=_why_nobody(output),
        )
    decisions = read_inclusion(output)
    say(*decision_lines(decisions, find_participant_labels(output)))
    all_averages = [average for files in participants for average in files.averages]
    averages, excluded = split_by_inclusion(decisions, all_averages)
    with_maps = [average for average in averages if average.maps]
    if settings.behaviour.dry_run:
        return _print_plan(output, rows, with_maps, settings.outputs.combine)
    with output.locks() as locks:
        locks.require(
            "group",
            what=f"{output.root / 'group'}",
            remedy="end it, if it is not wanted",
        )
        output.remove_stale_temporaries()
        remove_stale_in(output.root / "group" / "figures")
        group: GroupMaps | None = None
        if with_maps:
            group = mean_of_averages(output, with_maps, settings.outputs.combine)
        return _gather(settings, output, participants, rows, decisions, group, excluded)


def _gather(
    settings: Settings,
    output: DerivativeDataset,
    participants: Sequence[ParticipantFiles],
    rows: Sequence[dict[str, str]],
    decisions: Decisions,
    group: GroupMaps | None,
    excluded: Sequence[tuple[str, str]],
) -> int:
    """Write the tables, the mean maps and the pages; return 0 failures."""
    left_out = group.left_out if group else ()
    _report_left_out(left_out)
    maps, spreads = write_means(output, group) if group else ([], {})
    remove_earlier_means(output, {*(mean.path for mean in maps), *spreads.values()})
    compared = _compare_with_measured(settings, group) if group else None
    _write_comparison(output, compared)
    add_to_runs(rows, participants, group)
    written = str(write_run_table(output, rows))
    wants_pages = not settings.behaviour.no_reports
    if wants_pages:
        names = PathNames().plus({"output": output.root}).plus(machine_folders())
        without_maps = [(title, names.hide(reason)) for title, reason in left_out]
        means = MeanMapFiles(
            maps,
            spreads,
            averages=len(group.averages) if group else 0,
            left_out=[*excluded, *without_maps],
            compared=compared.on_page("Mean maps, by contrast") if compared else None,
        )
        failures = _failures_of(settings, output, participants)
        flags = _flags_of(output, participants, failures)
        page = write_group_page(output, rows, flags, failures, decisions, means)
        written += f" and {page}"
    else:
        output.remove(GROUP)  # the page of an earlier run shows other results
    write_all_methods(output, "")
    write_index(output, wanted=wants_pages)
    say(f"wrote {written}: {_runs_in_words(rows)}")
    return 0


def _failures_of(
    settings: Settings,
    output: DerivativeDataset,
    participants: Sequence[ParticipantFiles],
) -> list[Failure]:
    """Return the failures; those of some people if some were asked for."""
    labels = {files.label for files in participants}
    return [
        failure
        for failure in all_failures(output)
        if not settings.inputs.participant_label or failure.participant in labels
    ]


def _flags_of(
    output: DerivativeDataset,
    participants: Sequence[ParticipantFiles],
    failures: Sequence[Failure],
) -> dict[str, tuple[Flag, ...]]:
    """Return the flags of participants' own runs, by label."""
    columns = presentation_of(output).quality_columns
    messages: dict[str, dict[str, str]] = {}
    for failure in failures:
        stages = messages.setdefault(failure.participant, {})
        stages[failure.what] = failure.message
    return {
        files.label: run_flags(files, messages.get(files.label, {}), columns)
        for files in participants
    }


def _print_plan(
    output: DerivativeDataset,
    rows: Sequence[Row],
    averages: Sequence[AverageFiles],
    combine: str | None,
) -> int:
    """Print what would be written; return 0, as no failure."""
    show(f"would write {output.root / RUN_TABLE}: {_runs_in_words(rows)}")
    if averages:
        chosen, left_out = choose_averages(averages, combine)
        _report_left_out(left_out)
        show(
            f"would write means of {counted(chosen[0].maps, 'contrast')} over "
            f"{counted(chosen, 'set')} of maps to {output.root / 'group'}"
        )
    show(f"would write {output.root / GROUP} and {output.root / INDEX}")
    show("no map was read, and no output was written")
    return 0


def _runs_in_words(rows: Sequence[Row]) -> str:
    people = len({row.get("participant_id") for row in rows})
    return f"{counted(rows, 'run')} of {counted(people, 'participant')}"


def _report_left_out(left_out: Sequence[tuple[str, str]]) -> None:
    by_reason: dict[str, list[str]] = {}
    for title, reason in left_out:
        by_reason.setdefault(reason, []).append(title)
    for reason, titles in by_reason.items():
        sets = f"{counted(titles, 'set')} ({named(titles)})"
        say(f"not in the mean maps: {sets}, {reason}")


def _compare_with_measured(settings: Settings, group: GroupMaps) -> ResultTable | None:
    """Compare mean predicted maps with the mean measured maps of the same people.

    Returns
    -------
    One row per contrast; None if no folder of measured maps was given, or no contrast is in both.

    Raises
    ------
    DatasetError
        Measured maps are in other spaces, or a contrast of a person has several maps.
    """
    places = group.places
    folder, _ = statmaps_place(settings.inputs.derivatives)
    if folder is None:
        return None
    people = {title.partition("_")[0].removeprefix("sub-") for title in group.averages}
    space = places.grid.space if isinstance(places, VoxelPlaces) else places.space
    measured, statistic = choose_measured(
        folder,
        space,
        tasks_by_contrast(hcp_contrasts()),
        settings.inputs.session_label,
        lambda statmap: statmap.participant in people,
    )
    rows = []
    for contrast, predicted in zip(group.first, group.mean, strict=True):
        mean, number = _measured_mean(contrast.label, measured, statistic, places)
        if not number:
            continue
        in_both = np.isfinite(mean) & np.isfinite(predicted)
        pair = predicted[in_both], mean[in_both]
        rows.append(
            {
                "contrast": contrast.label,
                "people": group.people,
                "measured_people": number,
                "r": float(correlation(*pair)),
                "dice": float(dice_auc(pair[0][None], pair[1][None])[0]),
            }
        )
    if not rows:
        say(
            f"no map in {folder} has a contrast that was predicted: nothing is compared"
        )
        return None
    description = "Predicted and measured mean maps: one row per contrast"
    return ResultTable(_COMPARED_COLUMNS, rows, description)


def _measured_mean(
    contrast: str,
    measured: Mapping[str, PersonMaps],
    statistic: Statistic,
    places: VoxelPlaces | ParcelPlaces,
) -> tuple[Float64, int]:
    """Return people's mean measured map, (places,), NaN without a value, and how many are in it."""
    key = plain_contrast(contrast)
    total = np.zeros(places.number)
    count = np.zeros(places.number, np.intp)  # of people with a value
    people = 0
    for label, person in measured.items():
        if key not in person.target:
            continue
        try:
            statmap = person.target[key]
            read_file = map_reader(places, statmap.space)
            values = read_measured(statmap, statistic, read_file)
        except RunError as err:
            say(f"sub-{label} is not in the measured mean of {contrast}: {err}")
            continue
        has_value = np.isfinite(values)
        total[has_value] += values[has_value]
        count += has_value
        people += 1
    mean = np.full(places.number, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean, people


def _write_comparison(output: DerivativeDataset, compared: ResultTable | None) -> None:
    """Write the table; without one, remove that of an earlier run, which may be of other people."""
    if compared is not None:
        compared.write(output.path(_COMPARED))
        return
    output.remove(_COMPARED)
    output.remove(_COMPARED.replace(".tsv", ".json"))


def _why_nobody(output: DerivativeDataset) -> str:
    """Return what to do where no participant has results."""
    failed = {failure.participant for failure in all_failures(output)}
    if not failed:
        return "run the participant level first"
    return (
        f"{counted(failed, 'participant')} failed: {output.root}/logs/*/failures.tsv "
        "says why"
    )
