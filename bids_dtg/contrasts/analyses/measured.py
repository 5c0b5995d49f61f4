"""The measured maps of an analysis: their files, and findings about their quality."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bids_dtg.cohort.result_table import Column, ResultTable
from bids_dtg.contrasts.analyses.cohort import ARRAYS, SIDES, Cohort
from bids_dtg.inputs.statmaps import plain_contrast
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

TARGETS_TABLE, QUALITY_TABLE = "desc-targets_files", "desc-measuredMaps_qc"
_WORST_FIRST = ("unusable", "mirrored", "scale", "coverage", "outlier")
_MOST_LINES = 40  # of findings in the log; the table has all
_PARTICIPANT = Column("participant_id", "Participant")
_USE = Column(
    "use", "target: the map to predict; retest: the same contrast in a later session"
)
_TARGET_COLUMNS = (
    _PARTICIPANT,
    _USE,
    Column("contrast", "Label of the contrast"),
    Column("task_id", "Task in the file names"),
    Column("session_id", "Session in the file names"),
    Column("statistic", "What the values are: z, t or effect"),
    Column(
        "space",
        "Template of the files; n/a: neither name nor sidecar gives it, so the model's was assumed",
    ),
    Column("files", "Path below the folder of measured maps"),
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
        f"Share of values equal to the most frequent one; above {MOST_EQUAL} the map is left "
        "out, because it looks like a mask or a thresholded map",
    ),
    Column("sd", "Standard deviation of the values"),
    Column(
        "scale",
        f"sd over the group's median sd; reported beyond a factor of {SCALE_FACTOR:g}",
    ),
    Column(
        "r",
        "Correlation with the mean of the other participants' maps, each scaled to one standard "
        f"deviation; n/a, as in all later columns, with fewer than {LEAST_PEOPLE} participants",
    ),
    Column(
        "side_r",
        "Correlation of the left-right difference with that of the others' mean map; if it is "
        f"below 0 and the group's median is {LEAST_SIDE_R} or more, sides look swapped",
    ),
    Column(
        "findings",
        "Findings, separated by commas: coverage, scale, mirrored, outlier, unusable",
    ),
    Column("words", "The findings in words"),
)


def with_measured(cohort: Cohort) -> Cohort:
    """Write tables of the maps' files and findings; return the cohort with sentences on both."""
    cohort.results.add(f"{ARRAYS}/")
    found = _checked(cohort)
    quality = [
        row
        | {"findings": ",".join(own) or None, "words": "; ".join(own.values()) or None}
        for row, own in found
    ]
    for name, table in {
        TARGETS_TABLE: ResultTable(
            _TARGET_COLUMNS, _target_rows(cohort), "Measured maps and their files"
        ),
        QUALITY_TABLE: ResultTable(
            _QUALITY_COLUMNS, quality, "Quality of the measured maps"
        ),
    }.items():
        cohort.results.table(name, table)
    lines = _lines(found)
    for line in lines:
        say(f"measured maps: {line}")
    say(
        f"{counted(len(cohort.people), 'participant')} with rest and maps, "
        f"{counted(len(cohort.contrasts), 'contrast')} ({cohort.statistic}); "
        f"{len(cohort.left_out)} left out"
    )
    none = ["no problem found in any measured map"]
    return replace(cohort, measured=(cohort.files, *cohort.notes, *(lines or none)))


def _checked(cohort: Cohort) -> list[tuple[dict[str, Any], dict[str, str]]]:
    """Check every measured map, contrast by contrast; return its table row and the findings."""
    mirror = cohort.bundle.places.mirror()
    found: list[tuple[dict[str, Any], dict[str, str]]] = []
    by_person: dict[tuple[str, str], list[Checked]] = {}
    for number, use in enumerate(SIDES):
        for contrast in cohort.contrasts:
            key = plain_contrast(contrast.label)
            people = [
                one for one in cohort.people if key in cohort.planned(one.label, use)
            ]
            why = [
                cohort.unusable[one.label].get(use, {}).get(key, "") for one in people
            ]
            usable = [
                one.sessions[number][contrast.index]
                for one, reason in zip(people, why, strict=True)
                if not reason
            ]
            sds = [float(np.nanstd(values, dtype=np.float64)) for values in usable]
            checked = iter(check_maps(usable, sds, mirror) if usable else [])
            for one, reason in zip(people, why, strict=True):
                about: dict[str, Any] = {
                    "participant_id": f"sub-{one.label}",
                    "use": use,
                    "contrast": contrast.label,
                    "used": not reason,
                }
                if reason:
                    found.append((about, {"unusable": f"left out, because {reason}"}))
                    continue
                own = next(checked)
                by_person.setdefault((about["participant_id"], use), []).append(own)
                about |= {
                    name: getattr(own.figures, name)
                    for name in ("coverage", "equal", "sd")
                }
                about["scale"] = own.scale
                if own.group is not None:
                    about |= {"r": own.group.r, "side_r": own.group.side_r}
                found.append((about, dict(own.findings)))
    # Some findings need all maps of a person.
    whole = {key: judge_person(checked) for key, checked in by_person.items()}
    return [
        (row, whole[row["participant_id"], row["use"]] | own if row["used"] else own)
        for row, own in found
    ]


def _lines(maps: Sequence[tuple[Mapping[str, Any], Mapping[str, str]]]) -> list[str]:
    """Return a line for each person and kind of finding, the worst first."""
    grouped: dict[tuple[int, str, str, str], list[tuple[str, str]]] = {}
    for row, findings in maps:
        for kind, words in findings.items():
            key = _WORST_FIRST.index(kind), kind, row["participant_id"], row["use"]
            grouped.setdefault(key, []).append((row["contrast"], words))
    of_person = Counter((row["participant_id"], row["use"]) for row, _ in maps)
    lines = [
        f"{who}, {kind} in {len(found)} of {counted(of_person[who, use], use)} "
        f"({named([contrast for contrast, _ in found])}): {found[0][1]}"
        for (_, kind, who, use), found in sorted(
            grouped.items(), key=lambda item: item[0]
        )
    ]
    if len(lines) > _MOST_LINES:
        more = len(lines) - _MOST_LINES
        lines[_MOST_LINES:] = [f"and {more} more findings: {QUALITY_TABLE}.tsv"]
    return lines


def _target_rows(cohort: Cohort) -> list[dict[str, Any]]:
    root = cohort.place if cohort.place.is_dir() else cohort.place.parent
    labels = {plain_contrast(one.label): one.label for one in cohort.contrasts}
    rows = []
    for label in cohort.labels:
        for use in SIDES:
            for contrast, one in sorted(cohort.planned(label, use).items()):
                path = one.files[cohort.statistic]
                # A path outside the folder would reveal a path of this machine.
                inside = path.is_relative_to(root)
                rows.append(
                    {
                        "participant_id": f"sub-{label}",
                        "use": use,
                        "contrast": labels[contrast],
                        "task_id": one.task,
                        "session_id": one.session,
                        "statistic": cohort.statistic,
                        "space": one.space,
                        "files": path.relative_to(root).as_posix()
                        if inside
                        else path.name,
                    }
                )
    return rows
