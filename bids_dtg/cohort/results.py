"""The folder of one analysis over people: its tables, maps and page, and how they were made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.files.atomic import remove_stale_temporaries
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.names import build_name
from bids_dtg.files.path_names import PathNames, machine_folders
from bids_dtg.files.text import write_json, write_text, write_tsv
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.notices import say
from bids_dtg.participants.call import with_whole_paths
from bids_dtg.report.pages.analysis import AnalysisPageFacts, write_analysis_page
from bids_dtg.report.pages.index import INDEX, STATISTICS_PAGE, write_index
from bids_dtg.settings import Settings
from bids_dtg.settings.toml import to_toml
from bids_dtg.version import __version__

_CONFIGURATION = "configuration.toml"


@dataclass(frozen=True, eq=False)
class GroupResults:
    """What an analysis writes below the output's folder `group`."""

    settings: Settings  # of the call
    output: DerivativeDataset
    folder: PurePosixPath  # relative to the output folder
    _written: set[PurePosixPath] = field(default_factory=set)

    @classmethod
    def of(cls, settings: Settings, output: DerivativeDataset) -> GroupResults:
        """Return the folder of a call: after its analysis, and ``--model-name`` where one is given.

        Parameters
        ----------
        settings
            Options of the call, which has an analysis.
        output
            The output folder.
        """
        name, analysis = settings.modelling.model_name, settings.modelling.analysis
        folder = f"{analysis}-{name}" if name else f"{analysis}"
        return cls(settings, output, PurePosixPath("group") / folder)

    @property
    def path(self) -> Path:
        """The folder; it need not be there."""
        return self.output.path(self.folder)

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Begin: no other call writes to the folder.

        Where nothing is raised, what an earlier call has left is removed at the end, and the
        options and the index are written.

        Raises
        ------
        SettingsError
            Another call works there.
        """
        with self.output.locks(say) as locks:
            locks.require(self.path.name, what=str(self.path), remedy="choose another --name")
            remove_stale_temporaries(self.path)
            yield
            hide = PathNames.of({"output": self.output.root}).plus(machine_folders()).hide
            text = to_toml(with_whole_paths(self.settings), hide)
            write_text(self.output.path(self._add(_CONFIGURATION)), text)
            self._remove_others()
            write_index(self.output)
            if (self.path / STATISTICS_PAGE).is_file():
                say(f"{self.path / STATISTICS_PAGE}; all pages: {self.output.root / INDEX}")

    def table(
        self,
        name: str,
        rows: Sequence[Mapping[str, object]],
        meanings: Mapping[str, str],
        description: str,
    ) -> Path:
        """Write a table, and what its columns mean, and return its path.

        Parameters
        ----------
        name
            Of the file, without its extension: ``desc-associations_scores``.
        rows
            By column; a column that a row lacks, None and NaN are n/a there.
        meanings
            What each column means, in the order of the columns.
        description
            What a row is.
        """
        path = self.output.path(self._add(f"{name}.tsv"))
        cells = ([_cell(row.get(column)) for column in meanings] for row in rows)
        write_tsv(path, list(meanings), cells)
        self.json(
            name,
            {
                "Description": description,
                **{column: {"Description": words} for column, words in meanings.items()},
            },
        )
        return path

    def json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file; `name` is without its extension."""
        write_json(self.output.path(self._add(f"{name}.json")), content)

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
        text = f"bids_dtg {__version__} {self.folder.name}"
        data = places.encode(np.asarray(values, np.float32), description=text)
        path = self.output.write(self._add(f"{name}.nii.gz"), data)
        space = {"SpatialReference": places.grid.space} if places.grid.space else {}
        self.json(name, {"Description": description, **space, **facts})
        return path

    def page(self, facts: AnalysisPageFacts) -> None:
        """Write the page; a line reports why there is none, where packages are missing."""
        path = self.output.path(self._add(STATISTICS_PAGE))
        if trouble := write_analysis_page(path, facts):
            say(trouble)

    def add(self, name: str) -> Path:
        """Return the path of a file that is written by other means, and keep it at the end."""
        return self.output.path(self._add(name))

    def _add(self, name: str) -> PurePosixPath:
        relative = self.folder / name
        self._written.add(relative)
        return relative

    def _remove_others(self) -> None:
        for path in sorted(self.path.rglob("*")):
            relative = PurePosixPath(path.relative_to(self.output.root).as_posix())
            if path.is_file() and relative not in self._written:
                self.output.remove(relative)


def _cell(value: object) -> object:
    """Return a cell of a table: numbers with as many digits as single precision has."""
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (float, np.floating)):
        return f"{value:.7g}" if np.isfinite(value) else None
    return value
