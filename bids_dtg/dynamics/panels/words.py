"""Texts of the workflow `dynamics`: README, methods, quality columns, lines on pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bids_dtg.dynamics.bundle.bundle import CITATION as PAPER
from bids_dtg.dynamics.panels import effective, parameters, person, predictive
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
- *_desc-dynamics_parameters.tsv, *_dynamics.nii.gz: parameters of each region, with their standard
  deviation, as a table and as images. Estimates.
- *_desc-lag1_relmat.tsv, *_desc-lag2_relmat.tsv: effective connectivity by a linear core: the
  effect of a column's parcel on a row's, one and two frames later, with standard deviations in
  *_desc-lag1sd_relmat.tsv, *_desc-lag2sd_relmat.tsv. Estimates.
- *_desc-person_parameters.tsv: parameters of the person by a named model, with their intervals
  and whether they can be trusted. Estimates.
- *_desc-components_parameters.tsv: scores of components of covariances: features for statistics.
- *_desc-regional_parameters.tsv: figures of regions by a linear core: description.
- *_desc-forecasts_qc.tsv: how well the first half of the run predicts frames of the second one.
- *_desc-simulated_timeseries.npz: series that the model simulates for the run. Not measured.
- *_qc.tsv: quality figures of each run; the JSON file beside it explains the columns.
- logs/CITATION.md: methods text and references.

Parameters and simulations are there where a model was given, and a structural connectome if the
model reads one.

Over people:

- group/model-NAME/: a model: its bundle, which carries everybody's parameters, and how it was
  fitted.
- group/evaluation-NAME/: how its simulations agree with the measured series, beside simple models.
- group/folds-NAME/: the same of a linear core, for everybody, trained without the person's fold.
- group/simulation-NAME/: series that a model simulates.
- group/fixed-points-NAME/: where the activity of a model rests.
- group/intervention-NAME/: what lesions and other interventions change in a linear core. An effect
  inside a model is not evidence of an effect in a person.
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
    QualityColumn("simulations", "Sessions that the model simulated; n/a where there is no model"),
    QualityColumn(
        "not_modelled", "Why no parameters were inferred, in words; n/a where they were inferred"
    ),
)


@dataclass(frozen=True)
class ModelOfNetworks:
    """Facts of a network model for the methods text."""

    regions: int  # number of regions
    people: int  # number of training participants
    data_set: str = ""  # its training data set; empty: not known
    amortised: bool = True  # whether it infers parameters of new people
    scaled: str = ""  # further scaling of weights, in words; empty: none
    recipe: str = ""  # name of its recipe; empty: not known
    departures: tuple[str, ...] = ()  # of the recipe from the publication, in words
    faults: tuple[str, ...] = ()  # of parameters that cannot be trusted, in words


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
class NamedWords:
    """Facts of a named model for the methods text."""

    regions: int  # number of regions
    people: int  # number of training participants
    data_set: str  # its training data set; empty: not known
    words: str  # what it is
    simulations: int  # that parameters were inferred from
    faults: tuple[str, ...] = ()  # which parameters cannot be trusted, and why


@dataclass(frozen=True)
class NetworkMethods(ParcelMethods):
    """Facts of a call for the methods text; nothing in it is assumed."""

    structural: str = ""  # source of the structural connectomes, in words; empty: none
    model: ModelOfNetworks | None = None  # a network model; None: the call has none
    core: LinearCore | None = None  # likewise
    named: NamedWords | None = None  # likewise
    simulations: int = 0  # of each run
    most_filled: float = 0.3  # largest share of filled frames of a modelled run
    least_frames: int = 60  # fewest frames of a modelled run


_CITED = {
    "Beaumont": """\
- Beaumont, M. A., Zhang, W., & Balding, D. J. (2002). Approximate Bayesian computation in
  population genetics. *Genetics*, 162, 2025-2035. https://doi.org/10.1093/genetics/162.4.2025
""",
    "Hopf": """\
- Deco, G., Kringelbach, M. L., Jirsa, V. K., & Ritter, P. (2017). The dynamics of resting
  fluctuations in the brain: metastability and its dynamical cortical core. *Scientific Reports*,
  7, 3095. https://doi.org/10.1038/s41598-017-03073-5
""",
    "Wong-Wang": """\
- Deco, G., et al. (2013). Resting-state functional connectivity emerges from structurally and
  dynamically shaped slow linear fluctuations. *Journal of Neuroscience*, 33, 11239-11252.
  https://doi.org/10.1523/JNEUROSCI.1091-13.2013
""",
    "Sip": """\
- Sip, V., et al. (2023). Characterization of regional differences in resting-state fMRI with a
  data-driven network model of brain dynamics. *Science Advances*, 9, eabq7547.
  https://doi.org/10.1126/sciadv.abq7547
""",
}


def methods_of(facts: NetworkMethods, outputs: OutputOptions) -> MethodsWords:
    """Describe how series, connectivity and parameters were made from cleaned runs.

    Examples
    --------
    >>> words = methods_of(NetworkMethods("HCP", 19, 0.5), OutputOptions())
    >>> words.computed.partition(";")[0]
    'The series of voxels were averaged within the 19 parcels of the atlas HCP'
    >>> "Sip" in words.references
    False
    """
    made = "Series of parcels and their functional connectivity were computed"
    model = None
    if facts.model is not None:
        made = "Parameters of regions were inferred, and series simulated,"
        caution = "Parameters are estimates, and simulated series were not measured."
        method = _METHOD_AFTER if facts.model.departures else _METHOD
        model = ModelWords(method, caution, _about(facts.model))
    if facts.core is not None:
        made = "Linear processes of regions were inferred, and series simulated,"
        caution = "Processes are estimates, and simulated series were not measured."
        model = ModelWords(_METHOD_OF_CORE, caution, _describes(facts.core))
    if facts.named is not None:
        made = "Parameters of participants were inferred, and series simulated,"
        caution = "Parameters are estimates, and simulated series were not measured."
        model = ModelWords(_METHOD_OF_NAMED, caution, _describes(facts.named))
    computed = (
        *(_measured(facts), _connected(facts), _modelled(facts), _described(facts)),
        _simulated(facts),
    )
    return parcel_methods(made, computed, model, _CITED)


_METHOD = "which implements the data-driven network model of brain dynamics (Sip et al., 2023)"
_METHOD_AFTER = (
    "which implements a network model of brain dynamics that was derived from that of Sip et al. "
    "(2023)"
)


_METHOD_OF_CORE = (
    "which describes a person's regions by a vector autoregression that is shrunk to that of "
    "training people"
)


_METHOD_OF_NAMED = (
    "which fits a model with few parameters to a person by simulations (approximate Bayesian "
    "computation; Beaumont et al., 2002)"
)


def _simulated(facts: NetworkMethods) -> str:
    if facts.named is None:
        return ""
    named = facts.named
    coupled = (
        "a participant's own structural connectome"
        if facts.structural
        else "the mean structural connectome of the training people"
    )
    text = (
        f"Sessions of {named.words} (Deco et al.), coupled by {coupled}, without delays or "
        "haemodynamics, were simulated by parameters from uniform priors. A participant's "
        "parameters were inferred from functional connectivity, covariances one and two frames "
        "later, and the dynamics of functional connectivity, by regression of the closest "
        "simulations."
    )
    return text + _faulty(named.faults)


def _described(facts: NetworkMethods) -> str:
    if facts.core is None:
        return ""
    core = facts.core
    text = (
        f"Covariances of regions at lags of 0 to {counted(core.order, 'frame')}, over the frames "
        "kept, were mixed with the mean of the training people, which counted as much as "
        f"{core.transition_seconds:.0f} s of the run for the transition and "
        f"{core.covariance_seconds:.0f} s for the covariance of a frame; the process follows by "
        f"the Yule-Walker equations. Runs with more than {facts.most_filled:.0%} of their frames "
        f"left out, or fewer than {facts.least_frames} frames, were not modelled."
    )
    if facts.simulations:
        text += (
            f" {counted(facts.simulations, 'session')} of each run were simulated and compared "
            "with the measured one."
        )
    return text


def _describes(model: LinearCore | ModelOfNetworks | NamedWords) -> str:
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
    scaled = f", and {facts.model.scaled}" if facts.model and facts.model.scaled else ""
    return (
        f"Structural connectivity was read from {facts.structural} and divided by its largest "
        f"weight{scaled}."
    )


def _modelled(facts: NetworkMethods) -> str:
    if facts.model is None:
        return ""
    text = (
        "For the model alone, frames that were left out were filled by linear interpolation, and "
        "those before the first and after the last frame kept were cut; runs with more than "
        f"{facts.most_filled:.0%} of their frames filled, or fewer than {facts.least_frames} "
        "frames, were not modelled. Parameters of regions are means and standard deviations of "
        "the model's approximate posterior"
    )
    text += (
        ", by encoders that read a person's series without training on them."
        * (facts.model.amortised)
        or "."
    )
    if facts.simulations:
        text += (
            f" {counted(facts.simulations, 'session')} of each run were simulated, all regions "
            "together, and compared with the measured one."
        )
    return text + _faulty(facts.model.faults)


def _faulty(faults: tuple[str, ...]) -> str:
    return f" By simulations with known parameters, {'; '.join(faults)}." if faults else ""


def _about(model: ModelOfNetworks) -> str:
    text = _describes(model)
    if not model.recipe:
        return text
    text += f" It has the recipe {model.recipe} of bids_dtg"
    if not model.departures:
        return f"{text}."
    return f"{text}, which departs from the publication: {'; '.join(model.departures)}."


def subtitle(files: ParticipantFiles) -> str:
    """Summarise a participant's results in a line."""
    runs = [run for run in files.runs if SERIES in run.files]
    if not runs:
        return "No series."
    modelled = sum(_is_modelled(run) for run in runs)
    text = f"Series and functional connectivity of {parcels_in_words(files)} from "
    text += f"{counted(len(runs), 'run')} of rest"
    if not modelled:
        return text
    what = _made(runs)
    of_all = "" if modelled == len(runs) else f" of {modelled} of them"
    return f"{text}, with {what}{of_all} by the model {model_name(_facts(files))}".strip()


def _facts(files: ParticipantFiles) -> Mapping[str, Any]:
    """Return the sidecar of the first modelled run."""
    return next((run.facts for run in files.runs if _is_modelled(run)), {})


_EFFECTIVE = "effective connectivity"
# What models make of a run, by its file.
_MADE = {
    parameters.FILE: "regional parameters",
    person.FILE: "parameters of the person",
    effective.FILE: _EFFECTIVE,
}


def _made(runs: Sequence[RunFiles]) -> str:
    found = (words for kind, words in _MADE.items() if any(kind in run.files for run in runs))
    return next(found, _EFFECTIVE)


def _is_modelled(run: RunFiles) -> bool:
    return any(kind in run.files for kind in _MADE)


def model_line(files: ParticipantFiles) -> str:
    """Say in a line on how many people the model was trained; its results are estimates."""
    if not any(_is_modelled(run) for run in files.runs):
        return ""
    stands = stands_on(_facts(files))
    of_core = _made(files.runs) == _EFFECTIVE
    what = "Connectivity by the model is an estimate" if of_core else "Parameters are estimates"
    return f"{stands}{what}; simulated series were not measured."


def notes_on_run(run: RunFiles) -> Iterator[Flag]:
    """Yield flags of a run on missing results, and on its cleaning."""
    yield from notes_on_lost(run)
    if failing := predictive.failing(run):
        yield Flag("warning", failing, run.title)
    if why := _why_not_modelled(run):
        yield Flag("note", f"Not modelled: {why}", run.title)
    if marked := person.marked(run) or parameters.marked(run):
        yield Flag("warning", marked, run.title)
    yield from notes_in_sidecars(run)


def missing(run: RunFiles) -> str:
    """Say in a line which results of a run are missing, and why; empty if none are."""
    lacks = [
        words
        for kind, words in ((parameters.FILE, "parameters"), (predictive.FILE, "simulations"))
        if kind not in run.files and not (kind is parameters.FILE and _is_modelled(run))
    ]
    if not lacks:
        return ""
    why = _why_not_modelled(run) or "they were not requested, or were removed"
    return f"No {' and no '.join(lacks)}: {why}."


def _why_not_modelled(run: RunFiles) -> str:
    found = run.quality.get("not_modelled", "n/a")
    return "" if found in ("n/a", "") else found.rstrip(".")
