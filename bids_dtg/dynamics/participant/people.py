"""The people of an analysis: who is used, their series and their structural connectomes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.recognised_people import Sketches, copies_in_words, with_copies
from bids_dtg.cohort.region_people import read_split
from bids_dtg.dynamics.measures import connectivity
from bids_dtg.dynamics.networks import (
    LEAST_FRAMES,
    Networks,
    PeopleSeries,
    normalised,
    notes_beside_series,
    standardised,
)
from bids_dtg.dynamics.participant.sources import (
    NetworkSource,
    SessionRest,
    find_array_people,
    find_output_people,
)
from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.files.names import plain_label
from bids_dtg.inputs.participants import Families
from bids_dtg.inputs.rest_sketch import sketch
from bids_dtg.inputs.structural import weight_faults, weight_notes
from bids_dtg.notices import counted, named, say
from bids_dtg.settings import Settings
from bids_dtg.stats.splits import Split

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NetworkPeople:
    """People to train or evaluate a model on; values are read when needed."""

    source: NetworkSource  # files of arrays, or the output of this program
    # Names of the requested sessions; "" if the source names none.
    sessions: tuple[str, ...]
    # Requested people with series, and a structural connectome if needed.
    labels: tuple[str, ...]
    split: Split  # training, validation and test sets; without --split-file all are for training
    # Of the participants; labels with the same series are one family.
    families: Families
    session_sketches: Sketches  # of people's series, by label and session
    notes: tuple[str, ...]  # sentences on assumptions, and on people left out

    @property
    def files(self) -> tuple[Path, ...]:
        """Input files other than arrays."""
        return self.source.files

    @classmethod
    def prepare(
        cls, settings: Settings, atlas: str = "", *, connected: bool = True
    ) -> NetworkPeople:
        """Find people in ``--input-arrays``, or else in the output of the participant level.

        Parameters
        ----------
        settings
            Options of the run, composed and checked.
        atlas
            Key of the model's atlas, whose series are read; empty: the only atlas there is.
        connected
            Whether people need a structural connectome.

        Raises
        ------
        SettingsError
            Requested people, sessions or sets are missing.
        DatasetError
            Data are missing, or do not fit together.
        """
        modelling, inputs = settings.modelling, settings.inputs
        if modelling.input_arrays:
            source = find_array_people(
                modelling.input_arrays,
                modelling.array_key,
                connected=connected,
                mem_gb=settings.resources.mem_gb,
            )
        else:
            source = find_output_people(settings, atlas, connected=connected)
        rest = _chosen(source.sessions, inputs.session_label)
        _require_alike(rest)
        labels, left_out = _whole_people(
            source, rest, inputs.participant_label, connected=connected
        )
        sketches = _sketches(source, labels)
        used = {session_words(session_rest.session) for session_rest in rest}
        families = with_copies(source.families, sketches, used=used)
        split, split_notes = read_split(modelling.split_file, labels, families)
        copies = copies_in_words(families, sketches)
        return cls(
            source=source,
            sessions=tuple(session_rest.session for session_rest in rest),
            labels=labels,
            split=split,
            families=families,
            session_sketches=sketches,
            notes=(*source.notes, *left_out, *copies, *split_notes),
        )

    @property
    def regions(self) -> tuple[str, ...]:
        """Names of the regions."""
        return self.source.regions

    @property
    def tr_seconds(self) -> float:
        """Time between frames in seconds, the same in all sessions."""
        return self._rest(self.sessions[0]).tr_seconds

    def frames_of(self, session: str) -> int:
        """Return the number of frames of each series of a session."""
        return self._rest(session).frames

    def of_session(self, session: str) -> tuple[str, ...]:
        """Return the labels of people with data in a session."""
        with_rest = self._rest(session).labels
        return tuple(label for label in self.labels if label in with_rest)

    def networks(self, session: str, labels: Sequence[str] | None = None) -> Networks:
        """Read people's networks in a session.

        Parameters
        ----------
        session
            Name of the session, one of `sessions`.
        labels
            People to read, in this order, without those who lack the session; None: all.

        Returns
        -------
        Networks
            Each series with mean 0 and standard deviation 1; each structural connectome divided
            by its largest weight.

        Raises
        ------
        DatasetError
            Nobody has data in the session; series are constant or not finite; structural
            connectomes are asymmetric, negative, not finite or without connections. The message
            names people and regions.
        """
        people = self.series(session, labels)
        weights = self._rest(session).weights
        assert weights is not None  # `connected` was asked for
        counts = weights.read(
            people.people, self._weight_faults, "symmetric weights of 0 or more"
        )
        self._note_connectomes(people, counts)
        return Networks(**vars(people), weights=normalised(np.stack(counts)))

    def series(self, session: str, labels: Sequence[str] | None = None) -> PeopleSeries:
        """Read people's series in a session, without structural connectomes.

        Parameters
        ----------
        session, labels
            As for `networks`.

        Raises
        ------
        DatasetError
            Nobody has data in the session, or series are constant or not finite.
        """
        wanted = self._wanted(session, labels)
        rest = self._rest(session)
        of_people = rest.series.read(
            wanted,
            lambda values: self._series_faults(values[:, : rest.frames]),
            "series that vary, of finite values",
        )
        series = [standardised(values[:, : rest.frames]) for values in of_people]
        return PeopleSeries(
            people=tuple(wanted),
            regions=self.regions,
            series=np.stack(series),
            tr_seconds=rest.tr_seconds,
            families=self.families.by_label,
            **rest.quality(wanted),
        )

    def _wanted(self, session: str, labels: Sequence[str] | None) -> list[str]:
        """Return the people in `labels`, or all people, who have data in a session."""
        with_rest = self.of_session(session)
        asked_for = with_rest if labels is None else labels
        wanted = [label for label in asked_for if label in with_rest]
        if not wanted:
            raise DatasetError(
                f"no data in {session_words(session)} for {named(labels or self.labels)}",
                expected=f"labels such as {named(with_rest)}",
            )
        return wanted

    def _note_connectomes(self, people: PeopleSeries, weights: Sequence[Array]) -> None:
        """Report what is unusual about people's structural connectomes, once each."""
        labels_of: dict[str, list[str]] = {}  # by note
        connectomes = zip(people.people, weights, strict=True)
        for row, (label, counts) in enumerate(connectomes):
            series = people.series[row]
            if people.keep is not None:
                series = series[:, people.keep[row]]
            beside = notes_beside_series(counts, connectivity(series))
            for note in (*weight_notes(counts, self.regions), *beside):
                if (label, note) not in self._noted:
                    self._noted.add((label, note))
                    labels_of.setdefault(note, []).append(label)
        for note, labels in labels_of.items():
            number = counted(len(labels), "participant")
            say(f"structural connectomes of {number} ({named(labels)}): {note}")

    @cached_property
    def _noted(self) -> set[tuple[str, str]]:
        return set()

    def sketches(self, labels: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return sketches of people's series in all sessions of the source, by label."""
        sketches = self.session_sketches
        return {label: tuple(sketches.get(label, {}).values()) for label in labels}

    def _rest(self, session: str) -> SessionRest:
        return next(rest for rest in self.source.sessions if rest.session == session)

    def _weight_faults(self, values: Array) -> list[str]:
        return weight_faults(values, self.regions)

    def _series_faults(self, values: Array) -> list[str]:
        """Return the faults of a person's series (regions, frames)."""
        finite = np.isfinite(values).all(axis=1)
        # Beside a huge value, others do not differ in single precision.
        with np.errstate(all="ignore"):
            constant = finite & _is_half_constant(standardised(values))
            was_constant = _is_half_constant(values)
        faults = [
            f"{self.regions[n]} has NaN or infinite values"
            for n in np.flatnonzero(~finite)
        ]
        faults += [
            f"{self.regions[n]} is constant in half of the session or more"
            + ("" if was_constant[n] else f" beside {np.abs(values[n]).max():.3g}")
            for n in np.flatnonzero(constant)
        ]
        return faults


def _is_half_constant(values: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return whether series (regions, frames) do not vary in a half, which needs covariances."""
    half = values.shape[1] // 2
    is_constant = np.zeros(len(values), bool)
    for part in (values[:, :half], values[:, half:]):
        is_constant |= ~(np.ptp(part, axis=1) > 0)
    return is_constant


def _sketches(source: NetworkSource, labels: Sequence[str]) -> Sketches:
    """Return sketches of people's series by label and session."""
    sketches: dict[str, dict[str, str]] = {label: {} for label in labels}
    for rest in source.sessions:
        for label in rest.labels.intersection(labels):
            with suppress(DatasetError):  # a later step reports why it cannot be used
                if digest := sketch(rest.series.of(label)):
                    sketches[label][session_words(rest.session)] = digest
    return sketches


def session_words(session: str) -> str:
    """Return the words for a session in messages; files may give it no name."""
    return f"session {session}" if session else "the session without a name"


def _chosen(
    sessions: Sequence[SessionRest], session_labels: Sequence[str]
) -> tuple[SessionRest, ...]:
    """Return the sessions of ``--session-label``, or all; punctuation in names is ignored."""
    wanted = {_plain(label): label for label in session_labels}
    names = {_plain(rest.session) for rest in sessions}
    if absent := [label for plain, label in wanted.items() if plain not in names]:
        raise SettingsError(
            f"no series are of session '{absent[0]}' (--session-label)",
            expected=f"one of {named([rest.session or 'no name' for rest in sessions])}",
        )
    return tuple(
        rest for rest in sessions if not wanted or _plain(rest.session) in wanted
    )


def _plain(session: str) -> str:
    return "".join(filter(str.isalnum, session.removeprefix("ses-"))).casefold()


def _require_alike(rest: Sequence[SessionRest]) -> None:
    """Raise if a session is too short, or repetition times differ."""
    first = rest[0]
    for session in rest:
        title = session.series.title
        if session.frames < LEAST_FRAMES:
            raise DatasetError(
                f"{title} has {session.frames} frames",
                expected=f"{LEAST_FRAMES} or more",
            )
        if session.tr_seconds != first.tr_seconds:
            raise DatasetError(
                f"{title} has {session.tr_seconds:g} seconds between frames, and "
                f"{first.series.title} has {first.tr_seconds:g}",
                expected="the same, as a step of the model is one frame",
                remedy="choose sessions with --session-label",
            )


def _whole_people(
    source: NetworkSource,
    rest: Sequence[SessionRest],
    participant_labels: Sequence[str],
    *,
    connected: bool,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the requested people with complete data, and notes on the others."""
    plain = (plain_label(label, "sub") for label in participant_labels)
    wanted = tuple(dict.fromkeys(plain)) or source.labels
    present = set(source.labels)
    if absent := [label for label in wanted if label not in present]:
        raise DatasetError(
            f"no file has {', '.join(absent)}",
            expected=f"labels such as {named(source.labels)}",
        )
    with_series = frozenset[str]().union(*(session.labels for session in rest))
    lacking = {
        "no series": [label for label in wanted if label not in with_series],
        "no structural connectome": [
            label for label in wanted if connected and label not in source.connected
        ],
    }
    notes = tuple(
        f"left out: {counted(len(people), 'participant')} with {what} ({named(people)})"
        for what, people in lacking.items()
        if people
    )
    left_out = set[str]().union(*lacking.values())
    labels = tuple(label for label in wanted if label not in left_out)
    if not labels:
        needed = "both series and a structural connectome" if connected else "series"
        raise DatasetError(
            f"nobody has {needed}",
            expected="the same people's labels in the files of both",
        )
    return labels, notes
