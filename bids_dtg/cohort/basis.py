"""What results in a folder depend on: options that made a model, or a model that was used.

Results of another basis are never overwritten. The data behind results are part of the basis.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from bids_dtg.bundles.card import ModelCard
from bids_dtg.cohort.data_files import RECORD as DATA
from bids_dtg.cohort.data_files import DataFiles
from bids_dtg.errors import SettingsError
from bids_dtg.files.text import read_json, write_json
from bids_dtg.participants.call import with_whole_paths
from bids_dtg.settings import OPTIONS, Settings, plain
from bids_dtg.settings.option import MODELS
from bids_dtg.version import __version__
from bids_dtg.workflows import find_workflow

BUNDLE = "bundle"  # folder of a new model
CHECKPOINTS = "checkpoints"  # folder of a training's last epochs
_PROGRAM = "bids_dtg"  # its version, beside the options


class Basis(Protocol):
    """What results depend on."""

    def refuse_others(self, folder: Path) -> None:
        """Refuse to overwrite results of another basis."""

    def write(self, folder: Path) -> None:
        """Write the record."""

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files that say so."""


@dataclass(frozen=True, eq=False)
class OwnModel:
    """A model made by the call: it depends on the call's options."""

    file: ClassVar[str] = "configuration_sha256.json"

    settings: Settings  # of the call
    repeatable: bool = True  # whether the call may be given again once its model is made
    data: DataFiles = field(default_factory=lambda: DataFiles({}))  # that the model is made of

    def refuse_others(self, folder: Path) -> None:
        """Refuse if there is a model made by other options, or any model if not `repeatable`.

        The same options of the same version of the program make the same model, so that a command
        can be given again.

        Raises
        ------
        SettingsError
            Naming the options that differ, the data that have changed, or the version.
        """
        bundle = folder / BUNDLE
        if not bundle.exists():
            return
        earlier = read_json(folder / self.file)
        differing = self._differing(earlier)
        if differing or not self.repeatable:
            how = f", made with other options ({', '.join(differing)})" if differing else ""
            raise SettingsError(
                f"{bundle} holds a model already{how}",
                remedy=f"choose another --model-name, or remove {bundle} to make it anew",
            )
        # Another version would write other tables beside the model, and not be able to replace it.
        if earlier.get(_PROGRAM) != __version__:
            version = earlier.get(_PROGRAM, "of another version")
            raise SettingsError(
                f"{bundle} holds a model already, made by bids_dtg {version}",
                expected=f"one of bids_dtg {__version__}, or none",
                remedy=f"choose another --model-name, or remove {bundle} to make it anew",
            )
        if self.data.files and (changed := self.data.changed(folder)):
            raise SettingsError(
                f"{bundle} holds a model already, made of other data ({changed})",
                remedy=f"choose another --model-name, or remove {bundle} to make it anew",
            )

    def write(self, folder: Path) -> None:
        """Write the program's version and hashes of options and data that the model depends on."""
        shaping = {_PROGRAM: __version__, **_shaping_options(self.settings)}
        write_json(folder / self.file, shaping)
        self.data.write(folder)

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files that say what results rest on."""
        return (self.file, DATA)

    def _differing(self, earlier: dict[str, Any]) -> list[str]:
        if not earlier:
            return ["unknown"]
        now = _shaping_options(self.settings)
        return ["--" + name.replace("_", "-") for name in now if earlier.get(name) != now[name]]


@dataclass(frozen=True)
class UsedModel:
    """A model read by the call: results are of this model alone."""

    file: ClassVar[str] = "desc-evaluated_model.json"

    name: str
    version: str
    kind: str
    identity: str  # SHA-256 of its card
    makes: str  # what the call makes: evaluation, prediction, …

    @classmethod
    def of(cls, card: ModelCard[Any], identity: str, makes: str) -> UsedModel:
        """Return the model of a bundle's card, whose SHA-256 is `identity`."""
        return cls(card.name, card.version, card.kind, identity, makes)

    def refuse_others(self, folder: Path) -> None:
        """Refuse if there are results of another model.

        Raises
        ------
        SettingsError
            With that model's name.
        """
        # A call that was killed at its start has left nothing, or temporary files.
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
        """Write name and identity of the model."""
        facts = {
            "ModelName": self.name,
            "ModelVersion": self.version,
            "ModelKind": self.kind,
            "ModelSHA256": self.identity,
        }
        write_json(folder / self.file, facts)

    @property
    def files(self) -> tuple[str, ...]:
        """Name of the file that says which model it is."""
        return (self.file,)


def option_files(settings: Settings) -> tuple[Path, ...]:
    """Return the files that options name on which a model depends: arrays, splits, ROIs, tasks."""
    values = with_whole_paths(settings).options
    shaping = [
        name for name, option in OPTIONS.items() if MODELS in option.field.metadata["shapes"]
    ]
    texts = [
        text
        for name in shaping
        for text in (values[name] if isinstance(values[name], tuple) else (values[name],))
    ]
    paths = [Path(text) for text in texts if isinstance(text, (str, Path)) and str(text)]
    return tuple(path for path in paths if path.is_absolute() and path.exists())


def _shaping_options(settings: Settings) -> dict[str, str]:
    """Return hashes of the options that a model depends on, as some are paths of this machine."""
    values, row = with_whole_paths(settings).options, find_workflow(settings.inputs.workflow)
    # Values of options may also be given as numbers.
    unset = {name: value for name, value in row.defaults.items() if values[name] is None}
    values |= unset
    return {
        name: hashlib.sha256(json.dumps(plain(values[name])).encode()).hexdigest()
        for name, option in OPTIONS.items()
        if MODELS in option.field.metadata["shapes"]
        and row.name in (option.field.metadata["workflows"] or (row.name,))
    }
