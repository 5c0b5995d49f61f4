"""The measured maps of an analysis: their files, and findings about their quality."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.contrasts.analyses.cohort import (
    ARRAYS,
    USES,
    CohortArrays,
    CohortFiles,
)
from bids_dtg.contrasts.contrast import by_plain_label
from bids_dtg.files.columns import Column
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
Findings = Mapping[str, str]  # kind of finding -> the finding in words
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


def check_measured_maps(cohort: CohortArrays) -> CohortArrays:
    """Write tables of the maps' files and findings; return the people with sentences on both."""
    files, results = cohort.files, cohort.plan.results
    results.add(f"{ARRAYS}/")
    maps = _checked(cohort)
    targets = _target_rows(files)
    quality = []
    for row, findings in maps:
        words = "; ".join(findings.values()) or None
        kinds = ",".join(findings) or None
        quality.append({**row, "findings": kinds, "words": words})
    results.table(
        TARGETS_TABLE,
        ResultTable(_TARGET_COLUMNS, targets, "Measured maps and their files"),
    )
    results.table(
        QUALITY_TABLE,
        ResultTable(_QUALITY_COLUMNS, quality, "Quality of the measured maps"),
    )
    lines = _lines(maps)
    for line in lines:
        say(f"measured maps: {line}")
    say(
        f"{counted(cohort.people, 'participant')} with rest and maps, "
        f"{counted(files.contrasts, 'contrast')} ({files.statistic}); "
        f"{len(files.left_out)} left out"
    )
    if not lines:
        lines = ["no problem found in any measured map"]
    sentences = files.targets_in_words, *files.notes, *lines
    return dataclasses.replace(cohort, findings=sentences)


def _checked(cohort: CohortArrays) -> list[tuple[dict[str, Any], Findings]]:
    """Check every measured map, contrast by contrast; return its table row and the findings."""
    mirror = cohort.plan.bundle.places.mirror()
    maps: list[tuple[dict[str, Any], dict[str, str]]] = []
    checked_maps_of_person = defaultdict[tuple[str, str], list[Checked]](list)
    contrasts = by_plain_label(cohort.files.contrasts)
    for session, use in enumerate(USES):
        for key, contrast in contrasts.items():
            used_maps, values = [], []
            for person in cohort.people:
                if key not in cohort.files.planned(person.label, use):
                    continue
                reason = cohort.unusable[person.label, use].get(key, "")
                row: dict[str, Any] = {
                    "participant_id": f"sub-{person.label}",
                    "use": use,
                    "contrast": contrast.label,
                    "used": not reason,
                }
                findings = dict[str, str]()
                maps.append((row, findings))
                if reason:
                    findings["unusable"] = f"left out, because {reason}"
                    continue
                used_maps.append((row, findings))
                values.append(person.sessions[session][contrast.index])
            checked_maps = check_maps(values, mirror)
            for (row, findings), checked in zip(used_maps, checked_maps, strict=True):
                row |= _figures(checked)
                findings |= checked.findings
                checked_maps_of_person[row["participant_id"], use].append(checked)
    # Some findings need all maps of a person.
    joint = {
        person: judge_person(checked)
        for person, checked in checked_maps_of_person.items()
    }
    return [
        (row, joint[row["participant_id"], row["use"]] | findings)
        if row["used"]
        else (row, findings)
        for row, findings in maps
    ]


def _figures(checked: Checked) -> dict[str, float]:
    """Return the figures of a map, by column."""
    alone = checked.figures
    return {
        "coverage": alone.coverage,
        "equal": alone.equal,
        "sd": alone.sd,
        "scale": checked.scale,
        "r": checked.r,
        "side_r": checked.side_r,
    }


def _lines(maps: Sequence[tuple[Mapping[str, Any], Findings]]) -> list[str]:
    """Return a line for each person and kind of finding, the worst first."""
    # Contrast and words of each finding, by rank and kind of finding, person and use.
    grouped: dict[tuple[int, str, str, str], list[tuple[str, str]]] = {}
    for row, findings in maps:
        for kind, words in findings.items():
            rank = _WORST_FIRST.index(kind)
            key = rank, kind, row["participant_id"], row["use"]
            grouped.setdefault(key, []).append((row["contrast"], words))
    number_of_maps = Counter((row["participant_id"], row["use"]) for row, _ in maps)
    lines = []
    for (_, kind, participant, use), findings_of_kind in sorted(grouped.items()):
        contrasts = [contrast for contrast, _ in findings_of_kind]
        _, first_words = findings_of_kind[0]
        total = counted(number_of_maps[participant, use], use)
        lines.append(
            f"{participant}, {kind} in {len(contrasts)} of {total} "
            f"({named(contrasts)}): {first_words}"
        )
    if len(lines) > _MOST_LINES:
        number = len(lines) - _MOST_LINES
        lines[_MOST_LINES:] = [f"and {number} more findings: {QUALITY_TABLE}.tsv"]
    return lines


def _target_rows(files: CohortFiles) -> list[dict[str, Any]]:
    statmaps = files.plan.statmaps
    root = statmaps if statmaps.is_dir() else statmaps.parent
    contrasts = by_plain_label(files.contrasts)
    rows = []
    for label in files.labels:
        for use in USES:
            planned = files.planned(label, use)
            for key, contrast in contrasts.items():  # in the model's order
                if key not in planned:
                    continue
                statmap = planned[key]
                path = statmap.files[files.statistic]
                # A path outside the folder would reveal this machine's.
                name = path.name
                if path.is_relative_to(root):
                    name = path.relative_to(root).as_posix()
                rows.append(
                    {
                        "participant_id": f"sub-{label}",
                        "use": use,
                        "contrast": contrast.label,
                        "task_id": statmap.task,
                        "session_id": statmap.session,
                        "statistic": files.statistic,
                        "space": statmap.space,
                        "files": name,
                    }
                )
    return rows
