"""What results in a folder rest on: options that made a model, or a model that was used.

Results of another basis are never written over. The data that results are of belong here, too.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from bids_dtg.bundles.card import ModelCard
from bids_dtg.errors import SettingsError
from bids_dtg.files.text import read_json, write_json
from bids_dtg.participants.call import with_whole_paths
from bids_dtg.settings import OPTIONS, Settings, plain
from bids_dtg.settings.option import MODELS
from bids_dtg.workflows import find_workflow

BUNDLE = "bundle"  # where a model is that is made


class Basis(Protocol):
    """What results rest on."""

    file: ClassVar[str]  # that says so, in the folder of the results

    def refuse_others(self, folder: Path) -> None:
        """Refuse to write over results of another basis."""

    def write(self, folder: Path) -> None:
        """Write what says so."""


@dataclass(frozen=True, eq=False)
class OwnModel:
    """A model that the call makes: it rests on the call's options."""

    file: ClassVar[str] = "configuration_sha256.json"

    settings: Settings  # of the call
    repeatable: bool = True  # whether the call may be given again once its model is made

    def refuse_others(self, folder: Path) -> None:
        """Refuse where a model lies that other options made, or any if not `repeatable`.

        The same options make the same model, so that a command can be given again.

        Raises
        ------
        SettingsError
            Naming the options that differ.
        """
        bundle = folder / BUNDLE
        if not bundle.exists():
            return
        differing = self._differing(read_json(folder / self.file))
        if differing or not self.repeatable:
            how = f", made with other options ({', '.join(differing)})" if differing else ""
            raise SettingsError(
                f"{bundle} holds a model already{how}",
                remedy=f"choose another --model-name, or remove {bundle} to make it anew",
            )

    def write(self, folder: Path) -> None:
        """Write hashes of the options that the model rests on."""
        write_json(folder / self.file, _shaping_options(self.settings))

    def _differing(self, earlier: dict[str, Any]) -> list[str]:
        if not earlier:
            return ["unknown"]
        now = _shaping_options(self.settings)
        return ["--" + name.replace("_", "-") for name in now if earlier.get(name) != now[name]]


@dataclass(frozen=True)
class UsedModel:
    """A model that the call reads: results are of this one alone."""

    file: ClassVar[str] = "desc-evaluated_model.json"

    name: str
    version: str
    kind: str
    identity: str  # SHA-256 of its card
    makes: str  # what comes of it: evaluation, prediction, …

    @classmethod
    def of(cls, card: ModelCard[Any], identity: str, makes: str) -> UsedModel:
        """Return the model of a bundle's card, whose SHA-256 is `identity`."""
        return cls(card.name, card.version, card.kind, identity, makes)

    def refuse_others(self, folder: Path) -> None:
        """Refuse where results of another model lie.

        Raises
        ------
        SettingsError
            Naming that model.
        """
        # A call that was killed as it began has left nothing, or temporaries.
        if not folder.exists() or all(p.name.startswith(".dtg-") for p in folder.iterdir()):
            return
        facts = read_json(folder / self.file)
        if facts.get("ModelSHA256") == self.identity:
            return
        other = f"{facts.get('ModelName', 'an unknown model')} {facts.get('ModelVersion', '')}"
        raise SettingsError(
            f"{folder} holds the {self.makes} of another model ({other.strip()})",
            remedy=f"choose another --model-name, or remove {folder}",
        )

    def write(self, folder: Path) -> None:
        """Write which model it is."""
        facts = {
            "ModelName": self.name,
            "ModelVersion": self.version,
            "ModelKind": self.kind,
            "ModelSHA256": self.identity,
        }
        write_json(folder / self.file, facts)


def _shaping_options(settings: Settings) -> dict[str, str]:
    """Return a hash of each option that a model depends on: some are paths of this machine."""
    values, row = with_whole_paths(settings).options, find_workflow(settings.inputs.workflow)
    # What stands for an option may be given in numbers, too.
    unset = {name: value for name, value in row.defaults.items() if values[name] is None}
    values |= unset
    return {
        name: hashlib.sha256(json.dumps(plain(values[name])).encode()).hexdigest()
        for name, option in OPTIONS.items()
        if MODELS in option.field.metadata["shapes"]
        and row.name in (option.field.metadata["workflows"] or (row.name,))
    }
