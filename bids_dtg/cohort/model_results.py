"""The folder of one analysis' results: what it may replace, and what it says of how it was made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bids_dtg.cohort.result_folder import DEFAULT_NAME as DEFAULT_NAME
from bids_dtg.cohort.result_folder import data_set_name as data_set_name
from bids_dtg.contrasts.bundle.bundle import Bundle
from bids_dtg.errors import SettingsError
from bids_dtg.files.atomic import remove_stale_in, remove_stale_temporaries
from bids_dtg.files.derivatives import (
    DatasetWords,
    DerivativeDataset,
    SourceDataset,
    prepare_output_folder,
)
from bids_dtg.files.locks import Locks
from bids_dtg.files.provenance import running_container
from bids_dtg.files.text import read_json, write_json, write_text, write_tsv
from bids_dtg.notices import say
from bids_dtg.participants.call import with_whole_paths
from bids_dtg.settings import OPTIONS, Settings, plain
from bids_dtg.settings.toml import to_toml
from bids_dtg.version import __version__

# Its options for people, and for comparing them with others.
_CONFIGURATION_FILE, _OPTIONS_FILE = "configuration.toml", "configuration_sha256.json"
# Of what is made with a model: with which one.
_MODEL_FILE = "desc-evaluated_model.json"
# Groups of options that a model depends on, and options in them that it does not.
_SHAPING = ("input", "selection", "model", "cleaning", "modelling", "dynamics", "twin")
_FREE = {
    *("output_dir", "model_name", "device", "gpus", "bids_database_dir", "templateflow_download"),
    *("workflow", "simulations", "region_maps"),
}


@dataclass(frozen=True)
class UsedModel:
    """The model that results are made with."""

    name: str
    version: str
    kind: str
    identity: str  # SHA-256 of its card


@dataclass(frozen=True, eq=False)
class ResultFolder:
    """The folder of one analysis' results, below the output's folder `group`."""

    settings: Settings  # of the call
    output: DerivativeDataset
    makes: str  # what it holds: model, evaluation, prediction, …
    name: str  # of the model that is made, or of the results
    used: UsedModel | None = None  # None: a model is made
    repeatable: bool = True  # whether the call may be given again once its model is made

    @classmethod
    def of_call(
        cls, settings: Settings, output: Path, makes: str, bundle: Bundle[Any] | None
    ) -> ResultFolder:
        """Return the folder of what a call makes, with a model or, without one, as a model.

        Parameters
        ----------
        settings
            Options of the call.
        output
            The output's folder.
        makes
            What comes of it.
        bundle
            The model; None: one is made.
        """
        given, folder = settings.modelling.model_name, DerivativeDataset(output)
        if bundle is None:
            return cls(settings, folder, makes=makes, name=given or DEFAULT_NAME)
        card = bundle.card
        used = UsedModel(card.name, card.version, card.kind, bundle.identity)
        return cls(settings, folder, makes=makes, name=given or card.name, used=used)

    @property
    def path(self) -> Path:
        """The folder; it need not be there."""
        return self.output.path("group") / f"{self.makes}-{self.name}"

    @property
    def bundle(self) -> Path:
        """Where a model is that is made."""
        return self.path / "bundle"

    def refuse_other_results(self) -> None:
        """Refuse to write over a model of other options, or over results of another model.

        Raises
        ------
        SettingsError
            Naming the options that differ, or that model.
        """
        if self.used is None:
            self._refuse_other_model()
        else:
            self._refuse_results_of_another(self.used)

    @contextmanager
    def begun(self) -> Iterator[Locks]:
        """Begin: from here on the analysis writes, and no other one writes to its folder.

        Raises
        ------
        SettingsError
            Another call works there, or it has just made a model.
        """
        prepare_output_folder(self.output.root)
        with self.output.locks(say) as locks:
            locks.require(self.path.name, what=str(self.path), remedy="choose another --model-name")
            # While this call was checking, another one may have ended.
            self.refuse_other_results()
            for folder in (self.output.root, self.path.parent):
                remove_stale_in(folder)
            remove_stale_temporaries(self.path)
            yield locks

    def describe(
        self, source: SourceDataset, words: DatasetWords, hide: Callable[[str], str]
    ) -> None:
        """Write what describes the output, whose results these are, and the options of the call.

        Parameters
        ----------
        source
            The data set that people are of.
        words
            What the output says of itself.
        hide
            Puts names in place of folders of this machine: models are passed on.
        """
        container = running_container()
        for note in self.output.describe(source, words, version=__version__, container=container):
            say(note)
        if self.used is not None:
            write_json(self.path / _MODEL_FILE, _model_facts(self.used))
        text = to_toml(with_whole_paths(self.settings), hide)
        write_text(self.path / _CONFIGURATION_FILE, text)
        write_json(self.path / _OPTIONS_FILE, _shaping_options(self.settings))

    def write_table(
        self,
        name: str,
        rows: Sequence[Mapping[str, Any]],
        meanings: Callable[[Sequence[str]], Mapping[str, Any]] | None = None,
    ) -> None:
        """Write a table whose columns are all keys of its rows; nothing where there is no row.

        `meanings` gives what columns mean, for a JSON file of the same name.
        """
        if not rows:
            return
        columns = list(dict.fromkeys(key for row in rows for key in row))
        path = self.path / f"{name}.tsv"
        write_tsv(path, columns, [[row.get(column) for column in columns] for row in rows])
        if meanings is not None:
            write_json(path.with_suffix(".json"), meanings(columns))

    def _refuse_other_model(self) -> None:
        """Refuse where a model lies that other options made, or any if not `repeatable`.

        The same options make the same model, so that a command can be given again.
        """
        if not self.bundle.exists():
            return
        differing = _differing(self.settings, self.path / _OPTIONS_FILE)
        if differing or not self.repeatable:
            how = f", made with other options ({', '.join(differing)})" if differing else ""
            raise SettingsError(
                f"{self.bundle} holds a model already{how}",
                remedy=f"choose another --model-name, or remove {self.bundle} to make it anew",
            )

    def _refuse_results_of_another(self, used: UsedModel) -> None:
        # A call that was killed as it began has left nothing, or temporaries.
        if not self.path.exists() or all(p.name.startswith(".dtg-") for p in self.path.iterdir()):
            return
        facts = read_json(self.path / _MODEL_FILE)
        if facts.get("ModelSHA256") == used.identity:
            return
        other = f"{facts.get('ModelName', 'an unknown model')} {facts.get('ModelVersion', '')}"
        raise SettingsError(
            f"{self.path} holds the {self.makes} of another model ({other.strip()})",
            remedy=f"choose another --model-name, or remove {self.path}",
        )


def _model_facts(used: UsedModel) -> dict[str, str]:
    return {
        "ModelName": used.name,
        "ModelVersion": used.version,
        "ModelKind": used.kind,
        "ModelSHA256": used.identity,
    }


def _differing(settings: Settings, path: Path) -> list[str]:
    """Return the options that are not those in a file; all where it cannot be read."""
    earlier = read_json(path)
    if not earlier:
        return ["unknown"]
    now = _shaping_options(settings)
    return ["--" + name.replace("_", "-") for name in now if earlier.get(name) != now[name]]


def _shaping_options(settings: Settings) -> dict[str, str]:
    """Return a hash of each option that a model depends on: some are paths of this machine."""
    values, workflow = with_whole_paths(settings).options, settings.inputs.workflow
    if workflow == "contrasts":
        # In numbers, as they may be given too.
        values |= {
            "epochs": settings.modelling.network_epochs,
            "batch_size": settings.modelling.network_batch,
            "learning_rate": settings.modelling.network_rate,
        }
    return {
        name: hashlib.sha256(json.dumps(plain(values[name])).encode()).hexdigest()
        for name, option in OPTIONS.items()
        if option.group in _SHAPING
        and name not in _FREE
        and workflow in (option.field.metadata["workflows"] or (workflow,))
    }
