"""The group level: quality table of all runs, mean maps, comparison with measured maps, pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    mean_of_averages,
    note_on_surfaces,
    read_measured,
)
from bids_dtg.cohort.people import require_own_dataset
from bids_dtg.cohort.result_table import Column, ResultTable
from bids_dtg.connectome.quality import QualityMetric
from bids_dtg.contrasts.contrast import hcp_tasks
from bids_dtg.contrasts.panels.maps import (
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
from bids_dtg.inputs.statmaps import plain_contrast, statmaps_place
from bids_dtg.notices import counted, named, say, show
from bids_dtg.participants.reports import existing_output, participants_asked
from bids_dtg.report.contents import (
    NOT_MEASURED,
    AverageFiles,
    MapFile,
    ParticipantFiles,
    find_participant_labels,
    sidecar_of,
)
from bids_dtg.report.flags import VERDICTS, Flag, flag_counts, own_flags
from bids_dtg.report.inclusion import (
    Decisions,
    decision_lines,
    page_facts,
    read_inclusion,
    split_by_inclusion,
)
from bids_dtg.report.methods import write_all_methods
from bids_dtg.report.page import Table, link, render
from bids_dtg.report.participant import GROUP, INDEX, write_index
from bids_dtg.report.presentation import presentation_of
from bids_dtg.report.quality import dictionary
from bids_dtg.report.viewer import remove_unlinked
from bids_dtg.settings import Settings
from bids_dtg.stats.correlation import correlation
from bids_dtg.stats.metrics import dice_auc
from bids_dtg.version import __version__

_TABLE = "group/desc-runs_qc.tsv"
_COMPARED = "group/desc-measured_comparison.tsv"
_MEAN = "groupMean"
_COMPARED_COLUMNS = (
    Column("contrast", "Label of the contrast"),
    Column("people", "Participants whose predicted maps are averaged"),
    Column(
        "measured_people", "How many of them have a measured map in the measured mean"
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
    *(
        "Task",
        "Contrast",
        "SpatialReference",
        "Resolution",
        "Density",
        "Units",
        "Synthetic",
    ),
    *(
        "ModelName",
        "ModelVersion",
        "ModelKind",
        "ModelSHA256",
        "ModelNotice",
        "NotForScience",
    ),
    *("Individual", "IndividualNote"),
)
_OF_ONE_CONTRAST = (
    "Task",
    "Contrast",
    "Individual",
    "IndividualNote",
)  # those of one map
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
# A value is marked if its robust z is further from 0 than this.
OUTLIER_Z = 3.5
# With fewer runs, the spread is too uncertain.
LEAST_RUNS = 5
# Factors that turn a median or mean absolute deviation into the standard deviation of a normal
# distribution.
_MAD_TO_SD, _MEAN_AD_TO_SD = 1.4826, 1.2533


def run_group(settings: Settings) -> int:
    """Collect the results of the participant level; return the number of failures, 0.

    Raises
    ------
    DatasetError
        The output folder holds no results, or BIDS_DIR is another dataset than theirs.
    """
    output = existing_output(settings.inputs.output_dir)
    require_own_dataset(settings.inputs, output)
    labels = participants_asked(settings, output)
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
            remedy="run the participant level first",
        )
    decisions = read_inclusion(output)
    say(*decision_lines(decisions, find_participant_labels(output)))
    if settings.behaviour.dry_run:
        averages = [
            made for files in participants for made in files.averages if made.maps
        ]
        included = split_by_inclusion(decisions, averages)[0]
        return _print_plan(output, rows, included, settings.outputs.combine)
    with output.locks() as locks:
        locks.require(
            "group",
            what=f"{output.root / 'group'}",
            remedy="end it, if it is not wanted",
        )
        output.remove_stale_temporaries()
        remove_stale_in(output.root / "group" / "figures")
        return _gather(settings, output, participants, rows, decisions)


def _gather(
    settings: Settings,
    output: DerivativeDataset,
    participants: Sequence[ParticipantFiles],
    rows: Sequence[dict[str, str]],
    decisions: Decisions,
) -> int:
    """Write the tables, the mean maps and the pages; return 0 failures."""
    presentation, labels = (
        presentation_of(output),
        [files.label for files in participants],
    )
    everything, decided = split_by_inclusion(
        decisions, (made for files in participants for made in files.averages)
    )
    averages = [made for made in everything if made.maps]
    maps = None
    if averages:
        maps = mean_of_averages(output, averages, settings.outputs.combine)
    left_out = maps.left_out if maps else ()
    _report_left_out(left_out)
    means = [*_write_means(output, maps)] if maps else []
    current = {path for mean, spread in means for path in (mean.path, spread)}
    for path in output.path("group").glob("*_desc-group*_statmap.*nii*"):
        if path not in current:  # of an earlier run, of other people
            path.unlink()
            sidecar_of(path).unlink(missing_ok=True)
    compared = _compare_with_measured(settings, maps) if maps else None
    if compared is not None:
        compared.write(output.path(_COMPARED))
    else:  # that of an earlier run may be of other people
        output.remove(_COMPARED)
        output.remove(_COMPARED.replace(".tsv", ".json"))
    _add_to_runs(rows, participants, maps)
    columns = *presentation.quality_columns, *presentation.group_columns
    # Columns that this version does not know come last.
    names = list(
        dict.fromkeys(
            [column.name for column in columns] + [n for own in rows for n in own]
        )
    )
    table = output.path(_TABLE)
    write_tsv(table, names, [[row.get(name, "n/a") for name in names] for row in rows])
    write_json(table.with_suffix(".json"), dictionary(columns))
    where, wanted = str(table), not settings.behaviour.no_reports
    if wanted:
        failures = [
            failure
            for failure in all_failures(output)
            if not settings.inputs.participant_label or failure.participant in labels
        ]
        messages: dict[str, dict[str, str]] = {}
        for failure in failures:
            messages.setdefault(failure.participant, {})[failure.what] = failure.message
        hidden = PathNames().plus({"output": output.root}).plus(machine_folders())
        page = write_group_page(
            output,
            rows,
            {
                one.label: own_flags(
                    one, messages.get(one.label, {}), presentation.quality_columns
                )
                for one in participants
            },
            [(own.participant, own.what, own.message) for own in failures],
            means,
            decisions,
            averaged=len(maps.averages) if maps else 0,
            left_out=[
                *decided,
                *((title, hidden.hide(why)) for title, why in left_out),
            ],
            compared=compared.on_page("Mean maps, by contrast") if compared else None,
        )
        where += f" and {page}"
    else:
        output.remove(GROUP)  # the page of an earlier run shows other results
    write_all_methods(output, "")
    write_index(output, wanted=wanted)
    with_runs = sum(
        any(run.quality for run in participant.runs) for participant in participants
    )
    say(
        f"wrote {where}: {counted(len(rows), 'run')} of {counted(with_runs, 'participant')}"
    )
    return 0


def _print_plan(
    output: DerivativeDataset,
    rows: Sequence[Row],
    averages: Sequence[AverageFiles],
    combine: str | None,
) -> int:
    """Print what would be written; return 0, as no failure."""
    people = len({row.get("participant_id") for row in rows})
    of = f"{counted(len(rows), 'run')} of {counted(people, 'participant')}"
    show(f"would write {output.root / _TABLE}: {of}")
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
        say(
            f"not in the mean maps: {counted(len(titles), 'set')} ({named(titles)}), {reason}"
        )


def _compare_with_measured(settings: Settings, maps: GroupMaps) -> ResultTable | None:
    """Compare mean predicted maps with the mean measured maps of the same people.

    Returns
    -------
    One row per contrast; None if no folder of measured maps was given.

    Raises
    ------
    DatasetError
        Measured maps are in other spaces, or a contrast of a person has several maps.
    """
    places = maps.places
    place, _ = statmaps_place(settings.inputs.derivatives)
    if place is None:
        return None
    people = {title.partition("_")[0].removeprefix("sub-") for title in maps.averages}
    space = places.grid.space if isinstance(places, VoxelPlaces) else places.space
    chosen, statistic = choose_measured(
        *(place, space, hcp_tasks(), settings.inputs.session_label),
        lambda statmap: statmap.participant in people,
    )
    rows = []
    for first, predicted in zip(maps.first, maps.mean, strict=True):
        key, number = plain_contrast(first.label), 0
        total, count = np.zeros(places.number), np.zeros(places.number, np.intp)
        for label, own in chosen.items():
            if key not in own.target:
                continue
            try:
                values = read_measured(own.target[key], statistic, places.read)
            except RunError as err:
                say(f"sub-{label} is not in the measured mean of {first.label}: {err}")
                continue
            known = np.isfinite(values)
            total[known] += values[known]
            count += known
            number += 1
        if not number:
            continue
        both = (count > 0) & np.isfinite(predicted)
        measured = total[both] / count[both]
        rows.append(
            {
                "contrast": first.label,
                "people": maps.people,
                "measured_people": number,
                "r": float(correlation(predicted[both], measured)),
                "dice": float(dice_auc(predicted[None, both], measured[None])[0]),
            }
        )
    return ResultTable(
        _COMPARED_COLUMNS,
        rows,
        "Predicted and measured mean maps: one row per contrast",
    )


def _add_to_runs(
    rows: Sequence[dict[str, str]],
    participants: Sequence[ParticipantFiles],
    maps: GroupMaps | None,
) -> None:
    """Add each run's denoising strategy and its similarity to the group."""
    to_mean = dict(zip(maps.averages, maps.to_mean, strict=True)) if maps else {}
    strategy: dict[str, str] = {}
    similarity: dict[str, str] = {}
    for made in (made for files in participants for made in files.averages):
        strategy |= dict.fromkeys(
            made.runs, str(made.common.get("DenoiseStrategy") or "n/a")
        )
        if np.isfinite(r := to_mean.get(made.title, np.nan)):
            similarity |= dict.fromkeys(made.runs, f"{r:.4f}")
    titles = [run.title for files in participants for run in files.runs if run.quality]
    for row, title in zip(rows, titles, strict=True):
        row["denoise_strategy"] = strategy.get(title, "n/a")
        row["similarity"] = similarity.get(title, "n/a")
    if len(names := sorted({row["denoise_strategy"] for row in rows} - {"n/a"})) > 1:
        say(
            f"runs are compared only within their cleaning strategy ({', '.join(names)})"
        )
    say(*filter(None, [note_on_surfaces(rows)]))


def _write_means(
    output: DerivativeDataset, maps: GroupMaps
) -> Iterator[tuple[MapFile, Path | None]]:
    """Write the mean and the spread of each contrast; yield them for the page."""
    places, kinds = (
        maps.places,
        {_MEAN: ("Mean", maps.mean), _SPREAD: ("Standard deviation", maps.sd)},
    )
    labels = [first.label for first in maps.first]
    paths: dict[str, Path] = {}
    for position, first in enumerate(maps.first):
        name = parse_name(first.path.name)
        entities = {key: name.get(key) for key in _ENTITIES}
        description = first.description.removeprefix(NOT_MEASURED)
        for desc, (word, values) in kinds.items():
            if values is None:
                continue
            if isinstance(places, VoxelPlaces):
                file = build_name({**entities, "desc": desc}, "statmap", ".nii.gz")
                text = f"bids_dtg {__version__} group"
                image = places.encode(values[position], description=text)
                facts = _group_facts(maps, f"{word} over", description, first)
            elif position == 0:  # one file has all contrasts
                file = build_name(
                    {**entities, "desc": desc}, "statmap", places.extension
                )
                image = places.encode_maps(values, labels)
                facts = _group_facts(
                    maps, f"{word} over", counted(len(labels), "contrast"), first
                )
            else:
                continue
            paths[desc] = path = output.path(f"group/{file}")
            output.write(f"group/{file}", image)
            write_json(sidecar_of(path), facts)
        sidecar = {**first.sidecar, "Description": description}
        yield MapFile(first.label, paths[_MEAN], sidecar), paths.get(_SPREAD)


def _group_facts(
    maps: GroupMaps, word: str, what: str, first: MapFile
) -> dict[str, Any]:
    """Return the sidecar of a mean map, or of the spread."""
    of_voxels = isinstance(maps.places, VoxelPlaces)
    copied = (
        _COMMON
        if of_voxels
        else [key for key in _COMMON if key not in _OF_ONE_CONTRAST]
    )
    return {
        "Description": f"{word} {counted(maps.people, 'participant')} "
        f"({counted(len(maps.averages), 'average')} of predicted maps): {what}",
        **{key: first.sidecar[key] for key in copied if key in first.sidecar},
        **({"SkullStripped": True} if of_voxels else {}),
        "NParticipants": maps.people,
        "NSets": len(maps.averages),
    }


def robust_z(values: Values) -> Values:
    """Return robust z scores.

    (x - median) / (1.4826 MAD). If more than half of the values are equal, the mean absolute
    deviation replaces the median one (Iglewicz & Hoaglin 1993). NaN with fewer than `LEAST_RUNS`
    values, or if all are equal.
    """
    known = values[np.isfinite(values)]
    if len(known) < LEAST_RUNS:
        return np.full(len(values), np.nan)
    middle = np.median(known)
    apart = np.abs(known - middle)
    spread = _MAD_TO_SD * np.median(apart) or _MEAN_AD_TO_SD * apart.mean()
    if spread <= 1e-12 * max(abs(middle), 1.0):
        return np.full(len(values), np.nan)
    z: Values = (values - middle) / spread
    return z


def measured(
    rows: Sequence[Row], measures: Iterable[QualityMetric]
) -> tuple[list[QualityMetric], Values, Values]:
    """Return the measures with a title and a value in any run, their values and z scores.

    Both are (runs, measures), NaN where n/a. Robust z scores compare runs with the same cleaning.
    """
    titled = {measure.name: measure for measure in measures if measure.title}
    table = pd.DataFrame(rows).reindex(columns=[*titled])
    values = table.apply(pd.to_numeric, errors="coerce").dropna(axis=1, how="all")
    cleaned = np.array([row.get("denoise_strategy", "n/a") for row in rows])
    z = values.apply(
        lambda own: own.groupby(cleaned).transform(
            lambda alike: robust_z(alike.to_numpy(float))
        )
    )
    return [titled[str(name)] for name in values], values.to_numpy(), z.to_numpy()


def write_group_page(
    dataset: DerivativeDataset,
    rows: Sequence[Row],
    flags: Mapping[str, Sequence[Flag]],
    failures: Sequence[tuple[str, str, str]] = (),
    means: Sequence[tuple[MapFile, Path | None]] = (),
    decisions: Decisions | None = None,
    *,
    compared: Table | None = None,
    **averages: Any,
) -> Path:
    """Write the group page and its figures.

    Parameters
    ----------
    dataset
        The output folder.
    rows
        Runs of the quality table.
    flags
        Flags of participants' own runs (`flags.own_flags`), by label.
    failures
        Participant, what failed, and the message.
    means
        Mean maps, and the image of each one's spread over people, if there are several.
    decisions
        On participants; None: none.
    compared
        Comparison of predicted and measured mean maps; None: there is none.
    averages
        Number of sets that were averaged (`averaged`), and the title of each other set with the
        reason (`left_out`).

    Raises
    ------
    RunError
        A mean map cannot be read back.
    OutputError
        A file cannot be written.
    """
    presentation = presentation_of(dataset)
    measures, values, z = measured(
        rows, (*presentation.quality_columns, *presentation.group_columns)
    )
    out = np.abs(np.nan_to_num(z)) > OUTLIER_Z
    marks = out.sum(axis=1).tolist()
    levels = [VERDICTS.get(row.get("training_distribution") or "", "") for row in rows]
    order = list(range(len(rows)))
    if len(rows) > _MOST_ROWS:  # runs with problems come first
        order.sort(
            key=lambda n: (levels[n] != "problem", levels[n] != "warning", -marks[n])
        )
    counts = {label: flag_counts(own) for label, own in flags.items()}
    people = sorted(
        counts.items(), key=lambda own: (-own[1]["problems"], -own[1]["warnings"])
    )
    maps = [mean for mean, _ in means]
    first = maps[0].sidecar if maps else {}
    notice = str(first.get("ModelNotice") or "") if first.get("NotForScience") else ""
    folder, gallery = dataset.root / "group" / "figures", None
    if maps:
        spread = {mean.label: image for mean, image in means if image is not None}
        gallery = draw_gallery(
            *(dataset, folder, "group", maps), overlay=_OVERLAY, images=spread
        )
    seen = data_of_viewer([gallery] if gallery else [])  # numbers the cards
    page = render(
        "group.html",
        title="Group: bids_dtg",
        links=[
            *(("summary", "Summary"), ("runs", "Runs")),
            *([("maps", "Mean maps")] if gallery else []),
            *([("measured", "Predicted and measured")] if compared else []),
            ("decisions", "Decisions"),
            ("failures", "Failures"),
        ],
        participants=len({row.get("participant_id") for row in rows}),
        failed=len({participant for participant, _, _ in failures}),
        levels=levels,
        problems=sum(count["level"] == "problem" for count in counts.values()),
        warnings=sum(count["level"] == "warning" for count in counts.values()),
        notices=[*filter(None, (notice, few_people(first))), *same_for_all(maps)],
        rows=rows,
        shown=order[:_MOST_ROWS],
        most=_MOST_ROWS,
        fewest=LEAST_RUNS,
        measures=measures,
        values=values,
        out=out,
        marks=marks,
        z=OUTLIER_Z,
        # The folder is listed once, not for each run.
        reports={
            path.stem: link(path, dataset) for path in dataset.root.glob("sub-*.html")
        },
        table=link(dataset.root / _TABLE, dataset),
        people=people[:_MOST_ROWS],
        everybody=len(people),
        inclusion=page_facts(decisions or {}, sorted(counts)),
        failures=failures,
        compared=compared,
        maps={"of": "", "tasks": gallery.tasks} if gallery else None,
        chosen=first_cards(gallery) if gallery else (),
        slices=slice_text() if gallery and not maps[0].of_parcels else "",
        viewer_data=seen,
        **{"averaged": 0, "left_out": (), **averages},
    )
    path = dataset.path(GROUP)
    write_text(path, page)
    remove_unlinked(dataset, folder, page)
    return path
