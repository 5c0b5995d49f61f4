"""Participants of an analysis of dynamics: their series and structural connectomes by session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from bids_dtg.array_types import Float64, Floats, Mask
from bids_dtg.cohort.participant_sources import (
    ModelParticipants,
    participants_without_lack,
    read_rows,
)
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
    session_words,
)
from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.inputs.structural import weight_faults, weight_notes
from bids_dtg.notices import counted, named, say
from bids_dtg.settings import Settings


@dataclass(frozen=True, eq=False, kw_only=True)
class NetworkParticipants(ModelParticipants[NetworkSource]):
    """Participants with series and, if needed, a structural connectome."""

    # The requested sessions by name; "" if the source names none.
    rest: Mapping[str, SessionRest]

    @property
    def sessions(self) -> tuple[str, ...]:
        """Names of the sessions."""
        return tuple(self.rest)

    @classmethod
    def prepare(
        cls, settings: Settings, atlas: str = "", *, connected: bool = True
    ) -> NetworkParticipants:
        """Find participants in ``--input-arrays``, or else in the output of the participant level.

        Parameters
        ----------
        settings
            Options of the run, composed and checked.
        atlas
            Key of the model's atlas, whose series are read; empty: the only atlas there is.
        connected
            Whether participants need a structural connectome.

        Raises
        ------
        SettingsError
            Requested participants, sessions or sets are missing.
        DatasetError
            Data are missing, or do not fit together.
        """
        if settings.modelling.input_arrays:
            source = find_array_people(settings, connected=connected)
        else:
            source = find_output_people(settings, atlas, connected=connected)
        rest = _chosen(source.sessions, settings.inputs.session_label)
        _require_alike(rest)
        requested = settings.inputs.participant_label
        labels, left_out = _whole_people(source, rest, requested, connected=connected)
        used = {session_words(session.session) for session in rest}
        return cls(
            **cls.shared_fields(settings, source, labels, left_out, used),
            rest={session.session: session for session in rest},
        )

    @property
    def regions(self) -> tuple[str, ...]:
        """Names of the regions."""
        return self.source.regions

    @property
    def tr_seconds(self) -> float:
        """Time between frames in seconds, the same in all sessions."""
        return self.rest[self.sessions[0]].tr_seconds

    def labels_in(
        self, session: str, labels: Sequence[str] | None = None
    ) -> tuple[str, ...]:
        """Return who of some people, or of all, has data in a session."""
        with_rest = self.rest[session].labels.intersection(self.labels)
        return tuple(
            label
            for label in (self.labels if labels is None else labels)
            if label in with_rest
        )

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
        rest = self.rest[session]
        read_weights = rest.weights
        assert read_weights is not None  # `connected` was asked for
        counts = read_rows(
            rest.weights_title,
            lambda label: np.asarray(read_weights(label), np.float64),
            people.people,
            partial(weight_faults, regions=self.regions),
            "symmetric weights of 0 or more",
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
        wanted = self.labels_in(session, labels)
        if not wanted:
            raise DatasetError(
                f"no data in {session_words(session)} for {named(labels or self.labels)}",
                expected=f"labels such as {named(self.labels_in(session))}",
            )
        rest = self.rest[session]
        series = read_rows(
            rest.title,
            lambda label: rest.read(label).cut(rest.frames),
            wanted,
            lambda person: _series_faults(self.regions, person.values),
            "series that vary, of finite values",
        )
        keep = [person.keep for person in series if person.keep is not None]
        return PeopleSeries(
            people=wanted,
            regions=self.regions,
            series=np.stack([standardised(person.values) for person in series]),
            tr_seconds=rest.tr_seconds,
            keep=np.stack(keep) if keep else None,
            dof=np.array([person.dof for person in series]) if keep else None,
            families=self.families.by_label,
        )

    def _note_connectomes(
        self, people: PeopleSeries, weights: Sequence[Float64]
    ) -> None:
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
            number = counted(labels, "participant")
            say(f"structural connectomes of {number} ({named(labels)}): {note}")

    @cached_property
    def _noted(self) -> set[tuple[str, str]]:
        return set()


def _series_faults(regions: tuple[str, ...], values: Floats) -> list[str]:
    """Return the faults of a person's series (regions, frames)."""
    finite = np.isfinite(values).all(axis=1)
    # Beside a huge value, others do not differ in single precision.
    with np.errstate(all="ignore"):
        constant = finite & _is_half_constant(standardised(values))
        was_constant = _is_half_constant(values)
    faults = [
        f"{regions[n]} has NaN or infinite values" for n in np.flatnonzero(~finite)
    ]
    faults += [
        f"{regions[n]} is constant in half of the session or more"
        + ("" if was_constant[n] else f" beside {np.abs(values[n]).max():.3g}")
        for n in np.flatnonzero(constant)
    ]
    return faults


def _is_half_constant(values: Floats) -> Mask:
    """Return whether series (regions, frames) do not vary in a half, which needs covariances."""
    half = values.shape[1] // 2
    is_constant = np.zeros(len(values), bool)
    for part in (values[:, :half], values[:, half:]):
        is_constant |= ~(np.ptp(part, axis=1) > 0)
    return is_constant


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
        title = session.title
        if session.frames < LEAST_FRAMES:
            raise DatasetError(
                f"{title} has {session.frames} frames",
                expected=f"{LEAST_FRAMES} or more",
            )
        if session.tr_seconds != first.tr_seconds:
            raise DatasetError(
                f"{title} has {session.tr_seconds:g} seconds between frames, and "
                f"{first.title} has {first.tr_seconds:g}",
                expected="the same, as a step of the model is one frame",
                remedy="choose sessions with --session-label",
            )


def _whole_people(
    source: NetworkSource,
    rest: Sequence[SessionRest],
    participant_labels: Sequence[str],
    *,
    connected: bool,
) -> tuple[tuple[str, ...], list[str]]:
    """Return the requested participants with complete data, and notes on the others."""
    with_series = frozenset[str]().union(*(session.labels for session in rest))
    everybody = frozenset(source.labels)
    lacking = {"no series": everybody - with_series}
    if connected:
        lacking["no structural connectome"] = everybody - source.connected
    labels, _, notes = participants_without_lack(
        participant_labels, source.labels, lacking
    )
    if not labels:
        needed = "both series and a structural connectome" if connected else "series"
        raise DatasetError(
            f"nobody has {needed}",
            expected="the same people's labels in the files of both",
        )
    return labels, notes
