"""Texts of the workflow `dynamics`: README, methods, quality columns, lines on pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bids_dtg.dynamics.bundle.network import CITATION as PAPER
from bids_dtg.dynamics.panels import effective
from bids_dtg.files.regions.series import SERIES
from bids_dtg.notices import counted
from bids_dtg.report.contents import ParticipantFiles, RunFiles
from bids_dtg.report.flags import Flag
from bids_dtg.report.methods import MethodsWords
from bids_dtg.report.parcels.quality import COLUMNS as PARCEL_COLUMNS
from bids_dtg.report.parcels.words import (
    ModelWords,
    ParcelMethods,
    fitted_to,
    model_name,
    notes_in_sidecars,
    notes_on_lost,
    parcel_methods,
    parcels_in_words,
    stands_on,
)
from bids_dtg.report.quality import QualityColumn
from bids_dtg.settings import OutputOptions
from bids_dtg.version import AUTHORS

README = """\
Network models of resting-state activity
========================================

Each model in this dataset describes the resting-state activity of people's regions as one
dynamical system (Sip et al., 2023): every region follows the same equation, with parameters of its
own, and is driven by the regions that it is connected with. Models were fitted to measured series
and structural connectomes; parameters are estimates, and simulated series were not measured.

Of each participant and run of rest, in sub-*/[ses-*/]func:

- *_stat-mean_timeseries.tsv: the cleaned series of each parcel of an atlas, a column a parcel;
  frames that were left out, and parcels with too little signal, are n/a.
- *_stat-pearsoncorrelation_relmat.tsv: their functional connectivity.
- *_stat-coverage_bold.tsv: the share of each parcel's voxels that have signal.
- *_desc-structural_relmat.tsv: the structural connectome as the model read it.
- *_desc-lag1_relmat.tsv, *_desc-lag2_relmat.tsv: effective connectivity by a linear core: the
  effect of a column's parcel on a row's, one and two frames later. Estimates.
- *_desc-components_parameters.tsv: scores of components of covariances: features for statistics.
- *_qc.tsv: quality figures of each run; the JSON file beside it explains the columns.
- logs/CITATION.md: methods text and references.

Effective connectivity and components are there where a model was given.

Over people:

- group/model-NAME/: a model: its bundle, which carries everybody's parameters, and how it was
  fitted.
- group/evaluation-NAME/: how its simulations agree with the measured series, beside simple models.
- group/folds-NAME/: the same of a linear core, for everybody, trained without the person's fold.
- group/simulation-NAME/: series that a model simulates.
- group/fixed-points-NAME/: where the activity of a model rests.
- Tables have a JSON file of the same name that explains their columns.
"""
CITATION = f"""\
If you use these models, please cite the method and the program that made them.

{", ".join(AUTHORS)}. bids_dtg, version {{version}}
{PAPER}
"""

COLUMNS = (
    *PARCEL_COLUMNS,
    QualityColumn(
        "filled_share",
        "Share of the frames from the first to the last one kept that were filled by "
        "interpolation, for the model alone; n/a where the run was not modelled",
        title="Frames filled for the model",
        decimals=3,
        most=1.0,
        summary="{:.1%}",
    ),
    QualityColumn("not_modelled", "Why no model describes the run, in words; n/a where one does"),
)


@dataclass(frozen=True)
class LinearCore:
    """Facts of a linear core for the methods text."""

    regions: int  # number of regions
    people: int  # number of training participants
    data_set: str  # its training data set; empty: not known
    order: int  # earlier frames that a frame follows from
    # Seconds of a person that the training people's mean counts as much as.
    transition_seconds: float
    covariance_seconds: float


@dataclass(frozen=True)
class NetworkMethods(ParcelMethods):
    """Facts of a call for the methods text; nothing in it is assumed."""

    structural: str = ""  # source of the structural connectomes, in words; empty: none
    core: LinearCore | None = None  # None: the call has no model
    most_filled: float = 0.3  # largest share of filled frames of a modelled run
    least_frames: int = 60  # fewest frames of a modelled run


def methods_of(facts: NetworkMethods, outputs: OutputOptions) -> MethodsWords:
    """Describe how series and connectivity were made from cleaned runs.

    Examples
    --------
    >>> words = methods_of(NetworkMethods("HCP", 19, 0.5), OutputOptions())
    >>> words.computed.partition(";")[0]
    'The series of voxels were averaged within the 19 parcels of the atlas HCP'
    """
    made = "Series of parcels and their functional connectivity were computed"
    model = None
    if facts.core is not None:
        made = "Linear processes of regions were inferred"
        model = ModelWords(_METHOD, "Processes are estimates.", _describes(facts.core))
    computed = (_measured(facts), _connected(facts), _described(facts))
    return parcel_methods(made, computed, model, {})


_METHOD = (
    "which describes a person's regions by a vector autoregression that is shrunk to that of "
    "training people"
)


def _described(facts: NetworkMethods) -> str:
    if facts.core is None:
        return ""
    core = facts.core
    return (
        f"Covariances of regions at lags of 0 to {counted(core.order, 'frame')}, over the frames "
        "kept, were mixed with the mean of the training people, which counted as much as "
        f"{core.transition_seconds:.0f} s of the run for the transition and "
        f"{core.covariance_seconds:.0f} s for the covariance of a frame; the process follows by "
        f"the Yule-Walker equations. Runs with more than {facts.most_filled:.0%} of their frames "
        f"left out, or fewer than {facts.least_frames} frames, were not modelled."
    )


def _describes(model: LinearCore) -> str:
    fitted = fitted_to(model.people, model.data_set)
    return f"The model describes {counted(model.regions, 'region')} and {fitted}"


def _measured(facts: NetworkMethods) -> str:
    return (
        f"{facts.averaged} Functional connectivity is the Pearson correlation of each two of them "
        "over these frames."
    )


def _connected(facts: NetworkMethods) -> str:
    if not facts.structural:
        return ""
    return (
        f"Structural connectivity was read from {facts.structural} and divided by its largest "
        "weight."
    )


def subtitle(files: ParticipantFiles) -> str:
    """Summarise a participant's results in a line."""
    runs = [run for run in files.runs if SERIES in run.files]
    if not runs:
        return "No series."
    modelled = sum(effective.FILE in run.files for run in runs)
    text = f"Series and functional connectivity of {parcels_in_words(files)} from "
    text += f"{counted(len(runs), 'run')} of rest"
    if not modelled:
        return text
    of_all = "" if modelled == len(runs) else f" of {modelled} of them"
    name = model_name(_facts(files))
    return f"{text}, with effective connectivity{of_all} by the model {name}".strip()


def _facts(files: ParticipantFiles) -> Mapping[str, Any]:
    """Return the sidecar of the first modelled run."""
    return next((run.facts for run in files.runs if effective.FILE in run.files), {})


def model_line(files: ParticipantFiles) -> str:
    """Say in a line on how many people the model was trained; its results are estimates."""
    if not any(effective.FILE in run.files for run in files.runs):
        return ""
    return f"{stands_on(_facts(files))}Connectivity by the model is an estimate."


def notes_on_run(run: RunFiles) -> Iterator[Flag]:
    """Yield flags of a run on missing results, and on its cleaning."""
    yield from notes_on_lost(run)
    if why := _why_not_modelled(run):
        yield Flag("note", f"Not modelled: {why}", run.title)
    yield from notes_in_sidecars(run)


def missing(run: RunFiles) -> str:
    """Say in a line which results of a run are missing, and why; empty if none are."""
    if effective.FILE in run.files:
        return ""
    why = _why_not_modelled(run) or "it was not requested, or was removed"
    return f"No effective connectivity: {why}."


def _why_not_modelled(run: RunFiles) -> str:
    found = run.quality.get("not_modelled", "n/a")
    return "" if found in ("n/a", "") else found.rstrip(".")
