"""The row of the workflow `contrasts` in the program's table of workflows."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from bids_dtg.contrasts.bundle.kinds import KINDS
from bids_dtg.contrasts.participant.outputs import WRITES
from bids_dtg.contrasts.plan import RECIPES
from bids_dtg.settings import NETWORK_BATCH, NETWORK_EPOCHS, NETWORK_RATE
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

# Features of contrast maps, and of the connectomes behind them, for analyses over people.
FEATURES = (
    FeatureKind(
        "maps", "predicted maps", later("cohort.features:find_maps"), synthetic=True
    ),
    FeatureKind(
        "asymmetry",
        "left minus right of predicted maps",
        later("cohort.features:find_asymmetry"),
        synthetic=True,
    ),
    FeatureKind("measured", "measured maps", later("contrasts.contrast:find_measured")),
    FeatureKind(
        "edges",
        "edges of the connectome",
        later("cohort.features:find_edges"),
        constant("contrasts.panels.run:CONNECTOME_FILE"),
    ),
)

# Options of analyses that need rest and measured maps.
_MEASURED_OPTIONS = (
    *OF_RUNS,
    "device",
    "combine",
    "sample_on",
    "contrast",
    "model_name",
    "split_file",
    "seed",
)
# Options of analyses over people: which maps they use, and at which voxels.
_STATISTICS_OPTIONS = (
    "combine",
    "contrast",
    "derivatives",
    "input_type",
    "atlases",
    "voxels",
)

ROW = Workflow(
    name="contrasts",
    help="maps of task activation",
    participants=later("contrasts.participant.worker:LEVEL.run"),
    participants_read=(*OF_RUNS, "device", "scheduler", "output", "contrast"),
    group=later("contrasts.analyses.group:run_group"),
    analyses=MappingProxyType(
        {
            "train": Analysis(
                later("contrasts.analyses.train:run_training"),
                "make a model from participants' rest and measured maps "
                "(--derivatives statmaps=PATH)",
                reads=(*_MEASURED_OPTIONS, *OF_TRAINING, "architecture", "features"),
            ),
            "finetune": Analysis(
                later("contrasts.analyses.finetune:run_finetuning"),
                "adapt --model to participants' rest and measured maps",
                reads=(*_MEASURED_OPTIONS, *OF_TRAINING, "schedule"),
                needs_model=True,
                expects="--model hcp-ya, or another network, which is to be adapted",
                shown={"epochs": f"{NETWORK_EPOCHS}, or 50 with --recipe published"},
            ),
            "evaluate": Analysis(
                later("contrasts.analyses.evaluate:run_evaluation"),
                "score the maps of --model against participants' measured maps",
                reads=_MEASURED_OPTIONS,
                shown={"model_name": "that of --model"},
            ),
            **{
                name: replace(row, reads=(*row.reads, *_STATISTICS_OPTIONS))
                for name, row in ANALYSES.items()
            },
        }
    ),
    features=MappingProxyType({kind.name: kind for kind in FEATURES}),
    writes=WRITES,
    presentation=constant("contrasts.panels.presentation:PRESENTATION"),
    pages=("contrasts", "statistics"),
    kinds=KINDS.values,
    published=constant("contrasts.bundle.registry:PUBLISHED"),
    recipes=tuple(RECIPES),
    read_checkpoint=later("contrasts.bundle.checkpoint:read_lightning_checkpoint"),
    defaults={
        "epochs": NETWORK_EPOCHS,
        "batch_size": NETWORK_BATCH,
        "learning_rate": NETWORK_RATE,
    },
    architectures={name: row.help for name, row in KINDS.items()},
    demo=Simulation(
        later("contrasts.demo:run_demo"),
        help="maps by the demo model",
        files="""\
OUT/index.html  begin here: the maps compared with the truth
OUT/simulated   the people: resting-state runs and true maps
OUT/maps        what bids_dtg makes of their rest, as for a real dataset
OUT/demo.tsv    how well the maps match the truth, one row per contrast
OUT/demo.png    a predicted map and the true one""",
        most=99,
        takes=("--broken-run",),
    ),
    phantom=Simulation(
        later("contrasts.demo:run_phantom"),
        help="rest and task maps",
        files="""\
OUT/fmriprep   resting-state BOLD, brain masks and confounds, as by fMRIPrep
OUT/statmaps   47 measured maps per participant, sessions test and retest
OUT/truth      the same maps without measurement noise""",
    ),
)
