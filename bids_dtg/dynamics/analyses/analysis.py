"""Common to analyses of models of regions' series: the model, and people of one session."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from bids_dtg.bundles.bundle import kind_of
from bids_dtg.cohort.known_people import RELATED, TRAINED, labels_alone, say_left_out
from bids_dtg.cohort.model_analysis import ModelAnalysis
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.dynamics.bundle.kind import KIND_OF, LINEAR, LINEAR_DYNAMICS, NETWORK_MODEL, SIMULATED
from bids_dtg.dynamics.bundle.linear import LinearBundle, load_linear_bundle
from bids_dtg.dynamics.bundle.network import SAME_TR, NetworkBundle, load_network_bundle
from bids_dtg.dynamics.networks import PeopleSeries
from bids_dtg.dynamics.panels import PRESENTATION
from bids_dtg.dynamics.panels.words import dataset_words
from bids_dtg.dynamics.participant.people import NetworkPeople, session_words
from bids_dtg.errors import DatasetError
from bids_dtg.files.derivatives import DatasetWords
from bids_dtg.notices import counted, named, say
from bids_dtg.report.flags import Flag
from bids_dtg.report.page import Page, Section
from bids_dtg.settings import Settings

Bundle = LinearBundle | NetworkBundle
Some = TypeVar("Some", bound=PeopleSeries)


class DynamicsAnalysis(ModelAnalysis[NetworkPeople, Any]):
    """One call of an analysis of a linear core or a network; one that makes models reads none."""

    page_name: ClassVar[str] = PRESENTATION.analysis_page

    @classmethod
    def load(cls, name: str) -> Bundle:
        """Return the model that ``--model`` names; one of another workflow is refused."""
        if kind_of(name) == LINEAR_DYNAMICS.name:
            return load_linear_bundle(name)
        return load_network_bundle(name)

    @classmethod
    def gather(
        cls, settings: Settings, bundle: LinearBundle | NetworkBundle | None
    ) -> NetworkPeople:
        """Find people with series, and refuse series of another atlas."""
        connected = _kind(settings, bundle) == NETWORK_MODEL.name
        atlas = "" if bundle is None else bundle.part.atlas
        people = NetworkPeople.prepare(settings, atlas, connected=connected)
        if bundle is not None and people.source.atlas:
            bundle.require_regions(
                people.regions, atlas=people.source.atlas, atlas_digest=people.source.atlas_digest
            )
        return people

    def words(self) -> DatasetWords:
        """Return the description of the output, by the kind of model."""
        return dataset_words(_kind(self.settings, self.bundle), self.notice)

    @classmethod
    def folders(cls, settings: Settings) -> Mapping[str, Path | None]:
        """Return names that replace folders of this machine."""
        return {
            "split-file": _folder_of(settings.modelling.split_file),
            "structural": settings.modelling.structural_connectivity,
            "region-maps": _folder_of(settings.modelling.region_maps),
        }

    def plan(self, labels: Sequence[str]) -> Iterator[str]:
        """Yield lines on the content of the files, for the given people."""
        people = self.people
        files = ", ".join(str(path) for path in people.source.paths)
        sessions = ", ".join(session_words(session) for session in people.sessions)
        yield f"{files}: {counted(len(people.regions), 'region')}, {sessions}"

    @property
    def model(self) -> Bundle:
        """The model of ``--model``; ValueError: the call reads none."""
        if self.bundle is None:
            raise ValueError("this call reads no model")
        own: Bundle = self.bundle
        return own

    @property
    def core(self) -> LinearBundle:
        """The model of ``--model``, which is a linear core; ValueError: it is none."""
        if not isinstance(self.model, LinearBundle):
            raise ValueError(f"{self.model.card.name} is no linear core")
        return self.model

    @property
    def network(self) -> NetworkBundle:
        """The model of ``--model``, which is a network; ValueError: it is none."""
        if not isinstance(self.model, NetworkBundle):
            raise ValueError(f"{self.model.card.name} is no network")
        return self.model

    @property
    def notice(self) -> str:
        """What is to be known of the model, or of the people that it is made of; may be empty."""
        if self.bundle is not None:
            return str(self.bundle.card.notice)
        return SIMULATED if self.dataset.description.get("Simulated") else ""

    @property
    def card_facts(self) -> dict[str, Any]:
        """Facts for the card of the model that the call makes, beside those of its fit."""
        source = self.people.source
        return {
            "name": self.name,
            "session": self.people.sessions[0],
            "data_set": self.data_set,
            "cleaning": source.cleaning,
            "atlas": source.atlas,
            "atlas_digest": source.atlas_digest,
            "for_science": not self.notice,
            "notice": self.notice,
        }

    def write_page(
        self,
        tables: Mapping[str, ResultTable],
        lead: str,
        sections: Iterable[Section],
        flags: Iterable[Flag] = (),
    ) -> None:
        """Write tables, and the page, which begins with the notice, the flags and the lead."""
        notice = [Flag("warning", self.notice)] if self.notice else []
        page = Page(
            title=self.results.title,
            lead=lead,
            flags=tuple(dict.fromkeys((*notice, *flags))),
            sections=tuple(sections),
        )
        self.write(tables, page)

    @property
    def session(self) -> str:
        """The session of the model's training; the first session if there is no rest of it."""
        there = self.people.sessions
        own = self.bundle.part.session if self.bundle else there[0]
        return own if own in there else there[0]

    def sessions(
        self, labels: Sequence[str], read: Callable[[str, Sequence[str]], Some]
    ) -> dict[str, Some]:
        """Return people by session, the model's session first; who lacks a session is not in it."""
        people = self.people
        names = (self.session, *(name for name in people.sessions if name != self.session))
        return {
            name or "rest": read(name, labels)
            for name in names
            if not set(labels).isdisjoint(people.of_session(name))
        }

    @cached_property
    def _sketches(self) -> Mapping[str, tuple[str, ...]]:
        """Sketches of people's series; of a model that knows labels alone, none are made."""
        if self.bundle is None or self.bundle.people is None:
            return {}
        return self.people.sketches(self.people.labels)

    def _with_rest(self, labels: Iterable[str], nobody: str) -> tuple[str, ...]:
        """Return people with rest of `session`, report the others; `nobody` begins the error."""
        there, wanted = self.people.of_session(self.session), tuple(labels)
        if without := [label for label in wanted if label not in there]:
            say(
                f"left out: {counted(len(without), 'participant')} without rest of "
                f"{session_words(self.session)} ({named(without)})"
            )
        if len(without) == len(wanted):
            raise DatasetError(
                f"{nobody} has rest of {session_words(self.session)}",
                remedy="choose another session with --session-label",
            )
        return tuple(label for label in wanted if label in there)

    def others(self) -> tuple[tuple[str, ...], Mapping[str, str]]:
        """Participants with rest of `session` outside the training set, and why others are not.

        Training people and their relatives are left out; the reasons are those of the table.

        Raises
        ------
        DatasetError
            Files have other regions, or another time between frames, than the model.
        """
        bundle, people = self.core, self.people
        table = people.source.families.by_label
        why = dict.fromkeys(
            bundle.relatives(people.labels, self.data_set, table, people.families), RELATED
        )
        seen = bundle.in_training_set(people.labels, self.data_set, self._sketches)
        why |= dict.fromkeys(seen, TRAINED)
        labels = tuple(label for label in people.of_session(self.session) if label not in why)
        if not labels:
            return (), why
        self._require_fitting()
        self._say_if_by_label()
        say(f"evaluated, outside the training set of {bundle.card.name}: {named(labels)}")
        if alike := bundle.in_training_set(labels):
            say(
                f"{bundle.card.name} was fitted to people of {bundle.part.data_set} with the "
                f"same labels ({named(alike)}): if they are these, give the data set that name"
            )
        for text in () if bundle.people is None else bundle.people.unlisted:
            say(
                f"warning: {bundle.card.name} was made with people who are on no list ({text}): "
                "if they are among these participants, they are not left out"
            )
        say_left_out(why)
        return labels, why

    def inferable(self) -> tuple[str, ...]:
        """Participants that a linear core applies to: all with rest of `session`.

        Raises
        ------
        DatasetError
            The files have other regions or another time between frames than the model.
        """
        self._require_fitting()
        return self._with_rest(self.people.labels, "nobody")

    def _say_if_by_label(self) -> None:
        if not self.model.by_content:
            say(f"warning: {labels_alone(self.model.card.name)}")

    def _require_fitting(self) -> None:
        """Refuse other regions or another time between frames than the model's."""
        bundle, people = self.model, self.people
        if people.regions != bundle.regions:
            raise DatasetError(
                f"the files have {counted(len(people.regions), 'region')} "
                f"({named(people.regions)}) and the model {bundle.card.name} has "
                f"{counted(len(bundle.regions), 'region')} ({named(bundle.regions)})",
                expected="the same regions in the same order",
                remedy="give their names under the key places",
            )
        if not math.isclose(people.tr_seconds, bundle.part.tr_seconds, rel_tol=SAME_TR):
            raise DatasetError(
                f"the files have {people.tr_seconds:g} seconds between frames and the model "
                f"{bundle.card.name} has {bundle.part.tr_seconds:g}",
                expected="the same: a step of the model is a frame",
            )
        if self.session != bundle.part.session:
            say(
                f"{bundle.card.name} was fitted to {session_words(bundle.part.session)}, which is "
                f"missing: {session_words(self.session)} is used instead"
            )

    @cached_property
    def row_labels(self) -> tuple[str, ...]:
        """The label of each row of the network's tables."""
        return self.network.known(self.people.labels, self.data_set, self._sketches)

    def known(self) -> tuple[str, ...]:
        """Return the labels of the network's training participants with rest of `session`.

        Raises
        ------
        DatasetError
            There are none, or the files have other regions or another time between frames than the
            model.
        """
        self._require_fitting()
        bundle, people = self.network, self.people
        self._say_if_by_label()
        there = [label for label in people.labels if label in self.row_labels]
        if not there:
            raise DatasetError(
                f"{bundle.card.name} was fitted to nobody of {self.data_set} "
                f"({named(people.labels)})",
                expected="people of its training set: its parameters are theirs",
                remedy="name the data set as when it was trained (Name in its "
                "dataset_description.json), or give the files that it was trained on",
            )
        if outsiders := [label for label in people.labels if label not in there]:
            say(
                f"left out: {counted(len(outsiders), 'participant')} outside the training set of "
                f"{bundle.card.name} ({named(outsiders)})"
            )
        by_label = bundle.in_training_set(people.labels, self.data_set)
        if renamed := [label for label in there if label not in by_label]:
            say(
                f"{counted(len(renamed), 'participant')} of other labels ({named(renamed)}): "
                f"recognised in the training set of {bundle.card.name} by their series"
            )
        return self._with_rest(there, f"nobody in the training set of {bundle.card.name}")


def _folder_of(path: Path | None) -> Path | None:
    return None if path is None else path.parent


def _kind(settings: Settings, bundle: Bundle | None) -> str:
    """Return the kind of model that a call reads, or makes."""
    if bundle is not None:
        return bundle.card.kind
    return KIND_OF[settings.modelling.architecture or LINEAR].name
