"""The demo: the analyses of twins on simulated people, whose true behaviour is known."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.extras import require
from bids_dtg.files.array_store import read_npz
from bids_dtg.files.text import read_rows, write_tsv
from bids_dtg.notices import counted, show
from bids_dtg.report.page import write_demo
from bids_dtg.report.tables import Table, number_text
from bids_dtg.settings import Settings
from bids_dtg.twin.phantom.bold import simulate_bold
from bids_dtg.twin.phantom.files import write_twin_people
from bids_dtg.twin.phantom.people import TwinPeople, simulate_twin_people
from bids_dtg.twin.phantom.world import Regime, trial_sequence
from bids_dtg.workflows import SIMULATED, TABLE

RESULTS = "results"  # below the folder of the demo
_SEQUENCES = ("stroopAP",)
_UNSEEN = 3  # one in three people is left out of the fit
_STEP = 2.0  # SD of a move
_NAME = "demo"
_WARNING = (
    "Everything here is SIMULATED: it says nothing about brains. An effect inside a model is not "
    "evidence of an effect in a person."
)
_ARRAYS = ("connectomes.npz", "task_bold.npz")


def run_twin_demo(
    arguments: argparse.Namespace,
    *,
    regime: Regime = "hard",
    regions: int = 100,
    epochs: int = 40,
    permutations: int = 50,
) -> None:
    """Simulate people, run the analyses of the group level, and compare them with the truth.

    Parameters
    ----------
    arguments
        `out`, a new or empty folder; the number of `participants`; and the `seed` of all random
        numbers.
    regime, regions
        Of the simulation.
    epochs, permutations
        Epochs of the group's network, and permutations of behaviour for the null of interventions.

    Raises
    ------
    SettingsError
        A package is missing.
    """
    require(
        "the demo of the digital twin",
        "torch",
        "lightning",
        extra="train",
        otherwise="--workflow contrasts, which needs none",
    )
    from bids_dtg.twin.analyses.evaluate import run_evaluation
    from bids_dtg.twin.analyses.intervene import run_interventions
    from bids_dtg.twin.analyses.train import run_training

    out: Path = arguments.out
    participants, seed = arguments.participants, arguments.seed
    folder = out / SIMULATED
    people = simulate_twin_people(participants, regime, regions=regions, seed=seed)
    sequences = [trial_sequence(name) for name in _SEQUENCES]
    runs = people.runs(sequences, seed=seed)
    write_twin_people(
        folder, people, sequences, runs, simulate_bold(people, runs, seed=seed)
    )
    split = folder / "split.tsv"
    unseen = participants // _UNSEEN
    sets = ["training"] * (participants - unseen) + ["test"] * unseen
    write_tsv(split, ["participant_id", "set"], zip(people.labels, sets, strict=True))
    show(f"{counted(participants, 'simulated participant')} in {folder}")
    bundle = out / RESULTS / "group" / f"model-{_NAME}" / "bundle"

    def settings(analysis: str, **options: Any) -> Settings:
        return Settings.of(
            bids_dir=folder / "bids",
            output_dir=out / RESULTS,
            analysis_level="group",
            workflow="twin",
            analysis=analysis,
            input_arrays=tuple(str(folder / name) for name in _ARRAYS),
            seed=seed,
            **options,
        )

    run_training(settings("train", model_name=_NAME, split_file=split, epochs=epochs))
    run_evaluation(settings("evaluate", model=str(bundle)))
    run_interventions(
        settings("intervene", model=str(bundle), permutations=permutations)
    )
    figures = _compared(out / RESULTS / "group", people)
    _write_figures(out, figures, participants, regime)


def _write_figures(
    out: Path,
    figures: Mapping[str, tuple[float, float]],
    participants: int,
    regime: Regime,
) -> None:
    """Write predicted and true values as a table, as lines and on the demo's page."""
    rows = [(name, *values) for name, values in figures.items()]
    rounded = [(name, round(twin, 4), round(true, 4)) for name, twin, true in rows]
    write_tsv(out / TABLE, ["figure", "predicted", "true"], rounded)
    share = {"easy": "all", "hard": "40 %"}.get(regime, "a part")
    text = [
        f"Connectomes explain {share} of the differences between these people. Predictions are for "
        "people who were left out of the fit. Changes are calibrated, except by selective moves."
    ]
    show("")
    for name, predicted, true in rows:
        show(f"  {name:42}{number_text(predicted):>10}{number_text(true):>10}")
    write_demo(
        out,
        "Demo: digital twins and the truth",
        f"{counted(participants, 'SIMULATED participant')}, who perform a Stroop task.",
        _WARNING,
        text=text,
        tables=[Table("", ("measure", "predicted", "true"), rows)],
        pages={
            f"{RESULTS}/index.html": "Training, evaluation and interventions",
            TABLE: TABLE,
        },
    )


def _compared(group: Path, people: TwinPeople) -> Mapping[str, tuple[float, float]]:
    """Return predicted and true values: means over unseen people, and changes by moves.

    An r is NaN where predictions are the same for everybody but for rounding.
    """
    from bids_dtg.twin.analyses.intervene import DIRECTIONS
    from bids_dtg.twin.interventions import correlation_of

    row_of = {f"sub-{label}": number for number, label in enumerate(people.labels)}
    predicted = read_rows(group / f"evaluation-{_NAME}" / "desc-people_predicted.tsv")
    unseen = people.select([row_of[row["participant_id"]] for row in predicted])
    figures: dict[str, tuple[float, float]] = {}
    true = unseen.functions(_SEQUENCES)
    for name, values in true.items():
        predictions = np.array([float(row[f"twin_{name}"]) for row in predicted])
        figures[f"{name}: mean (s)"] = float(predictions.mean()), float(values.mean())
        r = correlation_of(predictions, values)
        figures[f"{name}: r with the truth"] = r, 1.0
    folder = group / f"intervention-{_NAME}"
    arrays = read_npz(folder / DIRECTIONS)
    steps = dict(zip(arrays["moves"].tolist(), arrays["steps"], strict=True))
    for row in read_rows(folder / "desc-moves_judged.tsv"):
        name = row["function"]
        size = row["calibrated" if row["way"] == "all" else "change"]
        if size == "n/a" or name not in true:
            continue
        after = unseen.after(_STEP * steps[f"{name} {row['way']}"]).functions(
            _SEQUENCES
        )
        changes = after[name] - true[name]
        move = f"{row['direction']}, {row['way']}"
        figures[f"{move} (s)"] = float(size), float(changes.mean())
        by_person = {
            person["participant_id"]: float(person["change"])
            for person in read_rows(folder / "desc-people_changes.tsv")
            if (person["function"], person["way"]) == (name, row["way"])
        }
        predictions = np.array([by_person[row["participant_id"]] for row in predicted])
        r = correlation_of(predictions, changes)
        figures[f"{move}: r with each person's true change"] = r, 1.0
    return figures
