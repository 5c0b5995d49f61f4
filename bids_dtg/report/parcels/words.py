"""What is said of parcels: how their series were made, and which have none."""

from __future__ import annotations

from collections.abc import Iterator

from bids_dtg.files.regions.series import SERIES
from bids_dtg.notices import counted
from bids_dtg.report.contents import ParticipantFiles, RunFiles
from bids_dtg.report.flags import Flag
from bids_dtg.report.parcels.coverage import read_lost
from bids_dtg.report.parcels.files import read_cells

# By the name that a text cites it with.
SCHAEFER = {
    "Schaefer": """\
- Schaefer, A., et al. (2018). Local-global parcellation of the human cerebral cortex from intrinsic
  functional connectivity MRI. *Cerebral Cortex*, 28, 3095-3114.
  https://doi.org/10.1093/cercor/bhx179
""",
}
_NAMED = 5  # parcels in a note


def averaged(atlas: str, parcels: int, min_coverage: float) -> str:
    """Say how series of voxels became those of parcels, for the methods text.

    Parameters
    ----------
    atlas
        Its key.
    parcels
        How many it has.
    min_coverage
        Share of a parcel with signal, below which it has no series.

    Examples
    --------
    >>> averaged("HCP", 19, 0.5).partition(";")[0]
    'The series of voxels were averaged within the 19 parcels of the atlas HCP'
    """
    cite = " (Schaefer et al., 2018)" if atlas.startswith("Schaefer2018") else ""
    return (
        f"The series of voxels were averaged within the {parcels} parcels of the atlas "
        f"{atlas}{cite}; parcels with signal in less than {min_coverage:.0%} of their "
        "voxels have none. What the cleaning removes was projected out of the series of parcels "
        "over the frames that were kept, and each was scaled to mean 0 and standard deviation 1."
    )


def parcels_in_words(files: ParticipantFiles) -> str:
    """Say of how many parcels the first run with series has them; empty where none has."""
    run = next((run for run in files.runs if SERIES in run.files), None)
    if run is None:
        return ""
    table = read_cells(run.files[SERIES])
    return counted(len(table.header), "parcel") if table else "parcels"


def notes_on_lost(run: RunFiles) -> Iterator[Flag]:
    """Yield the warning that parcels of a run have no series, where some have none."""
    if lost := read_lost(run):
        named = ", ".join(lost[:_NAMED]) + (f" and {len(lost) - _NAMED} more" * bool(lost[_NAMED:]))
        text = f"{counted(len(lost), 'parcel')} without a series, for want of signal: {named}"
        yield Flag("warning", text, run.title)


def notes_in_sidecars(run: RunFiles) -> Iterator[Flag]:
    """Yield what the sidecars of a run's results, or of a set's, ask to be told."""
    for key in ("ModelNotice", "CleaningNote"):
        if note := run.facts.get(key):
            yield Flag("note" if key == "ModelNotice" else "warning", str(note), run.title)
    notes = run.facts.get("Notes")
    for note in notes if isinstance(notes, list) else ():
        yield Flag("note", str(note), run.title)
