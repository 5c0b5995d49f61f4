"""What the analyses share: the model, and the people and their sessions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from bids_dtg.bundles.store import kind_of
from bids_dtg.cohort.model_analysis import ModelAnalysis
from bids_dtg.cohort.recognised_participants import say_left_out
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.dynamics.analyses.dispatch import kind_of_run
from bids_dtg.dynamics.bundle.kind import kind_named
from bids_dtg.dynamics.bundle.linear import LinearBundle
from bids_dtg.dynamics.bundle.network import SAME_TR, NetworkBundle
from bids_dtg.dynamics.networks import PeopleSeries
from bids_dtg.dynamics.options import DynamicsOptions
from bids_dtg.dynamics.panels.words import dataset_words
from bids_dtg.dynamics.participant.network_participants import NetworkParticipants
from bids_dtg.dynamics.participant.sources import session_words
from bids_dtg.errors import DatasetError
from bids_dtg.files.derivatives import DatasetWords
from bids_dtg.notices import counted, named, say
from bids_dtg.report.flags import Flag
from bids_dtg.report.page import Page, Section
from bids_dtg.settings import Settings

Some = TypeVar("Some", bound=PeopleSeries)


class DynamicsAnalysis(ModelAnalysis[NetworkParticipants, Any]):
    """One run of an analysis of a linear core or a network; a training reads no model."""

    page_name: ClassVar[str] = "network_report.html"

    @classmethod
    def load(cls, name: str) -> Any:
        """Return the model of ``--model``; refuse one of another workflow."""
        return kind_named(kind_of(name)).bundle().load(name)

    @classmethod
    def gather(
        cls, settings: Settings, bundle: LinearBundle | NetworkBundle | None
    ) -> NetworkParticipants:
        """Find people with series, and refuse series of other regions or of another atlas."""
        connected = kind_of_run(settings).is_connected
        atlas = "" if bundle is None else bundle.part.atlas
        people = NetworkParticipants.prepare(settings, atlas, connected=connected)
        if bundle is not None:
            bundle.require_regions(
                people.regions,
                atlas=people.source.atlas,
                atlas_digest=people.source.atlas_digest,
            )
        return people

    def words(self) -> DatasetWords:
        """Return the description of the output, by the kind of model."""
        return dataset_words(kind_of_run(self.settings).name, self.notice)

    @classmethod
    def folders(cls, settings: Settings) -> Mapping[str, Path | None]:
        """Return folders on this machine, by the names that replace them in outputs."""
        return {
            "split-file": _folder_of(settings.modelling.split_file),
            "structural": settings.modelling.structural_connectivity,
            "region-maps": _folder_of(settings.part(DynamicsOptions).region_maps),
        }

    def plan(self, labels: Sequence[str]) -> Iterator[str]:
        """Yield lines on the input files and their sessions, for a dry run."""
        people = self.people
        files = ", ".join(str(path) for path in people.source.paths)
        sessions = ", ".join(session_words(session) for session in people.sessions)
        yield f"{files}: {counted(people.regions, 'region')}, {sessions}"

    @property
    def notice(self) -> str:
        """A warning about the model, or about the people to train on; may be empty."""
        if self.bundle is not None:
            return str(self.bundle.card.notice)
        return self.dataset.notice

    @property
    def card_facts(self) -> dict[str, Any]:
        """Facts for the card of a newly trained model, besides those of its fit."""
        source = self.people.source
        return {
            "name": self.name,
            "session": self.people.sessions[0],
            "data_set": self.data_set,
            "cleaning": source.cleaning,
            "atlas": source.atlas,
            "atlas_digest": source.atlas_digest,
            "notice": self.notice,
        }

    def write_page(
        self,
        tables: Mapping[str, ResultTable],
        lead: str,
        sections: Iterable[Section],
        warnings: Iterable[str] = (),
    ) -> None:
        """Write tables and the page, which begins with the lead, the notice and the warnings.

        An empty warning is none.
        """
        warnings = dict.fromkeys(filter(None, (self.notice, *warnings)))
        page = Page(
            title=self.results.title,
            lead=lead,
            flags=tuple(Flag("warning", text) for text in warnings),
            sections=tuple(sections),
        )
        self.write(tables, page)

    @property
    def session(self) -> str:
        """The model's training session; if the data lack it, their first session."""
        sessions = self.people.sessions
        trained_on = self.bundle.part.session if self.bundle else sessions[0]
        return trained_on if trained_on in sessions else sessions[0]

    def sessions(
        self, labels: Sequence[str], reader: Callable[[str, Sequence[str]], Some]
    ) -> dict[str, Some]:
        """Return the people who have each session, by session, the model's session first."""
        further = [name for name in self.people.sessions if name != self.session]
        return {
            name or "rest": reader(name, labels)
            for name in (self.session, *further)
            if self.people.labels_in(name, labels)
        }

    def _with_rest(self, labels: Sequence[str], nobody: str) -> tuple[str, ...]:
        """Return people with data in `session`, report the others; `nobody` begins the error."""
        with_rest = self.people.labels_in(self.session, labels)
        if without := [label for label in labels if label not in with_rest]:
            say(
                f"left out: {counted(without, 'participant')} without data in "
                f"{session_words(self.session)} ({named(without)})"
            )
        if not with_rest:
            raise DatasetError(
                f"{nobody} has data in {session_words(self.session)}",
                remedy="choose another session with --session-label",
            )
        return with_rest

    def new_people(self) -> tuple[str, ...]:
        """Return the participants to evaluate a core on: those whom it has not `seen`.

        Raises
        ------
        DatasetError
            The files have another time between frames than the model.
        """
        bundle = self.model
        session_labels = self.people.labels_in(self.session)
        labels = tuple(label for label in session_labels if label not in self.seen)
        if not labels:
            return ()
        self._require_fitting()
        self.say_if_by_label()
        say(
            f"evaluated on people outside the training set of {bundle.name}: {named(labels)}"
        )
        if alike := bundle.in_training_set(labels):
            say(
                f"{bundle.name} was trained on people of {bundle.part.data_set} with the same "
                f"labels ({named(alike)}). If they are the same, give your data set that name"
            )
        for text in () if bundle.people is None else bundle.people.unlisted:
            say(
                f"warning: {bundle.name} was also trained on people whose IDs are unknown "
                f"({text}). If they are among these participants, they are not left out"
            )
        say_left_out(self.seen)
        return labels

    def inferable(self) -> tuple[str, ...]:
        """Return the participants that a linear core applies to: all with data in `session`.

        Raises
        ------
        DatasetError
            The files have another time between frames than the model.
        """
        self._require_fitting()
        return self._with_rest(self.people.labels, "nobody")

    def _require_fitting(self) -> None:
        """Refuse another time between frames than the model's; report another session."""
        bundle, people = self.model, self.people
        if not math.isclose(people.tr_seconds, bundle.part.tr_seconds, rel_tol=SAME_TR):
            raise DatasetError(
                f"the files have {people.tr_seconds:g} seconds between frames and the model "
                f"{bundle.name} has {bundle.part.tr_seconds:g}",
                expected="the same, as a step of the model is one frame",
            )
        if self.session != bundle.part.session:
            say(
                f"{bundle.name} was trained on {session_words(bundle.part.session)}, which is "
                f"missing here; {session_words(self.session)} is used instead"
            )

    @cached_property
    def row_labels(self) -> tuple[str, ...]:
        """The label of each row of the network's tables."""
        return self.model.row_labels(self.people.labels, self.data_set, self.sketches)

    def training_people(self) -> tuple[str, ...]:
        """Return the labels of the network's training participants with data in `session`.

        Raises
        ------
        DatasetError
            There are no such participants, or the files have another time between frames than the
            model.
        """
        self._require_fitting()
        bundle, people = self.model, self.people
        self.say_if_by_label()
        training = [label for label in people.labels if label in self.row_labels]
        if not training:
            raise DatasetError(
                f"{bundle.name} was not fitted to anybody in {self.data_set} "
                f"({named(people.labels)})",
                expected="its training participants, as it has parameters for nobody else",
                remedy="give the data set the Name that it had in training "
                "(dataset_description.json), or give the files that were used for training",
            )
        if outsiders := [label for label in people.labels if label not in training]:
            say(
                f"left out: {counted(outsiders, 'participant')} outside the training set of "
                f"{bundle.name} ({named(outsiders)})"
            )
        by_label = bundle.in_training_set(people.labels, self.data_set)
        if renamed := [label for label in training if label not in by_label]:
            say(
                f"{counted(renamed, 'participant')} with other labels ({named(renamed)}) "
                f"recognised in the training set of {bundle.name} by their series"
            )
        return self._with_rest(training, f"nobody in the training set of {bundle.name}")


def _folder_of(path: Path | None) -> Path | None:
    return None if path is None else path.parent
