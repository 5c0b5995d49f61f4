"""What the analyses of network models share: people, the model, the folder of results."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bids_dtg.cohort.result_folder import ResultFolder, data_set_name
from bids_dtg.dynamics.analyses.columns import meanings
from bids_dtg.dynamics.bundle.bundle import SAME_TR, NetworkBundle, load_network_bundle
from bids_dtg.dynamics.panels.presentation import PRESENTATION
from bids_dtg.dynamics.participant.people import NetworkPeople, session_words
from bids_dtg.errors import DatasetError
from bids_dtg.files.derivatives import (
    SourceDataset,
    check_output_location,
    refuse_model_folder,
)
from bids_dtg.files.path_names import PathNames, machine_folders
from bids_dtg.inputs.dataset import name_folder
from bids_dtg.notices import counted, named, say, show
from bids_dtg.settings import Settings


@dataclass(frozen=True, eq=False)
class NetworkAnalysis:
    """One call of an analysis of network models."""

    settings: Settings  # its options
    people: NetworkPeople  # whom the files hold
    dataset: SourceDataset  # the folder that names the data set
    results: ResultFolder
    bundle: NetworkBundle | None  # the model; None: one is made

    @classmethod
    def prepare(cls, settings: Settings, makes: str) -> NetworkAnalysis:
        """Check everything that can be checked before anything is written.

        Parameters
        ----------
        settings
            Options of the call.
        makes
            What comes of it: a model, or an evaluation, a simulation or fixed points of one.

        Raises
        ------
        SettingsError, DatasetError, BundleError
            Wrong options, files or model.
        """
        dataset = name_folder(settings.inputs.bids_dir)
        output = check_output_location(settings.inputs.output_dir, dataset)
        bundle = None if makes == "model" else load_network_bundle(settings.inputs.model)
        if bundle is not None:
            refuse_model_folder(output, bundle.path)
        known = ("", None) if bundle is None else (bundle.part.atlas, bundle.part.structural)
        people = NetworkPeople.prepare(settings, known[1], known[0])
        source = people.source
        if bundle is not None and source.atlas:
            bundle.require_regions(
                source.regions, atlas=source.atlas, atlas_digest=source.atlas_digest
            )
        results = ResultFolder.of_call(settings, output, makes, bundle)
        results.refuse_other_results()
        for line in people.notes:
            say(line)
        return cls(settings, people, dataset, results, bundle)

    @property
    def data_set(self) -> str:
        """The name in the folder's description, or the folder's; ``--data-set`` is before both."""
        return data_set_name(self.settings, self.dataset)

    def write_table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write a table, and what its columns mean."""
        self.results.write_table(name, rows, meanings)

    def describe(self) -> None:
        """Write what describes the output, and the options of the call."""
        self.results.describe(self.dataset, PRESENTATION.dataset_words(), self._path_names.hide)

    @property
    def _path_names(self) -> PathNames:
        given = {
            "bids": self.dataset.root,
            "output": self.results.output.root,
            "model": None if self.bundle is None else self.bundle.path,
            "split-file": _folder_of(self.settings.modelling.split_file),
            "structural": self.settings.dynamics.structural_connectivity,
            "region-maps": _folder_of(self.settings.dynamics.region_maps),
        }
        files = self.people.source.paths if self.settings.modelling.input_arrays else ()
        arrays = {f"arrays{n}": path.parent for n, path in enumerate(files, 1)}
        return PathNames.of({**given, **arrays}).plus(machine_folders())

    @property
    def session(self) -> str:
        """The session that the model was fitted to; the first one where that is not at hand."""
        there = self.people.sessions
        own = self.bundle.part.session if self.bundle else there[0]
        return own if own in there else there[0]

    def known(self) -> tuple[str, ...]:
        """Return the labels of people whom the model was fitted to and who have rest of `session`.

        Raises
        ------
        DatasetError
            Nobody is, or the files have other regions or another time between frames than the
            model.
        """
        self._require_fitting()
        bundle, people = self.bundle, self.people
        assert bundle is not None
        rows = bundle.rows(people.labels, self.data_set)
        if not rows:
            raise DatasetError(
                f"{bundle.card.name} was fitted to nobody of {self.data_set} "
                f"({named(people.labels)})",
                expected="people whom it was fitted to: its parameters are theirs",
                remedy="name the data set as when it was trained, with --data-set, or give the "
                "files that it was trained on",
            )
        if strangers := [label for label in people.labels if label not in rows]:
            say(
                f"left out: {counted(len(strangers), 'participant')} whom {bundle.card.name} was "
                f"not fitted to ({named(strangers)})"
            )
        return self._with_rest(rows, f"nobody whom {bundle.card.name} was fitted to")

    def _with_rest(self, labels: Iterable[str], nobody: str) -> tuple[str, ...]:
        """Return who has rest of `session`, and report who has not; `nobody` begins the error."""
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

    def inferable(self) -> tuple[str, ...]:
        """Return whom the model can infer: anybody, or of tables of people, whom it has in them.

        Raises
        ------
        DatasetError
            As for `known`.
        """
        bundle = self.bundle
        assert bundle is not None
        if not bundle.part.recipe.amortised:
            return self.known()
        self._require_fitting()
        return self._with_rest(self.people.labels, "nobody")

    def unseen(self) -> tuple[str, ...]:
        """Return who was not fitted to and is judged by all the same; nobody where tables are.

        Where there are such people, those whom the model was fitted to are left out: figures of
        both are never of one table.

        Raises
        ------
        DatasetError
            As for `known`.
        """
        bundle = self.bundle
        assert bundle is not None
        rows = bundle.rows(self.people.labels, self.data_set)
        there = self.people.of_session(self.session)
        labels = tuple(label for label in there if label not in rows)
        if not bundle.part.recipe.amortised or not labels:
            return ()
        self._require_fitting()
        say(f"judged, and never seen by {bundle.card.name}: {named(labels)}")
        if alike := [label for label in bundle.rows(labels) if label not in rows]:
            say(
                f"{bundle.card.name} was fitted to people of {bundle.part.data_set} who are called "
                f"the same ({named(alike)}): if they are these, name it with --data-set"
            )
        if rows:
            people = counted(len(rows), "participant")
            say(f"left out: {people} whom {bundle.card.name} was fitted to ({named(list(rows))})")
        return labels

    def _require_fitting(self) -> None:
        """Refuse other regions or another time between frames than the model's."""
        bundle, people = self.bundle, self.people
        assert bundle is not None
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
                f"not at hand: {session_words(self.session)} is in its place"
            )

    def print_plan(self, what: str, labels: tuple[str, ...]) -> int:
        """Print what the call would do, once all is checked that can be; return 0, as no failure.

        Parameters
        ----------
        what
            The call would write, in words.
        labels
            Whom it would work on.
        """
        people = self.people
        files = ", ".join(str(path) for path in people.source.paths)
        show(
            f"{files}: {counted(len(people.regions), 'region')}, "
            f"{', '.join(session_words(session) for session in people.sessions)}"
        )
        show(f"to work on: {counted(len(labels), 'participant')} ({named(labels)})")
        show(f"would write {what} to {self.results.path}")
        show("no output was written")
        return 0


def _folder_of(path: Path | None) -> Path | None:
    return None if path is None else path.parent
