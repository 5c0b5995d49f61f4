"""The row of the workflow `dynamics` in the program's table of workflows."""

from __future__ import annotations

from functools import partial
from types import MappingProxyType

from bids_dtg.dynamics.bundle.kind import ARCHITECTURES
from bids_dtg.dynamics.recipe import RECIPES
from bids_dtg.statistics.analyses import ANALYSES
from bids_dtg.workflows import (
    OF_RUNS,
    OF_TRAINING,
    Analysis,
    FeatureKind,
    Simulation,
    Workflow,
    constant,
    later,
)

_RUN = later("dynamics.analyses.dispatch:run_analysis")
# Options of analyses that read regional time series.
_OF_SERIES = (
    "session_label",
    "model_name",
    "split_file",
    "seed",
    "input_arrays",
    "array_key",
    "mem_gb",
    "structural_connectivity",
)
_OF_TRAINING = (
    "architecture",
    *OF_TRAINING,
    "device",
    "states",
    "region_parameters",
    "no_external_input",
    "restarts",
)
_OF_MODEL = {"model_name": "that of --model"}

# Each person's features, for analyses over people.
FEATURES = (
    FeatureKind(
        "components",
        "components of covariances",
        later("cohort.features:find_scores"),
        constant("dynamics.panels.figures:COMPONENTS"),
        counts=True,
        covariates=("minutes_kept",),
    ),
)

ROW = Workflow(
    name="dynamics",
    help="models of the activity of each participant's regions; a linear core or the network model "
    "of Sip et al. (2023); the participant level reads images, the group level reads the output "
    "of participants or --input-arrays",
    participants=later("dynamics.participant.worker:LEVEL.run"),
    participants_read=(
        *OF_RUNS,
        "scheduler",
        "atlases",
        "sample_on",
        "array_key",
        "structural_connectivity",
    ),
    analyses=MappingProxyType(
        {
            "train": Analysis(
                partial(_RUN, "train"),
                "fit a linear core or a network to regional time series",
                reads=(*_OF_SERIES, *_OF_TRAINING),
            ),
            "evaluate": Analysis(
                partial(_RUN, "evaluate"),
                "compare --model and its simulations with simple models",
                reads=(
                    "model",
                    "architecture",
                    *_OF_SERIES,
                    "region_maps",
                    "simulations",
                    "folds",
                ),
                needs_model=True,
                instead_of_model="folds",
                shown=_OF_MODEL | {"folds": "none, as --model is evaluated"},
            ),
            "simulate": Analysis(
                partial(_RUN, "simulate"),
                "simulate each participant's regional activity with --model",
                reads=("model", *_OF_SERIES, "simulations"),
                needs_model=True,
                shown=_OF_MODEL,
            ),
            "fixed-points": Analysis(
                partial(_RUN, "fixed-points"),
                "find the fixed points of --model and their stability",
                reads=("model", *_OF_SERIES),
                needs_model=True,
                shown=_OF_MODEL,
            ),
            **ANALYSES,
        }
    ),
    features=MappingProxyType({kind.name: kind for kind in FEATURES}),
    helps={
        "atlases": "the atlas whose regions are modelled",
        "batch_size": "regions per batch",
    },
    shown={
        "model": "none",
        "split_file": "all train",
        **dict.fromkeys(("epochs", "batch_size", "learning_rate"), "that of --recipe"),
    },
    presentation=constant("dynamics.panels:PRESENTATION"),
    pages=("statistics",),
    kinds=constant("dynamics.bundle.kind:KINDS"),
    recipes=tuple(RECIPES),
    architectures={name: kind.help for name, kind in ARCHITECTURES.items()},
    demo=Simulation(
        later("dynamics.demo:run_core_demo"),
        help="a linear core from simulated images, and a new person",
        files="""\
OUT/index.html  begin here: predictions for the new person, and the truth
OUT/simulated   images of all people (fmriprep), their atlas and the truth
OUT/study       the training people's series, and the core (group/model-demo)
OUT/new         output for the new person, with a page (sub-….html)""",
        needs="less than a minute of one core",
        people=10,
        fewest=6,  # five to train on, and a new one
        most=99,
        takes=("--seed", "--published"),
        cores=1,
        # Each person's parameters are recovered by a regression over the others, so two people are
        # needed. Batches are so small that a second CPU core would only wait for the first.
        published=Simulation(
            later("dynamics.demo_recovery:run_network_demo"),
            help="the published network, fitted to people with known parameters",
            files="""\
OUT/index.html  begin here: how well parameters are recovered
OUT/simulated   the people as arrays (networks.npz), and their true parameters
OUT/demo.tsv    true and recovered parameters (demo.png: as a picture)""",
            needs="needs the extra train; about two minutes",
            people=8,
            fewest=2,
            most=99,
            cores=1,
        ),
    ),
    phantom=Simulation(
        later("dynamics.phantom.dataset:NetworkPhantom.run"),
        help="networks of oscillators with known parameters",
        files="""\
OUT/fmriprep   resting-state BOLD of 20 regions (4-mm voxels), as from fMRIPrep
OUT/atlas      the regions, for --atlases
OUT/connectomes, OUT/qsirecon
               structural connectomes, for --structural-connectivity
OUT/truth      the regions' series and parameters""",
    ),
)
