"""The folder of one analysis's results: tables, maps, the page, and a record of its own files.

Results of another model, or of one trained with other options or data, are never overwritten.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from bids_dtg.bundles.bundle import Bundle
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.files.atomic import remove_stale_temporaries
from bids_dtg.files.derivatives import (
    DerivativeDataset,
    prepare_output_folder,
)
from bids_dtg.files.foreign import reading, sha256_of_file
from bids_dtg.files.locks import Locks
from bids_dtg.files.paths import PathNames, machine_folders
from bids_dtg.files.provenance import file_fingerprint, named_files
from bids_dtg.files.text import read_json, write_json, write_text
from bids_dtg.notices import named, say
from bids_dtg.option import MODELS, flag, plain
from bids_dtg.participants.call import with_whole_paths
from bids_dtg.report.page import Page
from bids_dtg.report.participant import INDEX, STATISTICS_PAGE, UNFINISHED, write_index
from bids_dtg.settings import FIELDS, Settings, to_toml
from bids_dtg.version import __version__
from bids_dtg.workflows import find_workflow

MODEL = "model"  # result of a training
BUNDLE = "bundle"  # folder of a new model
CHECKPOINTS = "checkpoints"  # folder of a training's last epochs
DEFAULT_NAME = "own"  # of a new model
# The model behind results, or, for a new model, version and hashes of options and data.
_PROVENANCE_FILE = "made_with.json"
# Files that end with a checksum of their content, so that hashing their ends is enough.
_WITH_CHECKSUM = (".gz", ".npz")
_CONFIGURATION = "configuration.toml"
_UNFINISHED = (
    "These results are incomplete: bids_dtg is still running, or was interrupted. The same "
    "command completes them.\n"
)
_ENDINGS = (
    ".tsv",
    ".json",
    ".nii.gz",
    ".npz",
    ".html",
    ".toml",
    ".safetensors",
    ".svg",
    ".pdf",
    ".js",
)

# Titles of folders, by the first part of their names; the name of the model follows.
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
    """The folder of one analysis's results, in the output's folder `group`.

    A later run replaces or removes only files in the folder whose names the analysis can write.
    From the first file that a run writes until its page and its configuration are written, the
    folder is marked as unfinished.
    """

    settings: Settings  # of the run
    output: DerivativeDataset
    name: str  # of the folder
    # Names that the analysis can write, without extension; * matches anything, and a name that
    # ends in a slash is a folder that belongs to the analysis. Only such files are ever removed.
    can_write: Sequence[str]
    path_names: PathNames = field(default_factory=PathNames)  # replace folders in text
    # The model, or version and hashes of options and data; empty: existing results are overwritten.
    provenance: Mapping[str, str] = field(default_factory=dict)
    # Files of this run, relative to the folder.
    _written: set[str] = field(default_factory=set)

    @classmethod
    def of(
        cls, settings: Settings, output: DerivativeDataset, *can_write: str
    ) -> ResultFolder:
        """Return the folder of a statistical analysis, named by ``--model-name`` if given.

        Parameters
        ----------
        settings
            Options of the run, with an analysis.
        output
            Folder of the output dataset.
        can_write
            File names, as in the class.
        """
        name, analysis = settings.modelling.model_name, settings.modelling.analysis
        folder = f"{analysis}-{name}" if name else f"{analysis}"
        return cls(settings, output, folder, can_write)

    @classmethod
    def for_model(
        cls,
        settings: Settings,
        output: DerivativeDataset,
        result_kind: str,
        bundle: Bundle[Any] | None,
        can_write: Sequence[str],
        path_names: PathNames,
    ) -> ResultFolder:
        """Return the folder of a new model, or of results of a model.

        Parameters
        ----------
        settings, output, can_write, path_names
            As in the class.
        result_kind
            What is made: a model, or an evaluation, a simulation … of one.
        bundle
            The model that is used; None where a model is made.

        Raises
        ------
        SettingsError
            As `require_same_provenance`.
        """
        name, provenance = settings.modelling.model_name, {}
        if bundle is not None:
            name = name or bundle.name
            provenance = {MODEL: bundle.record}
        folder = f"{result_kind}-{name or DEFAULT_NAME}"
        results = cls(settings, output, folder, can_write, path_names, provenance)
        results.require_same_provenance()
        return results

    @property
    def path(self) -> Path:
        """The folder; it may not exist yet. OutputError if a link leads out of the dataset."""
        return self.output.path(PurePosixPath("group") / self.name)

    @property
    def title(self) -> str:
        """The folder's name in words, as the heading of its page."""
        for result_kind, words in _TITLES.items():
            if self.name.startswith(f"{result_kind}-"):
                return f"{words} {self.name.removeprefix(f'{result_kind}-')}"
        return self.name

    @property
    def bundle(self) -> Path:
        """Folder of a new model."""
        return self.path / BUNDLE

    def require_same_provenance(self) -> None:
        """Refuse a folder that holds results of another model or other options.

        The same version, options and data make the same model, so a command can be repeated.

        Raises
        ------
        SettingsError
            The message names what differs: model, options, files or version.
        """
        # A run that was killed at its start leaves nothing but temporary files.
        uses_model = MODEL in self.provenance
        has_results = uses_model and self.path.exists() and self._all_files()
        has_model = self.provenance and self.bundle.exists()
        if has_results or has_model:
            earlier = read_json(self.path / _PROVENANCE_FILE)
            names = sorted(earlier.keys() | self.provenance.keys())
            different = [
                name for name in names if earlier.get(name) != self.provenance.get(name)
            ]
            if different:
                raise SettingsError(
                    f"{self.path} holds results that were made with another {named(different)}",
                    remedy=f"choose another --model-name, or remove {self.path}",
                )

    def with_provenance(
        self, paths: Iterable[Path], root: Path, base: Bundle[Any] | None = None
    ) -> ResultFolder:
        """Return the folder with the provenance of a new model: its options and data.

        Parameters
        ----------
        paths
            Files of data, besides those that options name (arrays, splits, ROIs, tasks).
        root
            Root folder of the dataset; files below it are recorded relative to it.
        base
            The bundle of ``--model``, from which the new model is made; None: no bundle is used.

        Raises
        ------
        SettingsError
            The folder holds a model that was made with other options or data.
        """
        values = with_whole_paths(self.settings).options
        usual = find_workflow(self.settings.inputs.workflow).defaults
        values |= {name: value for name, value in usual.items() if values[name] is None}
        shaping = {
            name: values[name]
            for name, option in FIELDS.items()
            if MODELS in option.shapes
        }
        if base is not None:  # a name or a path may hold another bundle later
            shaping["model"] = base.record
        provenance = {"version of bids_dtg": __version__} | {
            flag(name): hashlib.sha256(json.dumps(plain(value)).encode()).hexdigest()
            for name, value in shaping.items()
        }
        by_option: list[Path] = []
        for value in shaping.values():
            texts = value if type(value) is tuple else [value]
            by_option += [Path(text) for text in texts if isinstance(text, (str, Path))]
        files = [
            path
            for path in (*by_option, *paths)
            if path.is_absolute() and path.is_file()
        ]
        for name, path in named_files(files, root, self.path_names).items():
            with reading(path, DatasetError):
                provenance[name] = _hash_of(path)
        results = dataclasses.replace(self, provenance=provenance)
        results.require_same_provenance()
        return results

    @contextmanager
    def writing(self) -> Iterator[Locks]:
        """Lock the folder and start to write.

        If the block ends without an error, files of an earlier run that were not written again are
        removed, and configuration, record and index are written.

        Raises
        ------
        SettingsError
            Another run works in this folder, or has just written other results.
        """
        prepare_output_folder(self.output.root)
        with self.output.locks() as locks:
            locks.require(
                self.path.name,
                what=str(self.path),
                remedy="choose another --name, or wait",
            )
            claim = locks.claim(self.path.name)
            # Another run may have ended during the checks of this one.
            self.require_same_provenance()
            self.output.remove_stale_temporaries()
            remove_stale_temporaries(self.path)
            if (self.path / UNFINISHED).exists():
                say(f"{self.path} is unfinished, as an earlier run was interrupted")
            yield locks
            locks.require_claim(self.path.name, claim)
            self._end()

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

    def page(self, page: Page, name: str = STATISTICS_PAGE) -> None:
        """Write the page, where reports are made."""
        if self.has_pages:
            page.write(self.add(name))

    @property
    def has_pages(self) -> bool:
        """Whether pages are made."""
        return not self.settings.behaviour.no_reports

    def add(self, name: str) -> Path:
        """Return the path of a file to write, and protect it from being removed at the end.

        Parameters
        ----------
        name
            Relative to the folder; the name of a folder of the analysis's own ends in a slash.
        """
        path = self.output.path(self._relative(name))
        if not self._written:
            self._mark()
        self._written.add(name)
        return path

    def _relative(self, name: str) -> PurePosixPath:
        return PurePosixPath("group") / self.name / name

    def _mark(self) -> None:
        """Mark the folder as unfinished, and remove an earlier run's page and configuration."""
        if self.provenance:
            write_json(self.path / _PROVENANCE_FILE, self.provenance)
            self._written.add(_PROVENANCE_FILE)
        write_text(self.path / UNFINISHED, _UNFINISHED)
        earlier = [
            name
            for name in self._recognised()
            if name.endswith((_CONFIGURATION, ".html"))
        ]
        for name in earlier:
            self.output.remove(self._relative(name))
        if earlier:
            write_index(self.output, wanted=self.has_pages)

    def _end(self) -> None:
        """Write the configuration, and remove an earlier run's other files and the mark."""
        path = self.add(_CONFIGURATION)
        names = self.path_names.plus({"output": self.output.root})
        hide = names.plus(machine_folders()).hide
        write_text(path, hide(to_toml(with_whole_paths(self.settings))))
        for name in sorted(self._recognised() - self._written):
            self.output.remove(self._relative(name))
            with suppress(OSError):  # only empty folders are removed
                for folder in PurePosixPath(name).parents[:-1]:
                    (self.path / folder).rmdir()
        (self.path / UNFINISHED).unlink(missing_ok=True)
        write_index(self.output, wanted=self.has_pages)
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
        patterns = {*self.can_write, _CONFIGURATION.partition(".")[0], "*report"}
        return {name for name in self._all_files() if _is_named(name, patterns)}


def _is_named(name: str, patterns: set[str]) -> bool:
    stem = next(
        (name.removesuffix(end) for end in _ENDINGS if name.endswith(end)), None
    )
    return stem is not None and any(
        fnmatchcase(stem, pattern) and ("/" in pattern or "/" not in stem)
        for pattern in patterns
    )


def _hash_of(path: Path) -> str:
    """Return the SHA-256 of a file, or of its ends if they hold a checksum."""
    if path.name.endswith(_WITH_CHECKSUM):
        return str(file_fingerprint(path)["ends_sha256"])
    return sha256_of_file(path)
