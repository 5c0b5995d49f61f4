"""What results in a folder depend on: options and data that made a model, or a model that was used.

Results of another basis are never overwritten.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from bids_dtg.bundles.card import ModelCard
from bids_dtg.errors import DatasetError, RunError, SettingsError
from bids_dtg.files.digest import digest_of
from bids_dtg.files.provenance import file_fingerprint
from bids_dtg.files.text import read_json, write_json
from bids_dtg.notices import named
from bids_dtg.participants.call import with_whole_paths
from bids_dtg.settings import FIELDS, Settings, plain
from bids_dtg.settings.option import MODELS
from bids_dtg.version import __version__
from bids_dtg.workflows import find_workflow

BUNDLE = "bundle"  # folder of a new model
CHECKPOINTS = "checkpoints"  # folder of a training's last epochs
_PROGRAM = "bids_dtg"  # its version, beside the options
_DATA = "data_sha256.json"
# Both end with a checksum of all that is in them, so that their ends are enough.
_WITH_CHECKSUM = (".gz", ".npz")


@dataclass(frozen=True, eq=False)
class OwnModel:
    """A model made by the call: it depends on the call's options."""

    file: ClassVar[str] = "configuration_sha256.json"

    settings: Settings  # of the call
    repeatable: bool = True  # whether the call may be given again once its model is made
    data: Mapping[str, Path] = field(default_factory=dict)  # files it is made of, by public names

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
        # Another version would write other tables beside the model, and not be able to replace it.
        version = earlier.get(_PROGRAM, "of another version")
        if differing:
            why = f", made with other options ({', '.join(differing)})"
        elif not self.repeatable:
            why = ""
        elif version != __version__:
            why = f", made by bids_dtg {version}, and this is {__version__}"
        elif changed := _changed(self.data, read_json(folder / _DATA)) if self.data else "":
            why = f", made of other data ({changed})"
        else:
            return
        raise SettingsError(
            f"{bundle} holds a model already{why}",
            remedy=f"choose another --model-name, or remove {bundle} to make it anew",
        )

    def write(self, folder: Path) -> None:
        """Write the program's version and hashes of options and data that the model depends on."""
        shaping = {_PROGRAM: __version__, **_shaping_options(self.settings)}
        write_json(folder / self.file, shaping)
        write_json(folder / _DATA, {name: _facts(path) for name, path in self.data.items()})

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files that say what results rest on."""
        return (self.file, _DATA)

    def _differing(self, earlier: dict[str, Any]) -> list[str]:
        if not earlier:
            return ["unknown"]
        now = _shaping_options(self.settings)
        return ["--" + name.replace("_", "-") for name in now if earlier.get(name) != now[name]]


@dataclass(frozen=True)
class UsedModel:
    """A model read by the call: results are of this model alone."""

    file: ClassVar[str] = "desc-evaluated_model.json"

    card: ModelCard[Any]
    identity: str  # SHA-256 of the card's file
    makes: str  # what the call makes: evaluation, prediction, …

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
            "ModelName": self.card.name,
            "ModelVersion": self.card.version,
            "ModelKind": self.card.kind,
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
    shaping = [name for name, option in FIELDS.items() if MODELS in option.shapes]
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
        for name, option in FIELDS.items()
        if MODELS in option.shapes
    }


def _changed(files: Mapping[str, Path], recorded: Mapping[str, Any]) -> str:
    """Return which files are others than those that were recorded, in words; else nothing.

    Names, sizes and times are compared first, so that nothing is read where nothing was touched.
    Where these differ the content decides: data that were copied or touched are the same data.
    """
    return named(
        [
            *(f"{name} is new" for name in files if name not in recorded),
            *(f"{name} is not there" for name in recorded if name not in files),
            *(
                f"{name} has changed"
                for name, path in files.items()
                if name in recorded and not _is_same(path, recorded[name])
            ),
        ]
    )


def _is_same(path: Path, recorded: Mapping[str, Any]) -> bool:
    status = path.stat()
    times = (status.st_size, status.st_mtime_ns) == (recorded["size"], recorded["mtime_ns"])
    return times or _facts(path)["sha256"] == recorded["sha256"]


def _facts(path: Path) -> dict[str, Any]:
    """Return size, time and a hash of the content of a file.

    Raises
    ------
    DatasetError
        It cannot be read.
    """
    try:
        status = path.stat()
        if path.name.endswith(_WITH_CHECKSUM):
            content = file_fingerprint(path).ends_sha256
        else:
            content = digest_of(path, "sha256").hexadecimal
    except RunError as err:
        raise err.as_kind(DatasetError) from err
    except OSError as err:
        raise DatasetError(f"{path} cannot be read: {err.strerror or err}") from err
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": content}
