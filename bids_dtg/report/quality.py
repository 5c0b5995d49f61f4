"""The quality table of a run: its columns, how it is written, and how it is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.names import FileKind
from bids_dtg.files.text import read_rows, write_json, write_tsv

FILE = FileKind("qc", None, ".tsv")


@dataclass(frozen=True)
class QualityColumn:
    """A column: what it means, and how pages show it."""

    name: str  # in the table
    meaning: str  # for the data dictionary
    title: str = ""  # on the group page, and in a participant's summary; empty: not there
    unit: str = ""
    decimals: int = 2  # on the group page
    summary: str = ""  # layout of the worst run's value in the summary; empty: not there
    flag: str = ""  # of a value beyond its limit (`LIMITS`); {value} stands for it; empty: none


# The columns of every workflow, before and after its own.
FIRST = (
    QualityColumn("participant_id", "Participant"),
    QualityColumn("session_id", "Session, n/a where the dataset has none"),
    # Not "task" and "run": pybids takes a sidecar's keys of that name for entities, and refuses.
    QualityColumn("task_id", "Task label of the run"),
    QualityColumn("run_id", "Run label, n/a where the run has none"),
    QualityColumn("repetition_time", "Seconds between frames"),
    QualityColumn(
        "model_repetition_time",
        "Seconds between frames of the runs that the model was trained on; n/a where not known",
    ),
    QualityColumn(
        "voxel_size",
        "Edge of a cube of the volume of a voxel of the file that was read, in mm",
    ),
    QualityColumn("model_voxel_size", "The same of the runs that the model was trained on, in mm"),
    QualityColumn("frames", "Frames in the file"),
    QualityColumn("frames_kept", "Frames left after dummy scans and censoring"),
    QualityColumn(
        "minutes_kept",
        "Minutes of rest left after dummy scans and censoring",
        title="Rest that was used",
        unit="min",
        decimals=1,
        flag="{value:.1f} minutes of rest are left",
    ),
    QualityColumn(
        "confound_columns", "Independent columns removed by regression, the intercept included"
    ),
    QualityColumn(
        "residual_dof",
        "Residual degrees of freedom: frames kept less independent columns removed, those of "
        "filters included; n/a for runs cleaned elsewhere whose sidecar does not state them",
        title="Degrees of freedom left",
        decimals=0,
        summary="{:.0f}",
        flag="{value:.0f} degrees of freedom are left after cleaning (ten minutes in a narrow band "
        "leave about 50); the fewer, the noisier are the maps",
    ),
    QualityColumn(
        "effective_dof",
        "The same less what the autocorrelation of the ROI series takes (Bartlett 1946); n/a "
        "where they are",
    ),
    QualityColumn(
        "fd_mean",
        "Mean framewise displacement over all frames, in mm; n/a where it is not known",
        title="Mean framewise displacement",
        unit="mm",
        summary="{:.2f}",
        flag="Mean framewise displacement is {value:.2f} mm",
    ),
)
LAST = (QualityColumn("seconds_processing", "Seconds from opening the run to its maps"),)


def write_quality(
    figures: Mapping[str, object],
    columns: Sequence[QualityColumn],
    entities: Mapping[str, str],
    output: DerivativeDataset,
) -> Iterator[PurePosixPath]:
    """Write the table of a run, and what its columns mean; yield their paths.

    Parameters
    ----------
    figures
        Figures of the run, by column.
    columns
        Of the workflow, in the order of the table.
    entities
        That name what is written about the run.
    output
        Output dataset for the files.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    path = FILE.path(entities)
    row = [figures[column.name] for column in columns]
    write_tsv(output.path(path), [column.name for column in columns], [row])
    yield path
    path = FILE.path(entities, ".json")
    write_json(output.path(path), dictionary(columns))
    yield path


def read_quality(path: Path) -> Mapping[str, str]:
    """Read the figures of a run by column; none where they cannot be read."""
    rows = read_rows(path)
    return rows[0] if rows else {}


def dictionary(columns: Sequence[QualityColumn]) -> dict[str, dict[str, str]]:
    """Return the data dictionary (BIDS JSON) of a quality table."""
    return {column.name: {"Description": column.meaning} for column in columns}


def number(text: str | None) -> float | None:
    """Read a cell of a table; None for n/a and what is no number.

    Examples
    --------
    >>> number("0.25"), number("n/a")
    (0.25, None)
    """
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if value == value else None
