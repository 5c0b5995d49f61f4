"""The folder of one analysis' results: tables, maps, the page, and which files are its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.basis import BUNDLE, Basis
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.files.atomic import remove_stale_in, remove_stale_temporaries
from bids_dtg.files.derivatives import (
    DatasetWords,
    DerivativeDataset,
    SourceDataset,
    prepare_output_folder,
)
from bids_dtg.files.locks import Locks
from bids_dtg.files.names import build_name
from bids_dtg.files.path_names import PathNames, machine_folders
from bids_dtg.files.provenance import running_container
from bids_dtg.files.result_record import RECORD, UNFINISHED, ResultRecord
from bids_dtg.files.text import write_json, write_text
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.notices import named, say
from bids_dtg.participants.call import with_whole_paths
from bids_dtg.report.pages.analysis import AnalysisPageFacts, write_analysis_page
from bids_dtg.report.pages.index import INDEX, STATISTICS_PAGE, write_index
from bids_dtg.settings import Settings
from bids_dtg.settings.toml import to_toml
from bids_dtg.version import __version__

DEFAULT_NAME = "own"  # of a model that is made
_CONFIGURATION = "configuration.toml"
# Of files that an earlier version, which kept no record, may have written.
_ENDINGS = (".tsv", ".json", ".nii.gz", ".npz", ".html", ".toml", ".parquet", ".safetensors")


@dataclass(frozen=True, eq=False)
class ResultFolder:
    """The folder of one analysis' results, below the output's folder `group`.

    Only what a call has recorded as its own is replaced or removed by a later one. From the first
    file that a call writes until its page and its configuration are there, the folder is marked
    as unfinished.
    """

    settings: Settings  # of the call
    output: DerivativeDataset
    name: str  # of the folder
    # Names that the analysis can write, without extension, * for any letters; a folder, all of
    # which is its own, ends in a slash. Where there is no record, such files are its own.
    can_write: Sequence[str]
    basis: Basis | None = None  # what results rest on; None: they may be replaced by any others
    path_names: PathNames = field(default_factory=lambda: PathNames(()))  # for what others may read
    _earlier: set[str] = field(default_factory=set)  # an earlier call's own, once it has begun
    _written: set[str] = field(default_factory=set)  # of this call, relative to the folder

    @classmethod
    def of(cls, settings: Settings, output: DerivativeDataset, *can_write: str) -> ResultFolder:
        """Return the folder of an analysis over people, with the name of ``--model-name``, if any.

        Parameters
        ----------
        settings
            Options of the call, which has an analysis.
        output
            The output folder.
        can_write
            As in the class.
        """
        name, analysis = settings.modelling.model_name, settings.modelling.analysis
        return cls(settings, output, f"{analysis}-{name}" if name else f"{analysis}", can_write)

    @property
    def path(self) -> Path:
        """The folder; it need not be there."""
        return self.output.path("group") / self.name

    @property
    def bundle(self) -> Path:
        """Where a model is that is made."""
        return self.path / BUNDLE

    def refuse_others(self) -> None:
        """Refuse to write over what rests on something else: other options, another model.

        Raises
        ------
        SettingsError
            Naming the options that differ, or that model.
        """
        if self.basis is not None:
            self.basis.refuse_others(self.path)

    @contextmanager
    def begun(self) -> Iterator[Locks]:
        """Begin: from here on the analysis writes, and no other one writes to its folder.

        Where nothing is raised, what an earlier call has left and this one has not written again
        is removed at the end, and configuration, record and index are written.

        Raises
        ------
        SettingsError
            Another call works there, or has just made what rests on something else.
        """
        prepare_output_folder(self.output.root)
        with self.output.locks(say) as locks:
            locks.require(self.path.name, what=str(self.path), remedy="choose another --model-name")
            # While this call was checking, another one may have ended.
            self.refuse_others()
            for folder in (self.output.root, self.path.parent):
                remove_stale_in(folder)
            remove_stale_temporaries(self.path)
            record = self._record
            if record.is_unfinished:
                say(f"{self.path} is unfinished: an earlier call was cut off")
            self._earlier.update(record.files() if record.is_kept else self._recognised())
            yield locks
            self._end()

    def describe(self, source: SourceDataset, words: DatasetWords) -> None:
        """Write what describes the output as a data set.

        Parameters
        ----------
        source
            The data set that people are of.
        words
            What the output says of itself.
        """
        container = running_container()
        for note in self.output.describe(source, words, version=__version__, container=container):
            say(note)

    def table(self, name: str, table: ResultTable) -> Path:
        """Write a table and its data dictionary, and return its path.

        Parameters
        ----------
        name
            Of the file, without its extension: ``desc-associations_scores``.
        table
            The rows and their columns.
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
            Of the name, beside space and resolution: contrast, stat, desc.
        values
            Of the voxels.
        places
            Where they lie.
        description
            What the map is.
        facts
            Of the sidecar, beside its space.
        """
        name = build_name({**entities, **places.entities}, "statmap", "")
        text = f"bids_dtg {__version__} {self.name}"
        data = places.encode(np.asarray(values, np.float32), description=text)
        self.add(f"{name}.nii.gz")
        path = self.output.write(self._relative(f"{name}.nii.gz"), data)
        space = {"SpatialReference": places.grid.space} if places.grid.space else {}
        self.json(name, {"Description": description, **space, **facts})
        return path

    def page(self, facts: AnalysisPageFacts, name: str = STATISTICS_PAGE) -> None:
        """Write the page; a line reports why there is none, where packages are missing."""
        if trouble := write_analysis_page(self.add(name), facts):
            say(trouble)

    def add(self, name: str) -> Path:
        """Return the path of a file that is to be written, and record it as the analysis' own.

        Parameters
        ----------
        name
            Relative to the folder; a folder, all of which is the analysis' own, ends in a slash.
        """
        if not self._written:
            self._mark()
        path = self.output.path(self._relative(name))
        if name not in self._written:
            self._record.add(name)
            self._written.add(name)
        return path

    @property
    def _record(self) -> ResultRecord:
        return ResultRecord(self.path)

    def _relative(self, name: str) -> PurePosixPath:
        return PurePosixPath("group") / self.name / name

    def _mark(self) -> None:
        """Mark the folder as unfinished: page and configuration of an earlier call go first."""
        if self.basis is not None:
            self.basis.write(self.path)
        self._record.begin(() if self._record.is_kept else self._earlier)
        old = [name for name in self._earlier if name == _CONFIGURATION or name.endswith(".html")]
        for name in old:
            self.output.remove(self._relative(name))
        if old:
            write_index(self.output)
        if self.basis is not None:
            self._written.add(self.basis.file)
            self._record.add(self.basis.file)

    def _end(self) -> None:
        """Write the configuration, remove what is left of an earlier call, record what is there."""
        path = self.add(_CONFIGURATION)
        hide = self.path_names.plus({"output": self.output.root}).plus(machine_folders()).hide
        write_text(path, to_toml(with_whole_paths(self.settings), hide))
        for name in sorted(self._earlier - self._written):
            if name.endswith("/"):
                self._written.add(name)  # of a part that this call has not touched
            else:
                self.output.remove(self._relative(name))
                with suppress(OSError):  # folders are removed where they are empty
                    for folder in PurePosixPath(name).parents[:-1]:
                        (self.path / folder).rmdir()
        # Not every call writes all that it may.
        self._record.end([name for name in self._written if (self.path / name).exists()])
        write_index(self.output)
        if others := [name for name in self._all_files() if not _is_of(name, self._written)]:
            say(f"{self.path}: left alone, as they are not of this analysis: {named(others)}")
        for name in sorted(self._written):
            if name.endswith(".html") and (self.path / name).is_file():
                say(f"{self.path / name}; all pages: {self.output.root / INDEX}")

    def _all_files(self) -> list[str]:
        """Return the files below the folder, but for records and temporaries."""
        files = (path for path in sorted(self.path.rglob("*")) if not path.is_dir())
        names = [path.relative_to(self.path) for path in files]
        return [
            name.as_posix()
            for name in names
            if name.as_posix() not in (RECORD, UNFINISHED)
            and not any(part.startswith(".dtg-") for part in name.parts)
        ]

    def _recognised(self) -> set[str]:
        """Return the files that the analysis may have written, by their names."""
        folders = {name for name in self.can_write if name.endswith("/")}
        known = {*self.can_write, _CONFIGURATION.partition(".")[0], "*report"}
        own = {name for name in self._all_files() if _is_named(name, known)}
        if self.basis is not None and (self.path / self.basis.file).exists():
            own.add(self.basis.file)
        return own | {name for name in folders if (self.path / name).is_dir()}


def _is_of(name: str, own: set[str]) -> bool:
    return name in own or any(name.startswith(folder) for folder in own if folder.endswith("/"))


def _is_named(name: str, known: set[str]) -> bool:
    stem = next((name.removesuffix(end) for end in _ENDINGS if name.endswith(end)), None)
    return stem is not None and any(
        fnmatchcase(stem, pattern) and ("/" in pattern or "/" not in stem) for pattern in known
    )


def data_set_name(settings: Settings, dataset: SourceDataset) -> str:
    """Return what ``--data-set`` says, else the name in the folder's description, or the folder's.

    Parameters
    ----------
    settings
        Options of the call.
    dataset
        The folder that names the data set.
    """
    described = str(dataset.description.get("Name") or "").strip()
    return settings.modelling.data_set or described or dataset.name
