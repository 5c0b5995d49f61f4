"""Sentences of the workflow `dynamics` in its outputs and on its pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bids_dtg.dynamics.bundle.kind import REFERENCES_OF_CORES, kind_named
from bids_dtg.dynamics.bundle.linear import LinearPart
from bids_dtg.dynamics.networks import LEAST_FRAMES, MOST_CENSORED
from bids_dtg.dynamics.panels import figures
from bids_dtg.files.derivatives import DatasetWords
from bids_dtg.files.regions import SERIES
from bids_dtg.files.text import read_packaged
from bids_dtg.notices import counted
from bids_dtg.report.contents import ParticipantFiles, RunFiles
from bids_dtg.report.flags import (
    Flag,
    model_name,
    model_notice,
    notes_in_sidecars,
    training_sentence,
)
from bids_dtg.report.methods import (
    MethodsWords,
    fitted_to,
    parcel_methods,
)
from bids_dtg.report.panels import notes_on_lost, parcels_in_words
from bids_dtg.settings import OutputOptions
from bids_dtg.version import AUTHORS, __version__

TITLE = "Dynamics of resting-state activity"
# What a kind of model is for, at the beginning of the page of its evaluation.
PURPOSE_OF_CORES = (
    "A linear core is for functional connectivity: it predicts that of another day."
)
PURPOSE_OF_NETWORKS = (
    "A network is for its parameters: their maps over regions can be compared with those of "
    "cytoarchitecture and receptors. For functional connectivity of another day, fit a linear core."
)
# Text of the README of an output without a model.
_ABOUT_SERIES = "Regional time series at rest, and their functional connectivity."


def dataset_words(kind: str | None = None, notice: str = "") -> DatasetWords:
    """Return the description of an output.

    Parameters
    ----------
    kind
        Kind of the model; None: no model.
    notice
        A warning about the model or its people; may be empty.

    Examples
    --------
    >>> ["Sip" in dataset_words(kind).citation for kind in (None, "linear-dynamics")]
    [False, False]
    """
    row = None if kind is None else kind_named(kind)
    about = _ABOUT_SERIES if row is None else row.about
    references = () if row is None else row.references
    program = f"{', '.join(AUTHORS)}. bids_dtg, version {__version__}"
    return DatasetWords(
        name=f"{TITLE} (bids_dtg)",
        citation="\n".join(
            (
                "If you use these results, please cite the program and the methods that made them.",
                "",
                program,
                *references,
                "",
            )
        ),
        readme=read_packaged("bids_dtg.dynamics.panels", "readme.txt").format(
            about=about, notice=f"\n{notice}.\n" if notice else ""
        ),
        workflow="dynamics",
    )


@dataclass(frozen=True)
class NetworkMethods:
    """Facts of a run for the methods text."""

    series: str  # sentences on the series of parcels
    structural: str = ""  # source of the structural connectomes, in words; empty: none
    core: LinearPart | None = None  # the linear core's part of its card; None: no core


def methods_of(facts: NetworkMethods, outputs: OutputOptions) -> MethodsWords:
    """Describe how series and connectivity were made from cleaned runs.

    Examples
    --------
    >>> words = methods_of(NetworkMethods("Series are means."), OutputOptions())
    >>> words.computed[:50]
    'Series are means. Functional connectivity is the P'
    """
    measured = (
        f"{facts.series} Functional connectivity is the Pearson "
        "correlation between the series of every two parcels over these frames."
    )
    connected = facts.structural and (
        f"Structural connectivity was read from {facts.structural} and divided by its largest "
        "weight."
    )
    if facts.core is None:
        opening = "Series of parcels and their functional connectivity were computed"
        return parcel_methods(opening, (measured, connected), {})
    # The keys are how the text cites each work.
    names = ("Lütkepohl,", "Mejia")
    cited = {
        name: f"- {work}\n"
        for name, work in zip(names, REFERENCES_OF_CORES, strict=True)
    }
    return parcel_methods(
        "Linear processes of regions were inferred",
        (measured, connected, _described(facts.core)),
        cited,
        method="which describes a person's regions by a vector autoregression that is shrunk "
        "towards that of the training people",
        caution="Processes are estimates.",
        model=f"The model describes {counted(facts.core.regions, 'region')} and "
        f"{fitted_to(facts.core.people, facts.core.data_set)}",
    )


def _described(core: LinearPart) -> str:
    seconds = core.process_shrinkage * core.tr_seconds
    return (
        f"Covariances between regions at lags of 0 to {counted(core.order, 'frame')}, over the "
        "kept frames, were averaged with the training people's mean, which had the weight of "
        f"{seconds:.0f} s of the run (shrinkage as in Mejia et al., 2018). The process followed "
        "from the Yule-Walker equations (Lütkepohl, 2005). Features for statistics were computed "
        f"from unshrunken covariances. Runs with more than {MOST_CENSORED:.0%} of their frames "
        f"censored, or fewer than {LEAST_FRAMES} frames, were not modelled."
    )


def subtitle(files: ParticipantFiles) -> str:
    """Summarise a participant's results in one sentence."""
    runs = [run for run in files.runs if SERIES in run.files]
    if not runs:
        return "No series."
    modelled = sum(map(_is_modelled, runs))
    text = f"Series and functional connectivity of {parcels_in_words(files)} from "
    text += f"{counted(runs, 'run')} of rest"
    if not modelled:
        return text
    extent = "" if modelled == len(runs) else f" in {modelled} of them"
    name = model_name(_facts(files))
    return f"{text}, with effective connectivity{extent} by the model {name}".strip()


def model_line(files: ParticipantFiles) -> str:
    """Say on how many people the model was trained, and that its results are estimates."""
    facts = _facts(files)
    if not facts:
        return ""
    return f"{training_sentence(facts)}Effective connectivity is the model's estimate."


def notes_on_runs(files: ParticipantFiles) -> Iterator[Flag]:
    """Yield flags on lost parcels, on data that are not for science, and from sidecars."""
    if warned := model_notice(files):
        yield Flag("warning", warned)
    for run in files.runs:
        yield from notes_on_lost(run)
        yield from (flag for flag in notes_in_sidecars(run) if flag.text != warned)


def missing(run: RunFiles) -> str:
    """Say in one sentence why a run has no effective connectivity; empty if it has some."""
    if _is_modelled(run):
        return ""
    return "No effective connectivity: no model was given (--model)."


def _is_modelled(run: RunFiles) -> bool:
    return figures.EFFECTIVE in run.files


def _facts(files: ParticipantFiles) -> Mapping[str, Any]:
    """Return the sidecar of the first modelled run; empty if there is none."""
    return next((run.facts for run in files.runs if _is_modelled(run)), {})
