"""The group level: quality table of all runs, mean maps, comparison with measured maps, pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bids_dtg.cohort.maps import (
    GroupMaps,
    choose_averages,
    choose_measured,
    find_without_details,
    map_reader,
    mean_of_averages,
    read_measured,
)
from bids_dtg.cohort.people import require_same_dataset
from bids_dtg.cohort.result_table import Column, ResultTable
from bids_dtg.connectome.quality import QualityMetric
from bids_dtg.contrasts.contrast import hcp_tasks
from bids_dtg.contrasts.panels.maps import (
    Gallery,
    data_of_viewer,
    draw_gallery,
    first_cards,
    slice_text,
)
from bids_dtg.contrasts.panels.presentation import few_people, same_for_all
from bids_dtg.errors import DatasetError, RunError
from bids_dtg.files.atomic import remove_stale_in
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.names import build_name, parse_name
from bids_dtg.files.paths import PathNames, machine_folders
from bids_dtg.files.provenance import all_failures
from bids_dtg.files.text import write_json, write_text, write_tsv
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
from bids_dtg.participants.vertex_series import note_on_surfaces
from bids_dtg.report.contents import (
    NOT_MEASURED,
    AverageFiles,
    MapFile,
    ParticipantFiles,
    find_participant_labels,
    sidecar_of,
)
from bids_dtg.report.flags import LEVELS, VERDICTS, Flag, flag_counts, run_flags
from bids_dtg.report.inclusion import (
    Decisions,
    decision_lines,
    page_facts,
    read_inclusion,
    split_by_inclusion,
)
from bids_dtg.report.long_tables import MOST_WRITTEN, cell, write_rows
from bids_dtg.report.long_tables import Row as LongRow
from bids_dtg.report.methods import write_all_methods
from bids_dtg.report.page import link, render
from bids_dtg.report.participant import GROUP, INDEX, write_index
from bids_dtg.report.presentation import presentation_of
from bids_dtg.report.quality import dictionary
from bids_dtg.report.tables import Table
from bids_dtg.report.viewer import remove_unlinked
from bids_dtg.settings import Settings
from bids_dtg.stats.correlation import correlation
from bids_dtg.stats.metrics import dice_auc
from bids_dtg.version import __version__

_TABLE = "group/desc-runs_qc.tsv"
_ROWS = "group.js"  # the script with the page's rows, of many participants
_COMPARED = "group/desc-measured_comparison.tsv"
_MEAN = "groupMean"
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
# Keys that a mean map's sidecar copies from the participants' maps.
_COMMON = (
    "Task",
    "Contrast",
    "SpatialReference",
    "Resolution",
    "Density",
    "Units",
    "Synthetic",
    "ModelName",
    "ModelVersion",
    "ModelKind",
    "ModelSHA256",
    "ModelNotice",
    "NotForScience",
    "Individual",
    "IndividualNote",
)
# Those of a single contrast.
_OF_ONE_CONTRAST = ("Task", "Contrast", "Individual", "IndividualNote")
_ENTITIES = ("space", "res", "den", "seg", "contrast", "stat")  # of files of mean maps
Row = Mapping[str, str]  # of the quality table: one run
Values = NDArray[np.float64]
_SPREAD = "groupSd"
# The viewer shows the spread over people as an overlay of the mean.
_OVERLAY = {
    "desc": _SPREAD,
    "title": "Spread over participants",
    "factor": 2.0,
    "rule": "exceeds 2 standard deviations",
}
# The page shows at most this many runs; the TSV file has all of them.
_MOST_ROWS = 2000
# A value is marked if its robust z is further from 0 than this, on the metric's bad side.
OUTLIER_Z = 3.5
# With fewer runs, the spread is too uncertain.
LEAST_RUNS = 5
# Factors that turn a median or mean absolute deviation into the standard deviation of a normal
# distribution.
_MAD_TO_SD, _MEAN_AD_TO_SD = 1.4826, 1.2533


@dataclass(frozen=True, eq=False)
class RunQuality:
    """Quality measures of runs, and how far each value is from those of other runs."""

    rows: Sequence[Row]  # of the quality table, one a run
    measures: Sequence[QualityMetric]  # with a title, and a value in any run
    values: Values  # (runs, measures), NaN where n/a
    z: Values  # (runs, measures), robust z scores

    @property
    def is_outlier(self) -> NDArray[np.bool_]:
        """Whether each value is far from those of other runs, and bad, (runs, measures)."""
        z = np.nan_to_num(self.z)
        may_be_low = [measure.bad != "high" for measure in self.measures]
        may_be_high = [measure.bad != "low" for measure in self.measures]
        return ((z < -OUTLIER_Z) & may_be_low) | ((z > OUTLIER_Z) & may_be_high)

    @property
    def levels(self) -> list[str]:
        """How each run resembles the training data, as the level of a flag."""
        verdicts = (row.get("training_distribution") for row in self.rows)
        return [VERDICTS.get(verdict or "", "") for verdict in verdicts]

    def most_unusual(self) -> list[int]:
        """Return the numbers of the runs that the page shows; with many, problems come first."""
        numbers = list(range(len(self.rows)))
        if len(numbers) <= _MOST_ROWS:
            return numbers
        levels, outliers = self.levels, self.is_outlier.sum(axis=1)

        def rank(number: int) -> tuple[bool, bool, int]:
            level = levels[number]
            return level != "problem", level != "warning", -int(outliers[number])

        return sorted(numbers, key=rank)[:_MOST_ROWS]


@dataclass(frozen=True, eq=False)
class MeanMaps:
    """Mean maps over participants as files, and their comparison with measured maps."""

    maps: Sequence[MapFile] = ()
    # By the label of the contrast, the image of the standard deviation over people.
    spreads: Mapping[str, Path] = field(default_factory=dict)
    averages: int = 0  # number of sets of maps that were averaged
    left_out: Sequence[tuple[str, str]] = ()  # title of each other set, and the reason
    compared: Table | None = None  # with measured mean maps; None: none were given


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
    if settings.behaviour.dry_run:
        averages, _ = split_by_inclusion(decisions, _averages_of(participants))
        with_maps = [average for average in averages if average.maps]
        return _print_plan(output, rows, with_maps, settings.outputs.combine)
    with output.locks() as locks:
        locks.require(
            "group",
            what=f"{output.root / 'group'}",
            remedy="end it, if it is not wanted",
        )
        output.remove_stale_temporaries()
        remove_stale_in(output.root / "group" / "figures")
        return _gather(settings, output, participants, rows, decisions)


def _averages_of(participants: Sequence[ParticipantFiles]) -> list[AverageFiles]:
    return [average for files in participants for average in files.averages]


def _gather(
    settings: Settings,
    output: DerivativeDataset,
    participants: Sequence[ParticipantFiles],
    rows: Sequence[dict[str, str]],
    decisions: Decisions,
) -> int:
    """Write the tables, the mean maps and the pages; return 0 failures."""
    averages, excluded = split_by_inclusion(decisions, _averages_of(participants))
    with_maps = [average for average in averages if average.maps]
    group: GroupMaps | None = None
    if with_maps:
        group = mean_of_averages(output, with_maps, settings.outputs.combine)
    left_out = group.left_out if group else ()
    _report_left_out(left_out)
    maps, spreads = _write_means(output, group) if group else ([], {})
    _remove_earlier_means(output, {*(mean.path for mean in maps), *spreads.values()})
    compared = _compare_with_measured(settings, group) if group else None
    _write_comparison(output, compared)
    _add_to_runs(rows, participants, group)
    written = str(_write_run_table(output, rows))
    wants_pages = not settings.behaviour.no_reports
    if wants_pages:
        names = PathNames().plus({"output": output.root}).plus(machine_folders())
        without_maps = [(title, names.hide(reason)) for title, reason in left_out]
        means = MeanMaps(
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
    with_runs = sum(
        any(run.quality for run in participant.runs) for participant in participants
    )
    runs = f"{counted(len(rows), 'run')} of {counted(with_runs, 'participant')}"
    say(f"wrote {written}: {runs}")
    return 0


def _failures_of(
    settings: Settings,
    output: DerivativeDataset,
    participants: Sequence[ParticipantFiles],
) -> list[tuple[str, str, str]]:
    """Return participant, stage and message of failures; of some people if some were asked for."""
    labels = {files.label for files in participants}
    return [
        (failure.participant, failure.what, failure.message)
        for failure in all_failures(output)
        if not settings.inputs.participant_label or failure.participant in labels
    ]


def _flags_of(
    output: DerivativeDataset,
    participants: Sequence[ParticipantFiles],
    failures: Sequence[tuple[str, str, str]],
) -> dict[str, tuple[Flag, ...]]:
    """Return the flags of participants' own runs, by label."""
    columns = presentation_of(output).quality_columns
    messages: dict[str, dict[str, str]] = {}
    for participant, stage, message in failures:
        messages.setdefault(participant, {})[stage] = message
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
    people = len({row.get("participant_id") for row in rows})
    runs = f"{counted(len(rows), 'run')} of {counted(people, 'participant')}"
    show(f"would write {output.root / _TABLE}: {runs}")
    if averages:
        chosen, left_out = choose_averages(averages, combine)
        _report_left_out(left_out)
        show(
            f"would write means of {counted(len(chosen[0].maps), 'contrast')} over "
            f"{counted(len(chosen), 'set')} of maps to {output.root / 'group'}"
        )
    show(f"would write {output.root / GROUP} and {output.root / INDEX}")
    show("no map was read, and no output was written")
    return 0


def _report_left_out(left_out: Sequence[tuple[str, str]]) -> None:
    by_reason: dict[str, list[str]] = {}
    for title, reason in left_out:
        by_reason.setdefault(reason, []).append(title)
    for reason, titles in by_reason.items():
        sets = f"{counted(len(titles), 'set')} ({named(titles)})"
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
        hcp_tasks(),
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
) -> tuple[Values, int]:
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


def _add_to_runs(
    rows: Sequence[dict[str, str]],
    participants: Sequence[ParticipantFiles],
    group: GroupMaps | None,
) -> None:
    """Add each run's denoising strategy and its similarity to the group."""
    r_to_mean: dict[str, float] = {}
    if group:
        r_to_mean = dict(zip(group.averages, group.r_with_others, strict=True))
    strategies: dict[str, str] = {}
    similarities: dict[str, str] = {}
    for average in _averages_of(participants):
        strategy = str(average.common.get("DenoiseStrategy") or "n/a")
        strategies |= dict.fromkeys(average.runs, strategy)
        r = r_to_mean.get(average.title, np.nan)
        if np.isfinite(r):
            similarities |= dict.fromkeys(average.runs, f"{r:.4f}")
    titles = [run.title for files in participants for run in files.runs if run.quality]
    for row, title in zip(rows, titles, strict=True):
        row["denoise_strategy"] = strategies.get(title, "n/a")
        row["similarity"] = similarities.get(title, "n/a")
    names = sorted({row["denoise_strategy"] for row in rows} - {"n/a"})
    if len(names) > 1:
        say(
            f"runs are compared only within their cleaning strategy ({', '.join(names)})"
        )
    say(*filter(None, [note_on_surfaces(rows)]))


def _write_run_table(output: DerivativeDataset, rows: Sequence[Row]) -> Path:
    """Write the quality table of all runs and its dictionary; return its path."""
    presentation = presentation_of(output)
    columns = (*presentation.quality_columns, *presentation.group_columns)
    # Columns that this version does not know come last.
    in_rows = [name for row in rows for name in row]
    names = list(dict.fromkeys([column.name for column in columns] + in_rows))
    path = output.path(_TABLE)
    write_tsv(path, names, [[row.get(name, "n/a") for name in names] for row in rows])
    write_json(path.with_suffix(".json"), dictionary(columns))
    return path


def _write_means(
    output: DerivativeDataset, group: GroupMaps
) -> tuple[list[MapFile], dict[str, Path]]:
    """Write the mean and the spread of each contrast.

    Returns
    -------
    The mean maps, and the image of the spread by the contrast's label, if there are several people.
    """
    means: list[MapFile] = []
    spreads: dict[str, Path] = {}
    of_voxels = isinstance(group.places, VoxelPlaces)
    paths: dict[str, Path] = {}
    for number, contrast in enumerate(group.first):
        # One file of parcels has all contrasts.
        if of_voxels or number == 0:
            paths = _write_statistics(output, group, number)
        description = contrast.description.removeprefix(NOT_MEASURED)
        sidecar = {**contrast.sidecar, "Description": description}
        means.append(MapFile(contrast.label, paths[_MEAN], sidecar))
        if _SPREAD in paths:
            spreads[contrast.label] = paths[_SPREAD]
    return means, spreads


def _write_statistics(
    output: DerivativeDataset, group: GroupMaps, number: int
) -> dict[str, Path]:
    """Write mean and spread of a contrast, or of all contrasts of parcels; return their paths."""
    places, contrast = group.places, group.first[number]
    name = parse_name(contrast.path.name)
    entities = {key: name.get(key) for key in _ENTITIES}
    statistics = {
        _MEAN: ("Mean", group.mean),
        _SPREAD: ("Standard deviation", group.sd),
    }
    paths: dict[str, Path] = {}
    for desc, (word, values) in statistics.items():
        if values is None:
            continue
        if isinstance(places, VoxelPlaces):
            extension = ".nii.gz"
            text = f"bids_dtg {__version__} group"
            image = places.encode(values[number], description=text)
            subject = contrast.description.removeprefix(NOT_MEASURED)
        else:
            extension = places.extension
            labels = [contrast.label for contrast in group.first]
            image = places.encode_maps(values, labels)
            subject = counted(len(labels), "contrast")
        file = build_name({**entities, "desc": desc}, "statmap", extension)
        paths[desc] = output.path(f"group/{file}")
        output.write(f"group/{file}", image)
        facts = _group_facts(group, f"{word} over", subject, contrast)
        write_json(sidecar_of(paths[desc]), facts)
    return paths


def _remove_earlier_means(output: DerivativeDataset, current: set[Path]) -> None:
    """Remove mean maps of an earlier run, of other people."""
    for path in output.path("group").glob("*_desc-group*_statmap.*nii*"):
        if path not in current:
            path.unlink()
            sidecar_of(path).unlink(missing_ok=True)


def _group_facts(
    group: GroupMaps, word: str, subject: str, contrast: MapFile
) -> dict[str, Any]:
    """Return the sidecar of a mean map, or of the spread."""
    of_voxels = isinstance(group.places, VoxelPlaces)
    copied = [key for key in _COMMON if of_voxels or key not in _OF_ONE_CONTRAST]
    return {
        "Description": f"{word} {counted(group.people, 'participant')} "
        f"({counted(len(group.averages), 'average')} of predicted maps): {subject}",
        **{key: contrast.sidecar[key] for key in copied if key in contrast.sidecar},
        **({"SkullStripped": True} if of_voxels else {}),
        "NParticipants": group.people,
        "NSets": len(group.averages),
    }


def _why_nobody(output: DerivativeDataset) -> str:
    """Return what to do where no participant has results."""
    failed = {failure.participant for failure in all_failures(output)}
    if not failed:
        return "run the participant level first"
    return (
        f"{counted(len(failed), 'participant')} failed: {output.root}/logs/*/failures.tsv "
        "says why"
    )


def robust_z(values: Values, least_spread: float = 0.0) -> Values:
    """Return robust z scores, with a standard deviation of `least_spread` or more.

    (x - median) / (1.4826 MAD). If more than half of the values are equal, the mean absolute
    deviation replaces the median one (Iglewicz & Hoaglin 1993). NaN with fewer than `LEAST_RUNS`
    values, or if all are equal.
    """
    finite = values[np.isfinite(values)]
    if len(finite) < LEAST_RUNS:
        return np.full(len(values), np.nan)
    median = np.median(finite)
    deviations = np.abs(finite - median)
    spread = _MAD_TO_SD * np.median(deviations) or _MEAN_AD_TO_SD * deviations.mean()
    if spread <= 1e-12 * max(abs(median), 1.0):
        return np.full(len(values), np.nan)
    z: Values = (values - median) / max(spread, least_spread)
    return z


def quality_of(rows: Sequence[Row], measures: Iterable[QualityMetric]) -> RunQuality:
    """Compare runs by those measures that have a title and a value in any run.

    Robust z scores compare runs with the same cleaning.
    """
    titled = {measure.name: measure for measure in measures if measure.title}
    table = pd.DataFrame(rows).reindex(columns=[*titled])
    values = table.apply(pd.to_numeric, errors="coerce").dropna(axis=1, how="all")
    strategies = np.array([row.get("denoise_strategy", "n/a") for row in rows])

    def z_within_strategy(measure: pd.Series[float]) -> pd.Series[float]:
        by_strategy = measure.groupby(strategies)
        least = titled[str(measure.name)].least_spread
        return by_strategy.transform(lambda runs: robust_z(runs.to_numpy(float), least))

    z = values.apply(z_within_strategy)
    shown = [titled[str(name)] for name in values]
    return RunQuality(rows, shown, values.to_numpy(), z.to_numpy())


def write_group_page(
    dataset: DerivativeDataset,
    rows: Sequence[Row],
    flags: Mapping[str, Sequence[Flag]],
    failures: Sequence[tuple[str, str, str]] = (),
    decisions: Decisions | None = None,
    means: MeanMaps | None = None,
) -> Path:
    """Write the group page and its figures.

    Parameters
    ----------
    dataset
        The output folder.
    rows
        Runs of the quality table.
    flags
        Flags of participants' runs (`flags.run_flags`), by label.
    failures
        Participant, what failed, and the message.
    decisions
        On participants; None: none.
    means
        Mean maps; None: there are none.

    Raises
    ------
    RunError
        A mean map cannot be read back.
    OutputError
        A file cannot be written.
    """
    presentation, means = presentation_of(dataset), means or MeanMaps()
    columns = (*presentation.quality_columns, *presentation.group_columns)
    folder = dataset.root / "group" / "figures"
    gallery = None
    if means.maps:
        gallery = draw_gallery(
            dataset,
            folder,
            "group",
            means.maps,
            overlay=_OVERLAY,
            images=means.spreads,
        )
    quality = quality_of(rows, columns)
    of_runs = _facts_of_runs(dataset, quality)
    of_people = _facts_of_people(flags, failures, decisions or {})
    is_long = max(len(flags), of_runs["participants"]) > MOST_WRITTEN
    if is_long:
        reports = of_runs["reports"]
        of_people["inclusion"]["people"] = []  # they are in the rows
        tables = {
            "runs": _run_rows(quality, reports),
            "people": _people_rows(of_people["people"], reports),
        }
        write_rows(dataset.path(_ROWS), tables)
    else:
        dataset.remove(_ROWS)
    page = render(
        "group.html",
        title="Group: bids_dtg",
        links=_links(means, gallery),
        is_long=is_long,
        rows_file=_ROWS,
        run_headings=_run_headings(quality),
        **of_runs,
        **of_people,
        **_facts_of_maps(means, gallery),
    )
    path = dataset.path(GROUP)
    write_text(path, page)
    remove_unlinked(dataset, folder, page)
    return path


def _links(means: MeanMaps, gallery: Gallery | None) -> list[tuple[str, str]]:
    """Return the anchor and the title of each section of the page."""
    links = [("summary", "Summary"), ("runs", "Runs")]
    if gallery:
        links.append(("maps", "Mean maps"))
    if means.compared:
        links.append(("measured", "Predicted and measured"))
    return [*links, ("decisions", "Decisions"), ("failures", "Failures")]


def _facts_of_runs(dataset: DerivativeDataset, quality: RunQuality) -> dict[str, Any]:
    """Return what the page says of runs."""
    pages = dataset.root.glob("sub-*.html")  # listed once, not for each run
    return {
        "participants": len({row.get("participant_id") for row in quality.rows}),
        "rows": quality.rows,
        "shown": quality.most_unusual(),
        "most": _MOST_ROWS,
        "fewest": LEAST_RUNS,
        "measures": quality.measures,
        "values": quality.values,
        "out": quality.is_outlier,
        "marks": quality.is_outlier.sum(axis=1).tolist(),
        "levels": quality.levels,
        "z": OUTLIER_Z,
        "reports": {path.stem: link(path, dataset) for path in pages},
        "table": link(dataset.root / _TABLE, dataset),
    }


def _facts_of_people(
    flags: Mapping[str, Sequence[Flag]],
    failures: Sequence[tuple[str, str, str]],
    decisions: Decisions,
) -> dict[str, Any]:
    """Return what the page says of participants; those with problems come first."""
    counts = {label: flag_counts(of_person) for label, of_person in flags.items()}

    def rank(person: tuple[str, dict[str, Any]]) -> tuple[int, int, int]:
        _, count = person
        return LEVELS.index(count["level"]), -count["problems"], -count["warnings"]

    levels = [count["level"] for count in counts.values()]
    return {
        "failed": len({participant for participant, _, _ in failures}),
        "problems": levels.count("problem"),
        "warnings": levels.count("warning"),
        "people": sorted(counts.items(), key=rank),
        "everybody": len(counts),
        "inclusion": page_facts(decisions, sorted(counts)),
        "failures": failures,
    }


def _run_headings(quality: RunQuality) -> list[tuple[str, bool]]:
    """Return the headings of the table of runs, and whether a column has numbers."""
    headings = [
        ("Participant", False),
        ("Run", False),
        ("Training distribution", False),
    ]
    for measure in quality.measures:
        unit = f" ({measure.unit})" if measure.unit else ""
        headings.append((f"{measure.title}{unit}", True))
    return [*headings, ("Marked", True)]


def _run_rows(quality: RunQuality, reports: Mapping[str, str]) -> list[LongRow]:
    """Return the rows of runs for the page's script, in the order of the table."""
    levels, values = quality.levels, quality.values
    outliers = quality.is_outlier
    marks = outliers.sum(axis=1).tolist()
    rows: list[LongRow] = []
    for number, run in enumerate(quality.rows):
        person = _known(run, "participant_id")
        name = [_known(run, "session_id"), f"task-{run.get('task_id')}"]
        if index := _known(run, "run_id"):
            name.append(f"run-{index}")
        level = levels[number]
        verdict = _known(run, "training_distribution") or "n/a"
        reasons = _known(run, "training_distribution_reasons")
        cells = [
            cell(person, link=reports.get(person, "")),
            cell(" ".join(filter(None, name))),
            cell(verdict, kind=level, note=reasons),
        ]
        of_run = zip(
            quality.measures,
            values[number].tolist(),
            outliers[number].tolist(),
            strict=True,
        )
        for measure, value, is_outlier in of_run:
            if np.isnan(value):
                cells.append({"t": "n/a", "v": ""})
            else:
                text, kind = f"{value:.{measure.decimals}f}", "out" * is_outlier
                cells.append(cell(text, value=value, kind=kind))
        mark = marks[number]
        cells.append(cell(str(mark or ""), value=mark))
        rows.append((level or "marked" * bool(mark), cells, ()))
    return rows


def _people_rows(
    people: Sequence[tuple[str, Mapping[str, Any]]], reports: Mapping[str, str]
) -> list[LongRow]:
    """Return the rows of decisions for the page's script, in the order of the flags."""
    rows: list[LongRow] = []
    for number, (label, flags) in enumerate(people):
        name, level = f"sub-{label}", flags["level"]
        words = flags["in_words"] or "none"
        cells = [
            cell(name, link=reports.get(name, "")),
            cell(words, value=number, kind=level, note=flags["worst"]),
            {"t": "", "v": "", "d": name},
        ]
        rows.append((level, cells, ()))
    return rows


def _known(row: Row, name: str) -> str:
    """Return a cell of the quality table; empty where it is n/a."""
    value = row.get(name) or ""
    return "" if value == "n/a" else value


def _facts_of_maps(means: MeanMaps, gallery: Gallery | None) -> dict[str, Any]:
    """Return what the page says of mean maps, and the viewer's data."""
    sidecar = means.maps[0].sidecar if means.maps else {}
    notice = ""
    if sidecar.get("NotForScience"):
        notice = str(sidecar.get("ModelNotice") or "")
    notices = [text for text in (notice, few_people(sidecar)) if text]
    viewer = data_of_viewer([gallery] if gallery else [])  # numbers the cards
    return {
        "notices": [*notices, *same_for_all(means.maps)],
        "averaged": means.averages,
        "left_out": means.left_out,
        "compared": means.compared,
        "maps": {"of": "", "tasks": gallery.tasks} if gallery else None,
        "chosen": first_cards(gallery) if gallery else (),
        "slices": slice_text() if gallery and not means.maps[0].of_parcels else "",
        "viewer_data": viewer,
    }
