"""Measured maps of people: which are used, and their values at given places."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import UnusableMapError
from bids_dtg.files.names import plain_label
from bids_dtg.inputs.statmaps import (
    PersonMaps,
    Statistic,
    StatMap,
    choose_statistic,
    find_statmaps,
    in_space,
    name_targets,
    people_maps,
)
from bids_dtg.notices import say
from bids_dtg.stats.map_checks import LARGEST_VALUE, largest_value, too_large


def choose_measured(
    place: Path,
    space: str,
    tasks: Mapping[str, str],
    sessions: Sequence[str],
    is_wanted: Callable[[StatMap], bool],
) -> tuple[dict[str, PersonMaps], Statistic]:
    """Choose one map a person and contrast, and everybody's statistic; say what decided.

    Parameters
    ----------
    place
        Folder of the maps.
    space
        Template that they must be in.
    tasks
        The task of each contrast that is known, as `name_targets` takes it.
    sessions
        Labels of sessions that come before all others, in this order.
    is_wanted
        Whether a map is of a person and contrast that are asked for.

    Raises
    ------
    DatasetError
        They are of other spaces, several for one thing, or no statistic is everybody's.
    """
    maps, of_space = in_space(find_statmaps(place)[0], space)
    maps, of_tasks = name_targets(maps, tasks)
    preferred = [plain_label(label, "ses") for label in sessions]
    chosen = people_maps(filter(is_wanted, maps), preferred)
    for line in filter(None, (of_space, of_tasks)):
        say(line)
    return chosen, choose_statistic(chosen)


def read_measured(
    statmap: StatMap, statistic: Statistic, read: Callable[[Path], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Read a measured map.

    Parameters
    ----------
    statmap, statistic
        The map, and what is wanted of it.
    read
        Reads a file at the places, as `Places.read`.

    Returns
    -------
    (places,), NaN where the file has no value.

    Raises
    ------
    RunError
        The file cannot be used.
    """
    path = statmap.files[statistic]
    values = read(path)
    if why := too_large(largest_value(values), LARGEST_VALUE):
        raise UnusableMapError(f"of {path.name}: {why}")
    return values
