"""Mean maps of predictions compared with those of measured maps, where these are given."""

from __future__ import annotations

import numpy as np

from bids_dtg.cohort.column import Column
from bids_dtg.cohort.mean_maps import GroupMaps
from bids_dtg.cohort.measured_maps import read_measured
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.errors import RunError
from bids_dtg.files.names import plain_label
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.inputs.statmap_files import find_statmap_files
from bids_dtg.inputs.statmaps import (
    StatMap,
    choose_sessions,
    choose_statistic,
    group_maps,
    in_space,
    name_targets,
    plain_contrast,
    statmaps_place,
)
from bids_dtg.notices import say
from bids_dtg.settings import Settings
from bids_dtg.stats.correlation import correlation
from bids_dtg.stats.metrics import dice_auc

_COLUMNS = (
    Column("contrast", "Label of the contrast"),
    Column("people", "Participants whose predicted maps are averaged"),
    Column("measured_people", "Those of them whose measured maps are averaged"),
    Column("r", "Correlation over voxels of the predicted with the measured mean map"),
    Column("dice", "Area under Dice overlap of their strongest 5 to 50 % of voxels", "Dice AUC"),
)


def compare_with_measured(
    settings: Settings, maps: GroupMaps, places: VoxelPlaces
) -> ResultTable | None:
    """Compare mean predicted maps with the mean measured maps of the same people.

    Returns
    -------
    A row a contrast; None where no folder of measured maps was given.

    Raises
    ------
    DatasetError
        Measured maps are of other spaces, or are several for one thing.
    """
    place, _ = statmaps_place(settings.inputs.derivatives)
    if place is None:
        return None
    files, of_space = in_space(find_statmap_files(place).files, places.grid.space)
    tasks = {plain_contrast(row.label): plain_contrast(row.task) for row in hcp_contrasts()}
    files, of_tasks = name_targets(files, tasks)
    people = {title.partition("_")[0].removeprefix("sub-") for title in maps.averages}
    by_person: dict[str, list[StatMap]] = {}
    for statmap in group_maps(files):
        if statmap.participant in people:
            by_person.setdefault(statmap.participant, []).append(statmap)
    preferred = [plain_label(label, "ses") for label in settings.inputs.session_label]
    chosen = {label: choose_sessions(own, preferred) for label, own in by_person.items()}
    statistic, of_runs = choose_statistic(chosen)
    for line in filter(None, (of_space, of_tasks, of_runs)):
        say(line)
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
                say(f"sub-{label} does not count for the measured mean of {first.label}: {err}")
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
    return ResultTable(_COLUMNS, rows, "Predicted and measured mean maps: a row a contrast")
