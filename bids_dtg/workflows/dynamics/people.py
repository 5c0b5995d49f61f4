"""People of the network model: series and structural connectomes, from files of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bids_dtg.dynamics.networks import (
    SIDED,
    STRUCTURAL,
    Networks,
    homotopic_pairs,
    normalised,
    standardised,
)
from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.files.names import plain_label
from bids_dtg.inputs.arrays import ArrayPeople, PeopleArray, read_arrays, read_key_names
from bids_dtg.inputs.splits_file import Families
from bids_dtg.notices import counted, named
from bids_dtg.settings import Settings
from bids_dtg.settings.option import find_row
from bids_dtg.stats.splits import Split
from bids_dtg.workflows.people import given_split, read_rows

Array = NDArray[np.float64]

LEAST_FRAMES = 60  # of a series: the encoders and the external input learn from its course
_ASYMMETRY = 1e-4  # of a person's largest weight: files may have been rounded
_UNUSED = ("targets", "roi_maps", "adjacency")  # by this model, of what files may hold


@dataclass(frozen=True, eq=False)
class NetworkPeople:
    """Whom a network model is fitted to, or judged by; values are read when asked for."""

    arrays: ArrayPeople  # what the files hold
    structural: str  # how structural connectomes are scaled, a row of `networks.STRUCTURAL`
    sessions: tuple[str, ...]  # names of the sessions asked for; "" where the files name none
    labels: tuple[str, ...]  # who was asked for and has rest and a structural connectome
    split: Split  # who of them is for what; without --split-file everybody trains
    notes: tuple[str, ...]  # sentences on what was assumed, and who was left out

    @classmethod
    def prepare(cls, settings: Settings, structural: str | None = None) -> NetworkPeople:
        """Read what the files of ``--input-arrays`` hold, and check all but the values.

        Parameters
        ----------
        settings
            Options of the call.
        structural
            How a model had structural connectomes scaled; None: as ``--structural`` says.

        Raises
        ------
        SettingsError
            Options name people, sessions or sides that there are not.
        DatasetError
            Something is missing, or does not belong together.
        """
        modelling = settings.modelling
        arrays = read_arrays(modelling.input_arrays, modelling.array_key)
        _require_networks(arrays, read_key_names(modelling.array_key)["structural"])
        rest = _sessions(arrays, settings.inputs.session_label)
        _require_alike(rest)
        labels, left_out = _whole_people(arrays, rest, settings.inputs.participant_label)
        split, others = given_split(modelling.split_file, labels, arrays.families)
        structural = structural or settings.dynamics.structural
        sides = _check_sides(structural, arrays.places)
        return cls(
            arrays=arrays,
            structural=structural,
            sessions=tuple(array.session for array in rest),
            labels=labels,
            split=split,
            notes=(*arrays.notes, *_unused(arrays), *left_out, *others, *sides),
        )

    @property
    def regions(self) -> tuple[str, ...]:
        """Names of the regions."""
        return self.arrays.places

    @property
    def families(self) -> Families:
        """Who is related, by the key families."""
        return self.arrays.families

    @property
    def tr_seconds(self) -> float:
        """Seconds between frames, the same in all sessions."""
        return self._rest(self.sessions[0]).tr_seconds

    def of_session(self, session: str) -> tuple[str, ...]:
        """Return who has rest of a session."""
        rows = self._rest(session).rows
        return tuple(label for label in self.labels if label in rows)

    def networks(self, session: str, labels: Sequence[str] | None = None) -> Networks:
        """Read people's networks in a session.

        Parameters
        ----------
        session
            One of `sessions`.
        labels
            Whom to read, in this order; who has no rest of the session is left out. None: all.

        Returns
        -------
        Networks
            Each series with mean 0 and standard deviation 1; each structural connectome divided
            by its largest weight, and scaled as `structural` says.

        Raises
        ------
        DatasetError
            Nobody has rest of the session; series are constant or not finite; structural
            connectomes are not symmetric, below 0, not finite or without connections: naming
            people and regions.
        """
        there = self.of_session(session)
        wanted = [label for label in (there if labels is None else labels) if label in there]
        if not wanted:
            raise DatasetError(
                f"nobody of {named(labels or self.labels)} has rest of {session_words(session)}",
                expected=f"labels such as {named(there)}",
            )
        rest, connections = self._rest(session), self.arrays.structural
        assert connections is not None
        series = read_rows(rest, wanted, self._series_faults, "series that vary, of finite values")
        counts = read_rows(
            connections, wanted, self._weight_faults, "symmetric weights of 0 or more"
        )
        scale = find_row(STRUCTURAL, "--structural", self.structural)
        return Networks(
            people=tuple(wanted),
            regions=self.regions,
            series=np.stack([standardised(values) for values in series]),
            weights=scale(normalised(np.stack(counts)), homotopic_pairs(self.regions)),
            tr_seconds=rest.tr_seconds,
        )

    def _rest(self, session: str) -> PeopleArray:
        return next(array for array in self.arrays.rest if array.session == session)

    def _series_faults(self, values: Array) -> list[str]:
        """Say what is wrong with a person's series (regions, frames)."""
        finite = np.isfinite(values).all(axis=1)
        constant = finite & (values == values[:, :1]).all(axis=1)
        return [
            *(f"{self.regions[n]} has NaN or infinite values" for n in np.flatnonzero(~finite)),
            *(f"{self.regions[n]} is constant" for n in np.flatnonzero(constant)),
        ]

    def _weight_faults(self, values: Array) -> list[str]:
        """Say what is wrong with a person's structural connectome (regions, regions)."""
        if not np.isfinite(values).all():
            return ["NaN or infinite weights"]
        between = values.copy()
        np.fill_diagonal(between, 0.0)
        if (between < 0).any():
            return [f"weights below 0, at {self._pair(between < 0)}"]
        if not between.any():
            return ["no connection between two regions"]
        uneven = np.abs(between - between.T) > _ASYMMETRY * between.max()
        return [f"other weights there than back, at {self._pair(uneven)}"] if uneven.any() else []

    def _pair(self, where: NDArray[np.bool_]) -> str:
        row, column = np.argwhere(where)[0]
        return f"{self.regions[row]} and {self.regions[column]}"


def _require_networks(arrays: ArrayPeople, key: str) -> None:
    """Refuse arrays without series, or without structural connectomes."""
    if not arrays.rest:
        raise DatasetError(
            "there are connectomes made elsewhere, and no rest",
            expected="rest (people, places, frames): the network model describes its course",
        )
    if arrays.structural is None:
        raise DatasetError(
            f"no file has structural connectomes under the key {key}",
            expected="structural (people, places, places): connections between regions",
            remedy="give the key with --array-key structural=KEY",
        )
    if len(arrays.places) < 2:
        raise DatasetError("there is 1 place", expected="2 or more: regions of a network")


def _sessions(arrays: ArrayPeople, asked: Sequence[str]) -> tuple[PeopleArray, ...]:
    """Return the arrays of rest of the sessions asked for, or all."""
    by_name = {_plain(array.session): array for array in arrays.rest}
    for label in asked:
        if _plain(label) not in by_name:
            raise SettingsError(
                f"--session-label is '{label}', which no array of rest has",
                expected=f"one of {named([array.session or 'no name' for array in arrays.rest])}",
            )
    wanted = {_plain(label) for label in asked} or set(by_name)
    return tuple(array for name, array in by_name.items() if name in wanted)


def session_words(session: str) -> str:
    """Return how a message names a session; files may not."""
    return f"session {session}" if session else "the session without a name"


def _plain(session: str) -> str:
    """Return what counts of a session's name: files have signs that BIDS labels have not."""
    return "".join(filter(str.isalnum, session.removeprefix("ses-"))).casefold()


def _require_alike(rest: Sequence[PeopleArray]) -> None:
    """Refuse sessions that are too short, or of different times between frames."""
    for array in rest:
        frames = array.stored.shape[2]
        if frames < LEAST_FRAMES:
            raise DatasetError(
                f"{array.stored.title} has {frames} frames", expected=f"{LEAST_FRAMES} or more"
            )
        if array.tr_seconds != rest[0].tr_seconds:
            raise DatasetError(
                f"{array.stored.title} has {array.tr_seconds:g} seconds between frames, and "
                f"{rest[0].stored.title} has {rest[0].tr_seconds:g}",
                expected="the same: a step of the model is a frame",
                remedy="choose sessions with --session-label",
            )


def _whole_people(
    arrays: ArrayPeople, rest: Sequence[PeopleArray], asked: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return who was asked for and has all that is needed, and sentences on who has not."""
    assert arrays.structural is not None
    wanted = tuple(dict.fromkeys(plain_label(label, "sub") for label in asked)) or arrays.labels
    if absent := [label for label in wanted if label not in arrays.labels]:
        raise DatasetError(
            f"no file has {', '.join(absent)}", expected=f"labels such as {named(arrays.labels)}"
        )
    lacking = {
        "no rest": [label for label in wanted if not any(label in array.rows for array in rest)],
        "no structural connectome": [
            label for label in wanted if label not in arrays.structural.rows
        ],
    }
    notes = tuple(
        f"left out: {counted(len(who), 'participant')} with {what} ({named(who)})"
        for what, who in lacking.items()
        if who
    )
    left_out = {label for who in lacking.values() for label in who}
    labels = tuple(label for label in wanted if label not in left_out)
    if not labels:
        raise DatasetError(
            "nobody has both rest and a structural connectome",
            expected="the same labels of people in the files of both",
        )
    return labels, notes


def _check_sides(structural: str, regions: Sequence[str]) -> tuple[str, ...]:
    """Refuse a scale that needs regions' sides where names say none; a sentence on who has none."""
    if structural not in SIDED:
        return ()
    pairs = homotopic_pairs(regions)
    if not pairs:
        raise SettingsError(
            f"--structural {structural} was given, and no names of regions say left and right "
            f"({named(regions)})",
            expected="names such as ctx-lh-insula and ctx-rh-insula, L_V1 and R_V1",
            remedy="give names under the key places, or another --structural",
        )
    paired = {number for pair in pairs for number in pair}
    alone = [name for number, name in enumerate(regions) if number not in paired]
    words = f"without a like on the other side: {counted(len(alone), 'region')} ({named(alone)})"
    return (words,) if alone else ()


def _unused(arrays: ArrayPeople) -> tuple[str, ...]:
    given = [name for name in _UNUSED if getattr(arrays, name) is not None]
    return (f"not used by network models: {named(given)}",) if given else ()
