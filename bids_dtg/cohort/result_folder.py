"""The folder of one analysis' results: tables, maps, the page, and a record of its own files.

Results of another model, or a model that was made otherwise, are never overwritten.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.bundles.bundle import Bundle
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.files.atomic import remove_stale_temporaries
from bids_dtg.files.derivatives import (
    DatasetWords,
    DerivativeDataset,
    SourceDataset,
    prepare_output_folder,
)
from bids_dtg.files.foreign import reading, sha256_of_file
from bids_dtg.files.locks import Locks
from bids_dtg.files.names import build_name
from bids_dtg.files.paths import PathNames, machine_folders
from bids_dtg.files.provenance import file_fingerprint, named_files, running_container
from bids_dtg.files.text import read_json, write_json, write_text
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.notices import named, say
from bids_dtg.participants.call import with_whole_paths
from bids_dtg.report.page import Page
from bids_dtg.report.participant import INDEX, STATISTICS_PAGE, UNFINISHED, write_index
from bids_dtg.settings import FIELDS, Settings, plain, to_toml
from bids_dtg.settings.option import MODELS
from bids_dtg.version import __version__
from bids_dtg.workflows import find_workflow

MODEL = "model"  # result of a training
BUNDLE = "bundle"  # folder of a new model
CHECKPOINTS = "checkpoints"  # folder of a training's last epochs
DEFAULT_NAME = "own"  # of a new model
# What a new model was made with and from, and which model results are of.
_OPTIONS, _DATA = "configuration_sha256.json", "data_sha256.json"
_USED = "desc-evaluated_model.json"
_PROGRAM = "bids_dtg"  # its version, beside the options
# Files that end with a checksum of all that is in them, so that their ends are enough.
_WITH_CHECKSUM = (".gz", ".npz")
_CONFIGURATION = "configuration.toml"
_UNFINISHED = (
    "These results are not whole: the call that makes them is at work, or was cut off. The same "
    "command makes them whole.\n"
)
_ENDINGS = (
    *(".tsv", ".json", ".nii.gz", ".npz", ".html", ".toml", ".safetensors"),
    *(".svg", ".pdf", ".js"),
)

# What folders of a model's analyses hold; the model's name follows.
_TITLES = {
    "model": "Model",
    "evaluation": "Evaluation of",
    "folds": "Evaluation by folds of",
    "simulation": "Simulations by",
    "fixed-points": "Fixed points of",
    "intervention": "Interventions on",
}


@dataclass(frozen=True, eq=False)
class ResultFolder:
    """The folder of one analysis' results, in the output's folder `group`.

    A later call replaces or removes only files that lie in the folder and have names that the
    analysis can write. From the first file that a call writes until its page and its configuration
    are there, the folder is marked as unfinished.
    """

    settings: Settings  # of the call
    output: DerivativeDataset
    name: str  # of the folder
    # Names that the analysis can write, without extension, * for any letters; a name that ends in a
    # slash is a folder of its own. Only such files are ever removed.
    can_write: Sequence[str]
    path_names: PathNames = field(default_factory=lambda: PathNames(()))  # replace folders in text
    used: Mapping[str, str] = field(default_factory=dict)  # facts of the model that results are of
    data: Mapping[str, Path] | None = None  # files a new model is made of; None: none is made
    _written: set[str] = field(default_factory=set)  # files of this call, relative to the folder

    @classmethod
    def of(cls, settings: Settings, output: DerivativeDataset, *can_write: str) -> ResultFolder:
        """Return the folder of an analysis over people, with the name of ``--model-name``, if any.

        Parameters
        ----------
        settings
            Options of the call, which has an analysis.
        output
            Folder of the output dataset.
        can_write
            File names, as in the class.
        """
        name, analysis = settings.modelling.model_name, settings.modelling.analysis
        return cls(settings, output, f"{analysis}-{name}" if name else f"{analysis}", can_write)

    @classmethod
    def of_model(
        cls,
        settings: Settings,
        output: DerivativeDataset,
        makes: str,
        bundle: Bundle[Any] | None,
        can_write: Sequence[str],
        path_names: PathNames,
    ) -> ResultFolder:
        """Return the folder of a new model, or of what is made with a model.

        Parameters
        ----------
        settings, output, can_write, path_names
            As in the class.
        makes
            What the call makes: a model, or an evaluation, a simulation … of one.
        bundle
            The model that results are of; None: the call makes one.

        Raises
        ------
        SettingsError
            As `refuse_others`.
        """
        used, name = {}, settings.modelling.model_name or DEFAULT_NAME
        if bundle is not None:
            card, name = bundle.card, settings.modelling.model_name or bundle.card.name
            used = {
                "ModelName": card.name,
                "ModelVersion": card.version,
                "ModelKind": card.kind,
                "ModelSHA256": bundle.identity,
            }
        data: Mapping[str, Path] | None = {} if bundle is None else None
        found = cls(settings, output, f"{makes}-{name}", can_write, path_names, used, data)
        found.refuse_others()
        return found

    @property
    def path(self) -> Path:
        """The folder; it may not exist yet."""
        return self.output.path("group") / self.name

    @property
    def title(self) -> str:
        """The folder's name in words, as the heading of its page."""
        found = (kind for kind in _TITLES if self.name.startswith(f"{kind}-"))
        kind = next(found, "")
        return f"{_TITLES[kind]} {self.name.removeprefix(f'{kind}-')}" if kind else self.name

    @property
    def bundle(self) -> Path:
        """Folder of a new model."""
        return self.path / BUNDLE

    def refuse_others(self) -> None:
        """Refuse a folder that is a link, results of another model, or a model made otherwise.

        The same options and data, and the same version of the program, make the same model, so
        that a command can be given again.

        Raises
        ------
        SettingsError
            Naming the link, the other model, or the options, version or data that differ.
        """
        own = (self.path / name for name in self.can_write if name.endswith("/"))
        for folder in (self.path.parent, self.path, *own):
            if folder.is_symlink():
                raise SettingsError(
                    f"{folder} is a link to {folder.readlink()}",
                    expected="a folder in OUTPUT_DIR",
                    remedy="remove the link, or choose another OUTPUT_DIR",
                )
        # A call that was killed at its start has left nothing, or temporary files.
        if self.used and self.path.exists() and self._all_files():
            facts = read_json(self.path / _USED)
            if facts.get("ModelSHA256") != self.used["ModelSHA256"]:
                other = facts.get("ModelName", "an unknown model"), facts.get("ModelVersion", "")
                raise SettingsError(
                    f"{self.path} holds results of another model ({' '.join(other).strip()})",
                    remedy=f"choose another --model-name, or remove {self.path}",
                )
        if self.data is not None and self.bundle.exists() and (why := self._made_otherwise()):
            raise SettingsError(
                f"{self.bundle} holds a model already, {why}",
                remedy=f"choose another --model-name, or remove {self.bundle} to make it anew",
            )

    def _made_otherwise(self) -> str:
        """Return how the model that is there was made otherwise, in words; empty: in no way."""
        earlier, now = read_json(self.path / _OPTIONS), self._shaping_options
        names = [name for name in now if name != _PROGRAM and earlier.get(name) != now[name]]
        if names:
            options = ", ".join(f"--{name.replace('_', '-')}" for name in names)
            return f"made with other options ({options if earlier else 'unknown'})"
        # Another version would write other tables beside the model, and not be able to replace it.
        version = earlier.get(_PROGRAM, "of another version")
        if version != __version__:
            return f"made by bids_dtg {version}, and this is {__version__}"
        if not self.data:
            return ""
        recorded, data = read_json(self.path / _DATA), self._digests
        either = sorted(data.keys() | recorded.keys())
        changed = [name for name in either if data.get(name) != recorded.get(name)]
        return f"made of other data ({named(changed)})" if changed else ""

    @cached_property
    def _shaping_options(self) -> dict[str, str]:
        """The program's version, and hashes of the options that a model depends on."""
        values = with_whole_paths(self.settings).options
        usual = find_workflow(self.settings.inputs.workflow).defaults
        values |= {name: value for name, value in usual.items() if values[name] is None}
        return {_PROGRAM: __version__} | {
            name: hashlib.sha256(json.dumps(plain(values[name])).encode()).hexdigest()
            for name, option in FIELDS.items()
            if MODELS in option.shapes
        }

    @cached_property
    def _digests(self) -> dict[str, str]:
        """SHA-256 of the content of each file that a new model is made of, or of its ends."""
        found = {}
        for name, path in (self.data or {}).items():
            with reading(path, DatasetError):
                found[name] = (
                    file_fingerprint(path)["ends_sha256"]
                    if path.name.endswith(_WITH_CHECKSUM)
                    else sha256_of_file(path)
                )
        return found

    def of_data(self, paths: Iterable[Path], root: Path) -> ResultFolder:
        """Return the folder for a new model that is made of files of data, and those of options.

        Parameters
        ----------
        paths
            The files, beside those that options name: arrays, splits, ROIs, tasks.
        root
            Root folder of the data set: files below it are recorded relative to it.

        Raises
        ------
        SettingsError
            A model lies there that was made of other data.
        """
        values = with_whole_paths(self.settings).options
        shaping = [values[name] for name, option in FIELDS.items() if MODELS in option.shapes]
        texts = [text for own in shaping for text in (own if isinstance(own, tuple) else (own,))]
        by_option = [Path(text) for text in texts if isinstance(text, (str, Path))]
        files = [path for path in (*by_option, *paths) if path.is_absolute() and path.is_file()]
        data = named_files(files, root, self.path_names)
        found = dataclasses.replace(self, data=data)
        found.refuse_others()
        return found

    @contextmanager
    def begun(self) -> Iterator[Locks]:
        """Lock the folder and start to write.

        If the block ends without an error, files of an earlier call that were not written again are
        removed, and configuration, record and index are written.

        Raises
        ------
        SettingsError
            Another call works in this folder, or has just written results of another basis.
        """
        prepare_output_folder(self.output.root)
        with self.output.locks() as locks:
            locks.require(self.path.name, what=str(self.path), remedy="choose another --model-name")
            # Another call may have ended during the checks of this one.
            self.refuse_others()
            self.output.remove_stale_temporaries()
            remove_stale_temporaries(self.path)
            if (self.path / UNFINISHED).exists():
                say(f"{self.path} is unfinished: an earlier call was interrupted")
            yield locks
            self._end()

    def describe(self, source: SourceDataset, words: DatasetWords) -> None:
        """Write the description of the output dataset.

        Parameters
        ----------
        source
            Data set of the participants.
        words
            Name, title and text of the output's description.
        """
        container = running_container()
        self.output.describe(source, words, version=__version__, container=container)

    def table(self, name: str, table: ResultTable) -> Path:
        """Write a table and its data dictionary, and return its path.

        Parameters
        ----------
        name
            File name without its extension, e.g. ``desc-associations_scores``.
        table
            Rows and columns of the table.
        """
        path = self.add(f"{name}.tsv")
        self.add(f"{name}.json")
        table.write(path)
        return path

    def json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file; `name` is without its extension."""
        write_json(self.add(f"{name}.json"), content)

    def map(
        self,
        entities: Mapping[str, str],
        values: NDArray[np.floating[Any]],
        places: VoxelPlaces,
        description: str,
        **facts: object,
    ) -> Path:
        """Write a map (voxels,) and its sidecar, and return its path.

        Parameters
        ----------
        entities
            Entities of the name besides space and resolution: contrast, stat, desc.
        values
            Values of the voxels, (voxels,).
        places
            Voxels at which the map has values.
        description
            Description of the map, for its sidecar.
        facts
            Further fields of the sidecar.
        """
        name = build_name({**entities, **places.entities}, "statmap", "")
        text = f"bids_dtg {__version__} {self.name}"
        data = places.encode(np.asarray(values, np.float32), description=text)
        self.add(f"{name}.nii.gz")
        path = self.output.write(self._relative(f"{name}.nii.gz"), data)
        space = {"SpatialReference": places.grid.space} if places.grid.space else {}
        self.json(name, {"Description": description, **space, "SkullStripped": True, **facts})
        return path

    def page(self, page: Page, name: str = STATISTICS_PAGE) -> None:
        """Write the page, where reports are made."""
        if self.has_pages:
            page.write(self.add(name))

    @property
    def has_pages(self) -> bool:
        """Whether pages are made."""
        return not self.settings.behaviour.no_reports

    def add(self, name: str) -> Path:
        """Return the path of a file to be written, which then stays.

        Parameters
        ----------
        name
            Relative to the folder; a folder, all of which is the analysis' own, ends in a slash.
        """
        path = DerivativeDataset(self.path).path(name)
        if not self._written:
            self._mark()
        self._written.add(name)
        return path

    def _relative(self, name: str) -> PurePosixPath:
        return PurePosixPath("group") / self.name / name

    def _mark(self) -> None:
        """Mark the folder as unfinished, and remove an earlier call's page and configuration."""
        records: dict[str, Mapping[str, str]] = {_USED: self.used} if self.used else {}
        if self.data is not None:
            records = {_OPTIONS: self._shaping_options, _DATA: self._digests}
        for name, facts in records.items():
            write_json(self.path / name, facts)
        self._written.update(records)
        write_text(self.path / UNFINISHED, _UNFINISHED)
        old = [name for name in self._recognised() if name.endswith((_CONFIGURATION, ".html"))]
        for name in old:
            self.output.remove(self._relative(name))
        if old:
            write_index(self.output, wanted=self.has_pages)

    def _end(self) -> None:
        """Write the configuration, remove an earlier call's other files, and take the mark away."""
        path = self.add(_CONFIGURATION)
        hide = self.path_names.plus({"output": self.output.root}).plus(machine_folders()).hide
        write_text(path, to_toml(with_whole_paths(self.settings), hide))
        for name in sorted(self._recognised() - self._written):
            self.output.remove(self._relative(name))
            with suppress(OSError):  # only empty folders are removed
                for folder in PurePosixPath(name).parents[:-1]:
                    (self.path / folder).rmdir()
        (self.path / UNFINISHED).unlink(missing_ok=True)
        write_index(self.output, wanted=self.has_pages)
        own = [name for name in (*self.can_write, *self._written) if name.endswith("/")]
        others = set(self._all_files()) - self._written
        if others := {name for name in others if not name.startswith(tuple(own))}:
            say(f"{self.path}: kept, as they are not of this analysis: {named(sorted(others))}")
        for name in sorted(self._written):
            if name.endswith(".html") and (self.path / name).is_file():
                say(f"{self.path / name}; all pages: {self.output.root / INDEX}")

    def _all_files(self) -> list[str]:
        """Return the files in the folder, except the mark and temporary files."""
        files = (path for path in sorted(self.path.rglob("*")) if not path.is_dir())
        names = (path.relative_to(self.path).as_posix() for path in files)
        return [name for name in names if name != UNFINISHED and ".dtg-" not in name]

    def _recognised(self) -> set[str]:
        """Return the files in the folder whose names the analysis can write."""
        known = {*self.can_write, _CONFIGURATION.partition(".")[0], "*report"}
        return {name for name in self._all_files() if _is_named(name, known)}


def _is_named(name: str, known: set[str]) -> bool:
    stem = next((name.removesuffix(end) for end in _ENDINGS if name.endswith(end)), None)
    return stem is not None and any(
        fnmatchcase(stem, pattern) and ("/" in pattern or "/" not in stem) for pattern in known
    )


def data_set_name(dataset: SourceDataset) -> str:
    """Return the name in the folder's description, else the folder's name."""
    described = str(dataset.description.get("Name") or "").strip()
    return described or dataset.name
