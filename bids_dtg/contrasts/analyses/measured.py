"""The measured maps of an analysis: their files, and quality findings in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.cohort.column import Column
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.contrasts.analyses.cohort import ARRAYS, SIDES, Cohort
from bids_dtg.inputs.statmaps import StatMap, plain_contrast
from bids_dtg.notices import counted, named, say
from bids_dtg.stats.map_checks import (
    LEAST_COVERAGE,
    LEAST_PEOPLE,
    LEAST_SIDE_R,
    MOST_EQUAL,
    SCALE_FACTOR,
    Checked,
    check_maps,
    judge_person,
)

TARGETS_TABLE, QUALITY_TABLE = "desc-targets_files.tsv", "desc-measuredMaps_qc.tsv"
_WORST_FIRST = ("unusable", "mirrored", "scale", "coverage", "outlier")
_MOST_LINES = 40  # of findings in the log; the table has all
_PARTICIPANT = Column("participant_id", "Participant")
_USE = Column("use", "target: the map to predict; retest: of a later session")
_TARGET_COLUMNS = (
    _PARTICIPANT,
    _USE,
    Column("contrast", "Label of the contrast"),
    Column("task_id", "Task that the names state"),
    Column("session_id", "Session that the names state"),
    Column("level", "Level of the analysis that made the files: run, session or subject"),
    Column("n_runs", "How many runs the map is of; n/a: not known"),
    Column("statistic", "What the values are: z, t or effect"),
    Column(
        "space",
        "Template of the files; n/a: neither name nor sidecar states it, and the "
        "model's was assumed",
    ),
    Column(
        "files",
        "Path below the folder of measured maps",
    ),
)
_QUALITY_COLUMNS = (
    _PARTICIPANT,
    _USE,
    Column("contrast", "Label of the contrast"),
    Column("used", "Whether the map is used; otherwise it counts as not measured"),
    Column(
        "coverage",
        f"Share of the model's mask with a value; below {LEAST_COVERAGE} a map is left out",
    ),
    Column(
        "equal",
        f"Share of the values that are the most frequent one; above {MOST_EQUAL} a map is "
        "left out, as a mask or a thresholded map",
    ),
    Column("sd", "Standard deviation of the values"),
    Column("scale", f"sd over the group's median sd; reported beyond a factor of {SCALE_FACTOR:g}"),
    Column(
        "r",
        "Correlation with the mean of the other participants' maps, each scaled to one standard "
        f"deviation; n/a, as in all later columns, with fewer than {LEAST_PEOPLE} participants",
    ),
    Column(
        "side_r",
        "Correlation of the left-right difference with that of the mean map; below "
        f"0 where the group's median is {LEAST_SIDE_R} or more: sides look swapped",
    ),
    Column(
        "findings",
        "Findings, separated by commas: coverage, scale, mirrored, outlier, unusable",
    ),
    Column("words", "The findings in words"),
)


@dataclass(frozen=True)
class _Map:
    """A measured map, and the findings in it."""

    participant: str  # label
    use: str  # target or retest
    contrast: str  # its key, as in a cohort's rows
    checked: Checked | None  # None: the map is left out
    findings: Mapping[str, str]  # in words, by kind


def _checked(cohort: Cohort) -> list[_Map]:
    """Check every measured map of a cohort, a contrast at a time, from mapped files."""
    mirror = cohort.bundle.places.mirror()
    found: list[_Map] = []
    for number, use in enumerate(SIDES):
        for contrast, row in cohort.rows.items():
            maps = {
                person.label: person.sessions[number][row]
                for person in cohort.people
                if len(person.sessions) > number and contrast in cohort.planned(person.label, use)
            }
            why = {who: cohort.unusable[who].get(use, {}).get(contrast, "") for who in maps}
            usable = [values for who, values in maps.items() if not why[who]]
            sds = [float(np.nanstd(values, dtype=np.float64)) for values in usable]
            checked = iter(check_maps(usable, sds, mirror) if usable else [])
            for who in maps:
                own = None if why[who] else next(checked)
                left_out = {"unusable": f"left out, because {why[who]}"}
                findings = left_out if own is None else own.findings
                found.append(_Map(who, use, contrast, own, findings))
    # Some findings need all of a person's maps.
    by_person: dict[tuple[str, str], list[Checked]] = {}
    for one in found:
        if one.checked is not None:
            by_person.setdefault((one.participant, one.use), []).append(one.checked)
    whole = {key: judge_person(checked) for key, checked in by_person.items()}
    return [
        one
        if one.checked is None
        else replace(one, findings={**whole[one.participant, one.use], **one.findings})
        for one in found
    ]


def _lines(maps: Sequence[_Map], labels: Mapping[str, str]) -> list[str]:
    """Return a line for each person and kind of finding, the worst first.

    `labels` give the contrasts' names and their order.
    """
    grouped: dict[tuple[int, str, str, str], list[_Map]] = {}
    for one in maps:
        for kind in one.findings:
            key = (_WORST_FIRST.index(kind), kind, one.participant, one.use)
            grouped.setdefault(key, []).append(one)
    of_person = Counter((one.participant, one.use) for one in maps)
    lines = []
    for (_, kind, who, use), found in sorted(grouped.items(), key=lambda item: item[0]):
        found_in = {one.contrast for one in found}
        contrasts = named([label for key, label in labels.items() if key in found_in])
        lines.append(
            f"sub-{who}, {kind} in {len(found)} of {counted(of_person[who, use], use)} "
            f"({contrasts}): {found[0].findings[kind]}"
        )
    if len(lines) > _MOST_LINES:
        more = len(lines) - _MOST_LINES
        lines[_MOST_LINES:] = [f"and {more} more findings: {QUALITY_TABLE}"]
    return lines


def with_measured(cohort: Cohort) -> Cohort:
    """Write the files of the maps and the findings; return the cohort with sentences on them."""
    cohort.results.add(f"{ARRAYS}/")
    root = cohort.place if cohort.place.is_dir() else cohort.place.parent
    labels = {plain_contrast(one.label): one.label for one in cohort.contrasts}
    measured = _checked(cohort)
    targets = [
        _target_row(cohort, measured_map, use, labels[contrast], root)
        for label in cohort.labels
        for use in SIDES
        for contrast, measured_map in sorted(cohort.planned(label, use).items())
    ]
    quality = [_quality_row(one, labels[one.contrast]) for one in measured]
    for name, table in {
        TARGETS_TABLE: ResultTable(_TARGET_COLUMNS, targets, "Measured maps, and their files"),
        QUALITY_TABLE: ResultTable(_QUALITY_COLUMNS, quality, "Measured maps, and what was found"),
    }.items():
        cohort.results.table(name.removesuffix(".tsv"), table)
    lines = _lines(measured, labels)
    for line in lines:
        say(f"measured maps: {line}")
    say(
        f"{counted(len(cohort.people), 'participant')} with rest and maps, "
        f"{counted(len(cohort.contrasts), 'contrast')} ({cohort.statistic}); "
        f"{len(cohort.left_out)} left out"
    )
    none = ["no finding in any measured map"]
    return replace(cohort, measured=(*cohort.files, *cohort.notes, *(lines or none)))


def _target_row(
    cohort: Cohort, measured_map: StatMap, use: str, label: str, root: Path
) -> dict[str, Any]:
    return {
        "participant_id": f"sub-{measured_map.participant}",
        "use": use,
        "contrast": label,
        "task_id": measured_map.task,
        "session_id": measured_map.session,
        "level": measured_map.level,
        "n_runs": measured_map.runs,
        "statistic": cohort.statistic,
        "space": measured_map.space,
        "files": _relative(measured_map.files[cohort.statistic], root),
    }


def _relative(path: Path, root: Path) -> str:
    # A path outside the folder would name a folder of this machine.
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def _quality_row(measured_map: _Map, label: str) -> dict[str, Any]:
    checked, findings = measured_map.checked, measured_map.findings
    row: dict[str, Any] = {
        "participant_id": f"sub-{measured_map.participant}",
        "use": measured_map.use,
        "contrast": label,
        "used": checked is not None,
        "findings": ",".join(findings) or None,
        "words": "; ".join(findings.values()) or None,
    }
    if checked is None:
        return row
    own, group = checked.own, checked.group
    row |= {"coverage": own.coverage, "equal": own.equal, "sd": own.sd, "scale": checked.scale}
    if group is not None:
        row |= {"r": group.r, "side_r": group.side_r}
    return row
