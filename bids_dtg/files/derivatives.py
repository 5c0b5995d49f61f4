"""The output dataset: where it may be, and how processes write to it at the same time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from bids_dtg.errors import ForeignFileError, OutputError, SettingsError
from bids_dtg.files.atomic import (
    full_disk_remedy,
    once_more_if_stale,
    remove_stale_in,
    temporary_name,
    write_atomic,
)
from bids_dtg.files.foreign import (
    Table,
    folder_entries,
    read_bytes,
    read_table,
    read_text,
    reading,
)
from bids_dtg.files.locks import Locks
from bids_dtg.files.paths import expand_home
from bids_dtg.files.text import (
    encoded,
    json_text,
    read_json,
    write_json,
    write_text,
    write_tsv,
)
from bids_dtg.notices import visible_lines
from bids_dtg.version import __version__

BIDS_VERSION = "1.11.1"
_DESCRIPTION = "dataset_description.json"
_PROGRAM = "bids_dtg"
# Patterns of names for which BIDS (schema 1.11) has no rule, each with a comment. `figures` has no
# slash, so that it also covers the folders below sub-*.
IGNORED = {
    "*.html": "pages",
    "*.js": "rows of pages over thousands of participants",
    "figures": "pictures of pages",
    "logs/": "logs, methods text",
    "group": "group-level results",
    "*_statmap.*": "statistic maps (draft BEP 041)",
    "*_relmat.*": "matrices between regions (draft BEP 017)",
    "*_probseg.tsv": "names of overlapping regions, the rows of matrices (draft BEP 017)",
    "*_probseg.json": "sidecars of these tables",
    "*_timeseries.*": "time series (draft BEP 012)",
    "*_boldref.*": "mean BOLD, as fMRIPrep names it",
    "*_stat-coverage_bold.*": "fraction of each region with signal, as XCP-D names it",
    "*_qc.*": "quality of a run",
    "*_parameters.*": "parameters of a dynamics model",
    "*_behaviour.*": "choices and response times of a twin",
    "*_trials.*": "trials of a twin",
    "desc-inclusion_participants.*": "which participants were included",
}
# Many jobs of an array may end at the same time; each lists the folders, one after another.
_PATIENCE = 60.0  # seconds
# Paths from the output to the input, for the next run; kept in the logs, which are private.
_INPUT = "logs/input.json"
TEMPLATEFLOW = "templateflow"  # name of TemplateFlow in BIDS URIs
RAW = "raw"  # name of the raw dataset in BIDS URIs
# Prefix of the name of a folder that has no public address.
_NO_ADDRESS = "urn:dataset:"
_TEMPLATEFLOW_ADDRESS = "https://github.com/templateflow/templateflow"
# Keys of the description that users may edit, in addition to keys that the program does not write.
_EDITABLE = ("Name", "Authors", "License")
_PARTICIPANTS = {
    "Description": "Participants with results in this dataset",
    "participant_id": {"Description": "Participant, as the folders are named"},
}
# Key of the workflow's name in the program's entry of GeneratedBy.
_WORKFLOW = "Workflow"


@dataclass(frozen=True)
class SourceDataset:
    """The dataset that an output dataset is made from."""

    root: Path  # absolute; holds the participants' folders
    name: str  # its key in DatasetLinks and BIDS URIs
    description: Mapping[str, Any]  # its dataset_description.json; empty if it has none
    bids_dir: Path  # absolute; BIDS_DIR as given: the raw dataset or the root itself
    # Absolute; the raw dataset that it names or lies in, if that is not BIDS_DIR.
    raw: Path | None = field(default=None, kw_only=True)

    @property
    def raw_root(self) -> Path | None:
        """The raw dataset behind it; None if it is not on this machine."""
        return self.raw if self.bids_dir == self.root else self.bids_dir

    @property
    def described_name(self) -> str:
        """The name in its description, else the folder's."""
        return str(self.description.get("Name") or "").strip() or self.name

    @property
    def notice(self) -> str:
        """A warning about its participants; empty: none."""
        simulated = self.description.get("Simulated")
        return "SIMULATED people: not for science" if simulated else ""


@dataclass(frozen=True)
class DatasetWords:
    """Texts that describe an output dataset."""

    name: str  # Name in dataset_description.json
    # How to cite it: a sentence, an empty line, then one reference per line.
    citation: str
    readme: str  # text of the README
    workflow: str  # the workflow that makes it


@dataclass(frozen=True)
class DerivativeDataset:
    """The dataset below OUTPUT_DIR."""

    root: Path  # absolute

    def path(self, relative: PurePosixPath | str) -> Path:
        """Return the path of a file of the dataset, after following links to its folder.

        Raises
        ------
        OutputError
            The path lies outside the dataset.
        """
        path = self.root / relative
        # The last part may be a link, as git-annex makes them; it is replaced, not followed.
        inside = path.parent.resolve() / path.name
        root = self.root.resolve()
        if path.name in {"", ".."} or root not in inside.parents:
            raise OutputError(
                f"{path} leads outside the output folder {root}",
                remedy="remove the link that leads there",
            )
        return path

    def write(
        self, relative: PurePosixPath | str, content: bytes | Mapping[str, Any]
    ) -> Path:
        """Write a file of the dataset atomically and return its path; fields become JSON."""
        path = self.path(relative)
        if isinstance(content, Mapping):
            write_json(path, content)
        else:
            write_atomic(path, content)
        return path

    def write_if_changed(self, relative: PurePosixPath | str, content: str) -> None:
        """Write a text file that all runs share, unless it already has this content."""
        path = self.path(relative)
        try:
            if read_bytes(path) == encoded(content):
                return
        except ForeignFileError:
            pass  # missing, or damaged
        write_text(path, content)

    @property
    def workflow(self) -> str | None:
        """Name of the workflow that made the dataset; None if unknown."""
        name = _generator(read_json(self.root / _DESCRIPTION)).get(_WORKFLOW)
        return name if isinstance(name, str) else None

    def locks(self) -> Locks:
        """Return the locks of a run that writes to the dataset."""
        return Locks(self.path("logs/locks"))

    def remove(self, relative: PurePosixPath | str) -> None:
        """Remove a file of the dataset, if it exists."""
        self.path(relative).unlink(missing_ok=True)

    def describe(self, source: SourceDataset, words: DatasetWords) -> None:
        """Write the files that describe the dataset: description, README, .bidsignore.

        Files with the right content are left alone, and so is an existing README. Lines of an
        existing `.bidsignore` and what users have written into the description are kept.

        Parameters
        ----------
        source
            The dataset of fMRIPrep derivatives.
        words
            Texts that describe the dataset.
        """
        links = _links(source, self.root)
        existing = read_json(self.root / _DESCRIPTION)
        edited = {key: existing[key] for key in _EDITABLE if existing.get(key)}
        description = {
            **existing,
            "Name": words.name,
            "BIDSVersion": BIDS_VERSION,
            "DatasetType": "derivative",
            "GeneratedBy": [_this_program(words.workflow)],
            **_sources(source, links[source.name]),
            "DatasetLinks": {**links, TEMPLATEFLOW: _TEMPLATEFLOW_ADDRESS},
            **_cited(source, words),
            **edited,
        }
        self.write_if_changed(_DESCRIPTION, json_text(description))
        relative_folders = {
            name: os.path.relpath(folder, self.root)
            for name, folder in _folders(source).items()
        }
        self.write_if_changed(_INPUT, json_text(relative_folders))
        path = self.root / ".bidsignore"
        with reading(path, OutputError):
            lines = read_text(path).splitlines() if path.exists() else []
        for pattern, comment in IGNORED.items():
            lines += [] if pattern in lines else [f"# {comment}", pattern]
        self.write_if_changed(path.name, "\n".join(lines) + "\n")
        readmes = (self.root / "README", self.root / "README.md")
        if not any(readme.exists() for readme in readmes):
            self.write_if_changed("README", visible_lines(words.readme))

    def remove_stale_temporaries(self) -> None:
        """Remove what killed processes left in the folders that all runs share."""
        shared = [
            self.root / name
            for name in ("", "figures", "group", "logs", "logs/complete")
        ]
        for folder in (*shared, *self.root.glob("tpl-*")):
            remove_stale_in(folder)

    def update_participants(self) -> tuple[str, ...]:
        """Update participants.tsv from the `sub-*` folders; many processes may do so at once.

        Further columns are kept; rows without a folder are removed, and their names are returned.

        Raises
        ------
        OutputError
            The table cannot be read or written, or others write it all the time.
        """
        if not (self.root / "participants.json").exists():
            write_json(self.path("participants.json"), _PARTICIPANTS)
        path = self.path("participants.tsv")
        with self.locks() as locks:
            if holder := locks.take("participants", wait=_PATIENCE):
                raise OutputError(
                    f"{path} is in use by {holder}", remedy="run the command again"
                )
            with reading(path, OutputError):
                table = read_table(path) if path.exists() else Table(path, (), ())
            columns = table.header
            rows = {row[0]: row for row in table.rows}  # by participant
            if columns[:1] != ("participant_id",):
                columns = ("participant_id",)
                rows = {}
            # A dictionary keeps the order, and looks up names faster than a list.
            labels = participants_in(self.root)
            participants = dict.fromkeys(f"sub-{label}" for label in labels)
            if columns != table.header or participants.keys() != rows.keys():
                no_values = [None] * (len(columns) - 1)
                updated = [
                    rows.get(participant, (participant, *no_values))
                    for participant in participants
                ]
                write_tsv(path, columns, updated)
        return tuple(name for name in rows if name not in participants)


def participants_in(root: Path) -> tuple[str, ...]:
    """List the labels of the `sub-*` folders, sorted, without looking into them.

    Raises
    ------
    DatasetError
        The folder cannot be listed.
    """
    with folder_entries(root) as entries:
        names = [
            entry.name
            for entry in entries
            if entry.name.startswith("sub-") and entry.is_dir()
        ]
    return tuple(sorted(name.removeprefix("sub-") for name in names))


def files_of_participant(root: Path, label: str, pattern: str) -> list[Path]:
    """List a participant's files of all sessions whose names match a pattern, sorted."""
    folder = root / f"sub-{label}"
    paths = (*folder.glob(f"func/{pattern}"), *folder.glob(f"ses-*/func/{pattern}"))
    return sorted(paths)


def check_output_location(output_dir: Path, dataset: SourceDataset) -> Path:
    """Refuse an OUTPUT_DIR that would mix with the input or with another dataset.

    Nothing is created. Links are followed, so that no link can lead into the input.
    Returns the folder as an absolute path.

    Raises
    ------
    SettingsError
        OUTPUT_DIR is the input or lies inside the input derivatives; lies in the raw dataset but
        not in its `derivatives`; is the folder of another dataset; contains the input; or holds
        results from another input.
    """
    output = expand_home(output_dir, "OUTPUT_DIR").resolve()
    source = dataset.root.resolve()
    bids_dir = dataset.bids_dir.resolve()
    inputs = (source, bids_dir)
    inputs_within = [folder for folder in inputs if output in folder.parents]
    places = (output, *output.parents)
    file = next((place for place in places if place.is_file()), None)
    in_derivatives = bids_dir / "derivatives" in output.parents
    in_raw = bids_dir in output.parents and not in_derivatives
    description = read_json(output / _DESCRIPTION)
    made_by = _generator(description).get("Name")
    folder = read_json(output / _INPUT).get(dataset.name)
    earlier = (output / folder).resolve() if isinstance(folder, str) else source
    faults = {
        f"cannot be a folder, as {file} is a file": file,
        "is the input dataset itself": output in (bids_dir, source),
        f"is inside the dataset {source}": source in output.parents,
        f"is inside the raw dataset {bids_dir}, but not in its derivatives folder": in_raw,
        f"already holds another dataset ({made_by or 'a raw one'})": (
            description and made_by != _PROGRAM
        ),
        # An earlier input that was moved no longer exists. A folder may be mounted at two paths.
        f"holds results from {earlier}, not {source}": (
            earlier.is_dir() and not earlier.samefile(source)
        ),
        f"contains the input {next(iter(inputs_within), '')}": inputs_within,
    }
    for fault, applies in faults.items():
        if applies:
            choice = "another OUTPUT_DIR"
            if bids_dir != source:
                choice = f"e.g. {bids_dir / 'derivatives' / 'bids_dtg'}"
            raise SettingsError(
                f"OUTPUT_DIR {output} {fault}", remedy=f"choose {choice}"
            )
    return output


def refuse_other_workflow(output_dir: Path, workflow: str) -> None:
    """Refuse an OUTPUT_DIR that another workflow of this program has written to.

    Parameters
    ----------
    output_dir
        Output folder as given on the command line.
    workflow
        Name of the workflow of this run.

    Raises
    ------
    SettingsError
        Another workflow has written to it; the message names both.
    """
    output = expand_home(output_dir, "OUTPUT_DIR").absolute()
    made_by = DerivativeDataset(output).workflow
    if made_by not in (None, workflow):
        raise SettingsError(
            f"OUTPUT_DIR {output} holds results of --workflow {made_by}",
            expected=f"an empty folder, or one that --workflow {workflow} made",
            remedy="choose another OUTPUT_DIR",
        )


def prepare_output_folder(output_dir: Path) -> None:
    """Create the folder and its `logs`, and check that files can be written in both.

    Raises
    ------
    SettingsError
        A folder cannot be created or written to.
    """
    for folder, title in (
        (output_dir, f"OUTPUT_DIR {output_dir}"),
        (output_dir / "logs", f"{output_dir / 'logs'}, in OUTPUT_DIR,"),
    ):
        with _writing(folder, title):
            once_more_if_stale(partial(folder.mkdir, parents=True, exist_ok=True))
            _try_writing(folder)


def require_writable(output_dir: Path) -> None:
    """Check that files can be created in a folder, or in the one where it would be created.

    Raises
    ------
    SettingsError
        They cannot; nothing is left there.
    """
    folder = next(
        place for place in (output_dir, *output_dir.parents) if place.exists()
    )
    with _writing(folder, f"OUTPUT_DIR {output_dir}"):
        _try_writing(folder)


@contextmanager
def _writing(folder: Path, title: str) -> Iterator[None]:
    """Turn an error while a folder is tried into one that says what to do."""
    try:
        yield
    except OSError as err:
        raise SettingsError(
            f"{title} cannot be written to: {err.strerror or err}",
            remedy=full_disk_remedy(folder, err)
            or "choose another folder, or change its permissions or mount (Docker: add "
            '--user "$(id -u)")',
        ) from err


def _try_writing(folder: Path) -> None:
    """Write a file in a folder and remove it.

    Permissions prove nothing: a mount may be read-only, and root is allowed almost anything. A
    quota shows when something is written.
    """
    probe = folder / temporary_name()
    try:
        once_more_if_stale(partial(probe.write_bytes, b"\n"))
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)


def _generator(description: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the entry of the program that made the dataset, from its description."""
    programs = description.get("GeneratedBy")
    first = programs[0] if isinstance(programs, list) and programs else {}
    return first if isinstance(first, dict) else {}


def running_container() -> str | None:
    """Return `docker:<tag>` or `apptainer:<image>` if the environment names a container."""
    if tag := os.environ.get("DTG_CONTAINER_TAG"):
        return f"docker:{tag}"
    for variable in ("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER"):
        if image := os.environ.get(variable):
            return f"apptainer:{image}"
    return None


def _this_program(workflow: str) -> dict[str, Any]:
    """Return this program's entry of GeneratedBy."""
    program: dict[str, Any] = {
        "Name": _PROGRAM,
        "Version": __version__,
        _WORKFLOW: workflow,
    }
    if container := running_container():
        kind, _, tag = container.partition(":")
        if tag.startswith("/"):  # an Apptainer image file
            tag = PurePosixPath(tag).name
        program["Container"] = {"Type": kind, "Tag": tag}
    return program


def _cited(source: SourceDataset, words: DatasetWords) -> dict[str, Any]:
    """Return how to cite the results; authors and licence are those of the source data."""
    raw = read_json(source.bids_dir / _DESCRIPTION)
    acknowledgement, _, references = words.citation.partition("\n\n")
    cited = {
        "Authors": source.description.get("Authors") or raw.get("Authors"),
        "License": source.description.get("License"),
        "HowToAcknowledge": " ".join(acknowledgement.split()),
        "ReferencesAndLinks": references.splitlines(),
    }
    return {key: value for key, value in cited.items() if value}


def _sources(source: SourceDataset, url: str) -> dict[str, Any]:
    """Return what the description says of the input; nothing if it has no address."""
    entry = {} if url.startswith(_NO_ADDRESS) else {"URL": url}
    for key in ("DatasetDOI", "Version"):
        if isinstance(value := source.description.get(key), str):
            entry[key.removeprefix("Dataset")] = value
    return {"SourceDatasets": [entry]} if entry else {}


def _folders(source: SourceDataset) -> dict[str, Path]:
    """Return the input's folders by their names in BIDS URIs."""
    folders = {source.name: source.root}
    if source.raw_root:
        folders[RAW] = source.raw_root
    return folders


def _links(source: SourceDataset, root: Path) -> dict[str, str]:
    """Return links to the input's folders that reveal nothing about this machine.

    A link is relative if the input lies next to the output or above it, or in a raw dataset that
    does; it stays valid when all of them are moved together. Other paths may contain names of
    people and machines, so a DOI replaces them or, without one, a name that is not an address.
    """
    links = {}
    folders = _folders(source)
    near = [
        folder
        for folder in folders.values()
        if folder.parent == root.parent or folder in root.parents
    ]
    for name, folder in folders.items():
        if any(neighbour in (folder, *folder.parents) for neighbour in near):
            relative = Path(os.path.relpath(folder, root)).as_posix()
            links[name] = quote(os.fsencode(relative))
            continue
        links[name] = f"{_NO_ADDRESS}{name}"
        doi = source.description.get("DatasetDOI")
        if folder == source.root and isinstance(doi, str) and ":" in doi:
            links[name] = doi
    return links
