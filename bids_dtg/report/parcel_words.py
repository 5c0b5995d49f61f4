"""What is said of parcels: how their series were made, which have none, figures of quality."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.parcels import fc_strength
from bids_dtg.files.regions import SERIES
from bids_dtg.imaging.atlas import MIN_COVERAGE
from bids_dtg.notices import counted
from bids_dtg.report.contents import ParticipantFiles, RunFiles
from bids_dtg.report.flags import Flag, trained_on
from bids_dtg.report.methods import SAID, MethodsWords
from bids_dtg.report.parcels import read_cells, read_lost
from bids_dtg.report.quality import WORDS, packaged_columns

_NAMED = 5  # parcels in a note


@dataclass(frozen=True)
class ParcelMethods:
    """What the methods text says of a call; nothing in it is assumed."""

    atlas: str  # its key
    parcels: int  # how many it has

    @property
    def averaged(self) -> str:
        """How series of voxels became those of parcels.

        Examples
        --------
        >>> ParcelMethods("HCP", 19).averaged.partition(";")[0]
        'The series of voxels were averaged within the 19 parcels of the atlas HCP'
        """
        cite = " (Schaefer et al., 2018)" if self.atlas.startswith("Schaefer2018") else ""
        return (
            f"The series of voxels were averaged within the {self.parcels} parcels of the atlas "
            f"{self.atlas}{cite}; parcels with signal in less than {MIN_COVERAGE:.0%} of "
            "their voxels have none. What the cleaning removes was projected out of the series of "
            "parcels over the frames that were kept, and each was scaled to mean 0 and standard "
            "deviation 1."
        )


def parcel_methods(
    made: str, computed: Sequence[str], cited: Mapping[str, str], **of_model: str
) -> MethodsWords:
    """Put together what a workflow says in the methods text.

    Parameters
    ----------
    made
        What was made of resting-state fMRI, and how.
    computed
        Sentences on what was computed from the cleaned runs; empty ones are left out.
    cited
        Works by the name that sentences cite them with.
    **of_model
        `method`, `caution` and `model` of `MethodsWords`, where a call has a model.
    """
    text = " ".join(filter(None, computed))
    said = f"{text} {of_model.get('method', '')}"
    works = "".join(
        work for name, work in {**cited, **SAID["parcel_references"]}.items() if f"{name} " in said
    )
    return MethodsWords(
        f"{made} from resting-state fMRI", text, f"## References\n\n{works}", **of_model
    )


def fitted_to(people: int, data_set: str) -> str:
    """State the number of people a model was fitted to.

    Examples
    --------
    >>> fitted_to(2, "hcp")
    'was fitted to 2 participants of hcp.'
    """
    return f"was fitted to {counted(people, 'participant')}{f' of {data_set}' * bool(data_set)}."


def stands_on(facts: Mapping[str, Any]) -> str:
    """Say on how many people a model stands, by the sidecars of its results; else nothing."""
    people = trained_on(facts)
    return f"The model was fitted to {counted(people, 'participant')}. " if people else ""


def model_name(facts: Mapping[str, Any]) -> str:
    """Return name and version of a model, by the sidecars of its results."""
    return f"{facts.get('ModelName') or ''} {facts.get('ModelVersion') or ''}".strip()


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
    """Yield the notices and notes in the sidecars of the results of a run or an average."""
    for key in ("ModelNotice", "CleaningNote"):
        if note := run.facts.get(key):
            yield Flag("note" if key == "ModelNotice" else "warning", str(note), run.title)
    notes = run.facts.get("Notes")
    for note in notes if isinstance(notes, list) else ():
        yield Flag("note", str(note), run.title)


COLUMNS = packaged_columns(WORDS, "parcels")


def parcel_figures(
    coverage: NDArray[np.floating[Any]],
    connectivity: NDArray[np.floating[Any]],
    std_dvars: NDArray[np.floating[Any]] | None,
) -> dict[str, object]:
    """Return the figures of a run's parcels, by column of the quality table (`COLUMNS`).

    Parameters
    ----------
    coverage
        Share of each parcel's voxels with signal, (parcels,).
    connectivity
        Functional connectivity, (parcels, parcels); NaN where a parcel has no series.
    std_dvars
        (frames,), NaN where n/a; None where it is not known.

    Examples
    --------
    >>> figures = parcel_figures(np.array([1.0, 0.5]), np.array([[1, 0.25], [0.25, 1]]), None)
    >>> figures["coverage"], figures["fc_mean"], figures["std_dvars_mean"]
    (0.75, 0.25, None)
    """
    known = np.isfinite(connectivity.diagonal())
    dvars = np.empty(0) if std_dvars is None else std_dvars[np.isfinite(std_dvars)]
    strength = float(fc_strength(connectivity))
    return {
        "parcels": len(coverage),
        "parcels_kept": int(known.sum()),
        "coverage": round(float(coverage.mean()), 4),
        "parcel_coverage_min": round(float(coverage.min()), 4),
        "std_dvars_mean": round(float(dvars.mean()), 4) if dvars.size else None,
        "fc_mean": round(strength, 4) if np.isfinite(strength) else None,
    }
