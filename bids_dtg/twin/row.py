"""The row of the workflow `twin`, through which the rest of the program uses the slice."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from bids_dtg.statistics.analyses import ANALYSES
from bids_dtg.twin.recipe import ARCHITECTURES, RECIPES
from bids_dtg.workflows import (
    OF_RUNS,
    OF_TRAINING,
    Analysis,
    FeatureKind,
    Run,
    Simulation,
    Workflow,
    constant,
    later,
)

if TYPE_CHECKING:
    from bids_dtg.settings import Settings


def _analysis(analysis: str, function: str, settings: Settings) -> int:
    from bids_dtg.extras import require

    require(
        f"--workflow twin --analysis {analysis}", "torch", "lightning", extra="train"
    )
    run: Run = later(f"twin.analyses.{function}")
    return run(settings)


# Options of analyses of people's connectomes and behaviour.
_OF_BEHAVIOUR = (
    "session_label",
    "task_id",
    "model_name",
    "split_file",
    "seed",
    "input_arrays",
    "array_key",
    "mem_gb",
    "participants_file",
)
_OF_TRAINING = ("architecture", *OF_TRAINING, "device")

_OF_MODEL = {"model_name": "that of --model"}

# Features of people, for group analyses.
FEATURES = (
    FeatureKind(
        "times",
        "predicted response times",
        later("cohort.features:find_scores"),
        constant("twin.panels.behaviour:FILE"),
        columns=("task_name", "condition", "predicted_rt_seconds"),
        counts=True,
    ),
    FeatureKind(
        "changes",
        "changes by an intervention",
        later("cohort.features:find_changes"),
        columns=("function", "way", "change"),
    ),
)

ROW = Workflow(
    name="twin",
    help="networks made from participants' connectomes that perform their tasks; as in Takahashi "
    "et al. (2026). The participant level makes connectomes and runs twins; the group level reads "
    "event files from BIDS_DIR, and connectomes from OUTPUT_DIR or --input-arrays",
    participants=later("twin.participant.worker:LEVEL.run"),
    participants_read=(
        *OF_RUNS,
        "scheduler",
        "combine",
        "atlases",
        "sample_on",
        "task_file",
    ),
    analyses=MappingProxyType(
        {
            "train": Analysis(
                partial(_analysis, "train", "train:run_training"),
                "fit networks to people's connectomes and responses",
                reads=(*_OF_BEHAVIOUR, *_OF_TRAINING, "task_file", "covariates"),
            ),
            "evaluate": Analysis(
                partial(_analysis, "evaluate", "evaluate:run_evaluation"),
                "score --model in people outside its training set, or with --folds each fold's "
                "people by twins of the others",
                reads=(
                    "model",
                    *_OF_BEHAVIOUR,
                    *_OF_TRAINING,
                    "task_file",
                    "covariates",
                    "folds",
                ),
                needs_model=True,
                instead_of_model="folds",
                helps={
                    "folds": "folds of a cross-validation over participants; halves: train on the "
                    "first half of each run, evaluate on the second",
                },
                shown=_OF_MODEL | {"folds": "none, as --model is evaluated"},
                halves=True,
            ),
            "intervene": Analysis(
                partial(_analysis, "intervene", "intervene:run_interventions"),
                "edges on which the behaviour of --model depends, and how behaviour changes "
                "when connectomes are moved",
                reads=("model", *_OF_BEHAVIOUR, "permutations"),
                needs_model=True,
                shown=_OF_MODEL | {"permutations": "200"},
            ),
            **{
                name: replace(row, reads=(*row.reads, "combine"))
                for name, row in ANALYSES.items()
            },
        }
    ),
    features=MappingProxyType({kind.name: kind for kind in FEATURES}),
    helps={
        "atlases": "the atlas whose regions make connectomes, and a second one for task BOLD",
        "epochs": "maximum number of training epochs of each stage",
        "covariates": "columns to adjust connectomes and mean response times for",
    },
    shown={
        "architecture": "lowrank",
        "model": "none",
        "split_file": "all train",
        **dict.fromkeys(("epochs", "batch_size", "learning_rate"), "that of --recipe"),
    },
    presentation=constant("twin.panels.averages:PRESENTATION"),
    pages=("twin", "statistics"),
    kinds=constant("twin.bundle.part:KINDS"),
    recipes=tuple(RECIPES),
    architectures={name: row.help for name, row in ARCHITECTURES.items()},
    # A third of the people are predicted from the others.
    demo=Simulation(
        later("twin.demo:run_twin_demo"),
        help="networks made from connectomes, which predict how people perform a task",
        files="""\
OUT/index.html  begin here: scores of unseen people, predicted and true
OUT/simulated   the people: connectomes.npz, event files (bids), truth.tsv
OUT/results     the output of training, evaluation and interventions, with pages
OUT/demo.tsv    the same comparison as a table""",
        needs="needs the extra train; about two minutes of one core",
        # Fitted to fewer than 200, connectomes often do not predict left-out people.
        people=300,
        fewest=30,  # ten are unseen: interventions need as many
        takes=("--seed",),
        cores=1,
    ),
    phantom=Simulation(
        later("twin.phantom.dataset:TwinPhantom.run"),
        help="rest and event files of people whose responses follow their connectomes",
        files="""\
OUT/fmriprep   resting-state BOLD of 20 regions (4-mm voxels), as from fMRIPrep
OUT/atlas      the regions, as --atlases takes them
OUT/bids       a raw dataset: event files of two tasks, without images
OUT/truth      connectomes, parameters and mean response times""",
    ),
)
