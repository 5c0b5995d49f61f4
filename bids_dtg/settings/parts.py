"""The parts of the settings: a frozen dataclass for each concern, an option a field."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from bids_dtg.settings.option import MODELS, RESULTS, option

InputType = Literal["fmriprep", "xcpd", "hcp", "ukb"]
InputChoice = Literal["auto", InputType]
Interpolation = Literal["linear", "nearest", "cubic"]

# Threshold of nilearn's scrubbing strategy (its default since 0.10.3).
SCRUBBING_FD_MM = 0.5
Combine = Literal["run", "session", "participant"]
# Of the network that predicts maps; the recipes of other workflows have values of their own.
NETWORK_EPOCHS, NETWORK_BATCH, NETWORK_RATE = 100, 10, 1e-3
MAP_PERMUTATIONS = 1000
FOLDS = 5
FILE_ONLY = ("features",)  # options that --config-file alone has
# Analyses whose results are named after the model that they use.
_BY_MODEL = ("evaluate", "simulate", "fixed-points", "intervene")
_OF_RECIPE = dict.fromkeys(("dynamics", "twin"), "that of --recipe")


@dataclass(frozen=True)
class InputOptions:
    """What is read, from where, and the model."""

    SHAPES: ClassVar = (MODELS,)

    bids_dir: Path = option(
        "input",
        "BIDS dataset, or its folder derivatives/fmriprep; or a folder of XCP-D derivatives, HCP "
        "or UK Biobank data",
    )
    output_dir: Path = option("input", "where the derivative dataset is written", shapes=())
    analysis_level: Literal["participant", "group"] = option(
        "input",
        "participant (maps and reports) or group (all participants of OUTPUT_DIR, or --analysis)",
    )
    participant_label: tuple[str, ...] = option(
        "selection",
        "participants to process; sub- may be left out",
        default=(),
        metavar="LABEL",
        shown_default="all",
    )
    session_label: tuple[str, ...] = option(
        "selection",
        "sessions to process; ses- may be left out",
        default=(),
        flags=("--session-label", "--session-id"),
        metavar="LABEL",
        shown_default="all",
    )
    task_id: tuple[str, ...] = option(
        "selection",
        "resting-state tasks to process",
        default=(),
        flags=("-t", "--task-id"),
        metavar="TASK",
        shown_default="every task whose name begins with 'rest'",
    )
    bids_filter_file: Path | None = option(
        "selection",
        'JSON file of pybids filters for the BOLD series, e.g. {"bold": {"acquisition": "mb"}}',
        default=None,
    )
    derivatives: tuple[str, ...] = option(
        "selection",
        "fMRIPrep or XCP-D derivatives outside BIDS_DIR; atlas=PATH: a BIDS data set of atlases",
        default=(),
        flags=("-d", "--derivatives"),
        metavar="[PACKAGE=]PATH",
        shown_default="BIDS_DIR, or BIDS_DIR/derivatives/fmriprep",
    )
    input_type: InputChoice = option(
        "selection",
        "what BIDS_DIR holds: fMRIPrep or XCP-D derivatives, HCP or UK Biobank folders",
        default="auto",
    )
    space: str | None = option(
        "selection",
        "space of the BOLD series to read: a template, T1w, or boldref for the run's own space; "
        "fsLR:seg-NAME trains a model of parcels from CIFTI",
        default=None,
        metavar="SPACE",
        shown_default="the available one that needs the least resampling",
    )
    workflow: str = option(
        "model", "what is made of resting-state runs", default="contrasts", shapes=()
    )
    model: str = option(
        "model",
        "installed name or folder of a model; or the name of one that was trained in OUTPUT_DIR; "
        "dtg-models list shows installed names",
        default="hcp-ya",
        metavar="PATH|NAME",
    )


@dataclass(frozen=True)
class CleaningOptions:
    """How runs are cleaned."""

    SHAPES: ClassVar = (RESULTS, MODELS)

    denoise_strategy: str = option(
        "cleaning",
        "confounds removed from each run; --workflow NAME --help explains them",
        default="auto",
        shown_default="simple for fMRIPrep, none for what was cleaned before",
    )
    fd_threshold: float | None = option(
        "cleaning",
        "framewise displacement in mm above which scrubbing censors a frame",
        default=None,
        metavar="MM",
        shown_default=f"{SCRUBBING_FD_MM} with scrubbing",
    )
    gsr: bool = option(
        "cleaning",
        "also remove the global signal",
        default=False,
    )
    custom_confounds: Path | None = option(
        "cleaning",
        "further columns to remove: a folder of tables named as fMRIPrep's, a table, or "
        "a path with entities in braces, e.g. /c/{sub}_{ses}_{task}.tsv",
        default=None,
        metavar="FOLDER|TSV",
    )
    high_pass: float | None = option(
        "cleaning",
        "high-pass cut-off, in place of fMRIPrep's cosines",
        default=None,
        metavar="HZ",
    )
    low_pass: float | None = option(
        "cleaning",
        "low-pass cut-off",
        default=None,
        metavar="HZ",
    )
    smoothing_fwhm: float | None = option(
        "cleaning",
        "smooth each frame within the brain mask",
        default=None,
        metavar="MM",
    )
    dummy_scans: str = option(
        "cleaning",
        "frames to drop at the start of each run; auto: those that fMRIPrep flagged",
        default="auto",
        metavar="auto|N",
    )
    min_minutes: float = option(
        "cleaning",
        "least time that censoring must leave of a run",
        default=4.0,
        metavar="MINUTES",
    )
    interpolation: Interpolation = option(
        "cleaning",
        "of series that are not on the model's grid",
        default="cubic",
    )

    @property
    def scrubbing_fd_mm(self) -> float:
        """Framewise displacement above which scrubbing censors a frame."""
        return SCRUBBING_FD_MM if self.fd_threshold is None else self.fd_threshold


@dataclass(frozen=True)
class ModellingOptions:
    """How models are made and evaluated."""

    SHAPES: ClassVar = (MODELS,)

    analysis: str | None = option(
        "modelling",
        "what to do at the group level; --analysis NAME --help explains one",
        default=None,
        shown_default="none: a table and page of everybody",
    )
    architecture: str | None = option(
        "modelling",
        "kind of model to train",
        default=None,
        shown_default={"": "linear", "twin": "lowrank"},
    )
    recipe: str = option(
        "modelling",
        "how networks are trained; published: as in the paper of the workflow (contrasts: CR-R "
        "loss, not re-centred; dynamics: 1,001 epochs and two restarts; twin: the paper's sizes)",
        default="default",
    )
    schedule: Literal["known", "new", "all"] = option(
        "modelling",
        "what finetune adapts; known: one contrast of the model, its output row frozen; new: "
        "contrasts that the model lacks, by a new output layer; all: contrasts of the model, "
        "nothing frozen",
        default="known",
    )
    contrast: tuple[str, ...] = option(
        "modelling",
        "labels of the contrasts to work on or to write, or tasks for all contrasts of each",
        default=(),
        metavar="LABEL",
        shown_default="all",
    )
    model_name: str | None = option(
        "modelling",
        "name of the model that is made, or of the results' folder in OUTPUT_DIR/group",
        default=None,
        flags=("--model-name", "--name"),
        metavar="NAME",
        shown_default={
            "": "own; of statistics none",
            **dict.fromkeys(_BY_MODEL, "that of --model"),
        },
        shapes=(),
    )
    input_arrays: tuple[str, ...] = option(
        "modelling",
        "participants as arrays (npz or HDF5) instead of images; BIDS_DIR names the data set",
        default=(),
        metavar="FILE",
    )
    array_key: tuple[str, ...] = option(
        "modelling",
        "key under which files of --input-arrays hold NAME",
        default=(),
        metavar="NAME=KEY",
    )
    split_file: Path | None = option(
        "modelling",
        "table with the columns participant_id and set (training, validation, calibration, test)",
        default=None,
        metavar="TSV",
        shown_default={
            "": "drawn at random, families together",
            **dict.fromkeys(("dynamics", "twin"), "all train"),
        },
    )
    epochs: int | None = option(
        "modelling",
        "most epochs of training",
        default=None,
        shown_default={
            "": f"{NETWORK_EPOCHS}",
            "finetune": f"{NETWORK_EPOCHS}, or 50 as --recipe published",
            **_OF_RECIPE,
        },
    )
    batch_size: int | None = option(
        "modelling",
        "participants in a batch (dynamics: regions)",
        default=None,
        shown_default={"": str(NETWORK_BATCH), **_OF_RECIPE},
    )
    features: int = option(
        "modelling",
        "channels of the network's first level",
        default=64,
    )
    learning_rate: float | None = option(
        "modelling",
        "initial learning rate of Adam",
        default=None,
        metavar="RATE",
        shown_default={"": f"{NETWORK_RATE:g}", **_OF_RECIPE},
    )
    seed: int = option(
        "modelling",
        "seed of splits, initial weights, batches and simulations",
        default=0,
    )

    @property
    def network_epochs(self) -> int:
        """Epochs of the network that predicts maps, at most."""
        return NETWORK_EPOCHS if self.epochs is None else self.epochs

    @property
    def network_batch(self) -> int:
        """Participants in a batch of that network."""
        return NETWORK_BATCH if self.batch_size is None else self.batch_size

    @property
    def network_rate(self) -> float:
        """Rate of Adam at the start of that network's training."""
        return NETWORK_RATE if self.learning_rate is None else self.learning_rate


@dataclass(frozen=True)
class DynamicsOptions:
    """The network model of people's dynamics: what it consists of, how it is trained and judged.

    Where an option is None, the recipe decides (`bids_dtg.dynamics.recipe`).
    """

    SHAPES: ClassVar = (MODELS,)

    states: int | None = option(
        "dynamics",
        "dimensions of a region's state",
        default=None,
        shown_default="3",
    )
    region_parameters: int | None = option(
        "dynamics",
        "parameters of each region of each participant",
        default=None,
        shown_default="3",
    )
    no_external_input: bool = option(
        "dynamics",
        "train without an input shared by all regions",
        default=False,
    )
    restarts: int | None = option(
        "dynamics",
        "trainings, of which the best by held-out ELBO is kept",
        default=None,
        shown_default="1; 2 with --recipe published",
    )
    simulations: int = option(
        "dynamics",
        "simulations of each participant",
        default=50,
        shapes=(),
    )
    structural_connectivity: Path | None = option(
        "dynamics",
        "structural connectomes over the atlas' regions: a file for everybody, or a folder with "
        "sub-*_relmat.tsv or QSIRecon's *connectivity.mat, .csv, of which --array-key "
        "structural=KEY chooses one",
        default=None,
        metavar="FILE|FOLDER",
    )
    region_maps: Path | None = option(
        "dynamics",
        "table of regional maps to compare parameters with",
        default=None,
        shapes=(),
    )


@dataclass(frozen=True)
class TwinOptions:
    """The digital twin: which tasks it performs."""

    SHAPES: ClassVar = (MODELS,)

    task_file: tuple[str, ...] = option(
        "twin",
        "tasks to perform: TOML files that say what the columns of event files mean, or names of "
        "those that ship (faces, stroop); a model has those that it was trained on",
        default=(),
        metavar="TOML|NAME",
        shown_default="those that ship, if BIDS_DIR has event files",
    )


@dataclass(frozen=True)
class StatisticsOptions:
    """What is asked of many people's maps together, and of their task runs."""

    participants_file: Path | None = option(
        "statistics",
        "table of participants with phenotypes, covariates, families (family_id), sites (site)",
        default=None,
        flags=("-p", "--participants-file"),
        metavar="TSV",
        shown_default="participants.tsv of BIDS_DIR",
    )
    phenotype: tuple[str, ...] = option(
        "statistics",
        "columns of the table to test or to predict",
        default=(),
        metavar="NAME",
        shown_default={
            "": "each numeric or two-level column that is no covariate",
            "stats": "none",
        },
    )
    covariates: tuple[str, ...] = option(
        "statistics",
        "columns to adjust for, of the table or of the runs' quality (fd_mean, minutes_kept); "
        "texts are levels; of twins: for connectomes and mean times",
        default=(),
        metavar="NAME",
        shown_default="none",
    )
    voxels: bool = option(
        "statistics",
        "analyse voxels, not regions of the first of --atlases",
        default=False,
    )
    permutations: int | None = option(
        "statistics",
        "permutations of participants, signs or behaviour; 0: none",
        default=None,
        shown_default={"": str(MAP_PERMUTATIONS), "intervene": "200"},
    )
    folds: int | Literal["halves"] | None = option(
        "statistics",
        "folds of a cross-validation over participants; for twins also halves: train on the first "
        "half of each run, evaluate on the second",
        default=None,
        shown_default={"": str(FOLDS), "evaluate": "none: --model is evaluated"},
    )
    ridge: Literal["nested", "published"] = option(
        "statistics",
        "ridge penalty; nested: chosen within the training participants; published: number of "
        "features divided by that of training participants",
        default="nested",
    )

    @property
    def cross_validated(self) -> int:
        """Folds of analyses that always have some."""
        return self.folds if isinstance(self.folds, int) else FOLDS

    @property
    def map_permutations(self) -> int:
        """Permutations of analyses of maps; twins, of which each costs more, have a default."""
        return MAP_PERMUTATIONS if self.permutations is None else self.permutations


@dataclass(frozen=True)
class OutputOptions:
    """What is written."""

    SHAPES: ClassVar = (RESULTS,)

    combine: Combine = option(
        "output",
        "average maps, or connectomes, within each run, session or participant",
        default="session",
    )
    write: tuple[str, ...] = option(
        "output",
        "kinds of results; quality tables, sidecars and pages are always written",
        default=(),
        metavar="KIND",
        shown_default="maps regions",
        shapes=(),
    )
    output_spaces: tuple[str, ...] = option(
        "output",
        "more spaces of maps: T1w, MNI152NLin2009cAsym, MNI152NLin6Asym",
        default=(),
        metavar="SPACE",
    )
    surfaces: tuple[str, ...] = option(
        "output",
        "meshes to write maps on, too: fsLR, fsaverage; 91k CIFTI and GIFTI of fsLR, GIFTI of "
        "fsaverage5, by the participant's midthickness where there is one",
        default=(),
        metavar="MESH",
        shown_default="none",
    )
    atlases: tuple[str, ...] = option(
        "output",
        "atlases to average maps over; of dynamics and twins, the one whose regions are modelled "
        "(a twin's second one: task BOLD); names (Schaefer100 to Schaefer1000, Schaefer400x17, "
        "HCP, those in TemplateFlow's folder), label images that state their space, or none",
        default=(),
        metavar="NAME|FILE",
        shown_default="none, or that of the model",
    )


@dataclass(frozen=True)
class ResourceOptions:
    """Devices, processes, memory and folders for intermediate files."""

    device: str = option(
        "model",
        "auto, cpu, cuda, cuda:N or mps; auto: a GPU trains, the CPU makes maps",
        default="auto",
        metavar="DEVICE",
    )
    nprocs: int | None = option(
        "resources",
        "participants to process at the same time",
        default=None,
        shown_default="one per core, as memory allows; one with --device cuda",
    )
    omp_nthreads: int | None = option(
        "resources",
        "threads of each process",
        default=None,
        shown_default="cores / processes",
    )
    mem_gb: float | None = option(
        "resources",
        "memory of all processes together",
        default=None,
        metavar="GB",
        shown_default="what is available",
    )
    scheduler: str | None = option(
        "resources",
        "a dask scheduler whose workers, with the same paths, do the work",
        default=None,
        metavar="ADDRESS",
        shown_default="this machine",
    )


@dataclass(frozen=True)
class BehaviourOptions:
    """What a call does instead of maps and reports, and how much it prints."""

    reports_only: bool = option(
        "behaviour",
        "only make reports again, from what OUTPUT_DIR holds",
        default=False,
    )
    verify: bool = option(
        "behaviour",
        "only compare files in OUTPUT_DIR with their checksums; the next call makes damaged ones "
        "again",
        default=False,
    )
    no_reports: bool = option("behaviour", "make no reports", default=False)
    dry_run: bool = option(
        "behaviour",
        "only print what would be read, written and skipped",
        default=False,
    )
    verbose: int = option(
        "behaviour",
        "more detail; -vv: tracebacks of failures, too",
        default=0,
        flags=("-v", "--verbose"),
    )
