"""Sentences of the workflow `twin` in its outputs and on its pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bids_dtg.files.derivatives import DatasetWords
from bids_dtg.files.text import read_packaged
from bids_dtg.notices import counted
from bids_dtg.report.contents import ParticipantFiles, RunFiles
from bids_dtg.report.flags import (
    Flag,
    left_out,
    model_name,
    notes_in_sidecars,
    training_sentence,
)
from bids_dtg.report.methods import (
    MethodsWords,
    fitted_to,
    parcel_methods,
)
from bids_dtg.report.panels import notes_on_lost, parcels_in_words
from bids_dtg.settings import Combine, OutputOptions
from bids_dtg.stats.verdict import NO_EVIDENCE
from bids_dtg.twin.bundle.bundle import CITATION as PAPER
from bids_dtg.twin.bundle.part import TwinPart
from bids_dtg.twin.panels.behaviour import FILE as BEHAVIOUR
from bids_dtg.twin.panels.behaviour import PREDICTED, behaviour_of, has
from bids_dtg.version import AUTHORS, __version__

TITLE = "Digital twins that perform people's tasks"
_CITATION = f"""\
If you use these models, please cite the method and the program that made them.

{", ".join(AUTHORS)}. bids_dtg, version {__version__}
{PAPER}
"""
_README = read_packaged("bids_dtg.twin.panels", "readme.txt").format(
    no_evidence=NO_EVIDENCE
)
DATASET = DatasetWords(f"{TITLE} (bids_dtg)", _CITATION, _README, workflow="twin")


@dataclass(frozen=True)
class TwinMethods:
    """Facts of a run for the methods text."""

    series: str  # sentences on the series of parcels
    combine: Combine  # which runs make one connectome
    tasks: tuple[str, ...] = ()  # names of the tasks with event files
    model: TwinPart | None = None  # None: no model was given
    # Whether they are task runs, of which no connectome is made.
    reads_task_runs: bool = False


_CITED = {
    "Takahashi": """\
- Takahashi, Y., Soda, T., Tomita, H., & Yamashita, Y. (2026). Digital Twin Brain: Generating
  Multitask Behavior from Connectomes for Personalized Therapy. *BME Frontiers*, 7, 0231.
  https://doi.org/10.34133/bmef.0231
""",
}
_METHOD = (
    "which implements networks generated from connectomes (Takahashi et al., 2026)"
)
_OF = {
    "run": "run",
    "session": "session and task",
    "participant": "participant and task",
}


def methods_of(facts: TwinMethods, outputs: OutputOptions) -> MethodsWords:
    """Describe how connectomes and predicted behaviour were computed from cleaned runs.

    Examples
    --------
    >>> series = "Series are means, and each series was scaled."
    >>> words = methods_of(TwinMethods(series, "session"), OutputOptions())
    >>> words.computed[:72]
    "Series are means, and each series was scaled. A connectome is Fisher's z"
    >>> "Takahashi" in words.references, words.caution
    (False, '')
    >>> runs_of_tasks = TwinMethods(series, "session", reads_task_runs=True)
    >>> methods_of(runs_of_tasks, OutputOptions()).computed[:35]
    'Series are means; values are percen'
    """
    if facts.reads_task_runs:
        return parcel_methods(
            "Series of parcels were computed", (_on_clock(facts),), {}
        )
    if facts.model is None:
        return parcel_methods("Connectomes were computed", (_connected(facts),), _CITED)
    return parcel_methods(
        "Connectomes were computed, and behaviour predicted from them,",
        (_connected(facts), _performed(facts)),
        _CITED,
        method=_METHOD,
        caution=f"Predicted behaviour is an estimate, not a measurement. {NO_EVIDENCE}",
        model=_about(facts.model),
    )


def _connected(facts: TwinMethods) -> str:
    averaged = ""
    if facts.combine != "run":
        averaged = (
            f", averaged over the runs of a {_OF[facts.combine]}, weighted by their residual "
            "degrees of freedom (by the minutes kept where these are unknown)"
        )
    return (
        f"{facts.series} A connectome is Fisher's z of the Pearson "
        f"correlation of each pair of parcels over these frames{averaged}."
    )


def _on_clock(facts: TwinMethods) -> str:
    series, _, _ = facts.series.partition(", and each series was scaled")
    return (
        f"{series}; values are percent of each parcel's mean signal, at the times of the run's "
        "event file. These series are not used for connectomes."
    )


def _performed(facts: TwinMethods) -> str:
    return (
        f"Trials and responses of the tasks {', '.join(facts.tasks)} were read from event files. "
        "The network made from each connectome performed the participant's own trials; "
        "where a participant has no event file of a task, it performed those of the first event "
        "file in the data set, without its responses. A network outputs the distribution of "
        "response times in each trial; predicted responses are its mean and the most likely button."
    )


def _about(model: TwinPart) -> str:
    fitted = fitted_to(model.people, model.data_set)
    tasks = ", ".join(task.name for task in model.tasks)
    text = f"The model performs {tasks} and {fitted}"
    if model.connectome:
        text += f" Their connectomes: {model.connectome}."
    return text


def subtitle(files: ParticipantFiles) -> str:
    """Describe a participant's results in one line."""
    if not files.combined:
        return "No connectome."
    number = len(files.combined)
    connectomes = "Connectome" if number == 1 else f"{number} connectomes"
    text = f"{connectomes} of {parcels_in_words(files)} from "
    text += f"{counted(files.runs, 'run')} of rest"
    if not any(map(is_predicted, files.combined)):
        return text
    return f"{text}, and predicted behaviour by the model {model_name(_facts(files))}".strip()


def model_line(files: ParticipantFiles) -> str:
    """State in one line the size of the training set, and that behaviour is predicted."""
    if not any(map(is_predicted, files.combined)):
        return ""
    stands = training_sentence(_facts(files))
    return f"{stands}Its behaviour is a prediction, not a measurement. {NO_EVIDENCE}"


def notes(files: ParticipantFiles) -> Iterator[Flag]:
    """Yield flags of lost parcels, of runs left out, and notes of sidecars."""
    for run in files.runs:
        yield from notes_on_lost(run)
        yield from notes_in_sidecars(run)
    for average in files.combined:
        if average.facts.get("NotForScience"):
            yield Flag("warning", "The model is not for science", average.title)
        yield from left_out(average.facts, average.title)
        yield from notes_in_sidecars(average)


def is_predicted(average: RunFiles) -> bool:
    """Return whether an average has predicted behaviour."""
    return has(behaviour_of(average), PREDICTED)


def _facts(files: ParticipantFiles) -> Mapping[str, Any]:
    """Return the sidecar fields of the first set with behaviour."""
    with_behaviour = (row for row in files.combined if BEHAVIOUR in row.files)
    return next((average.facts for average in with_behaviour), {})
