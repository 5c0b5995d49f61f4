"""The parts of the settings: a frozen dataclass for each concern, an option a field."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bids_dtg.settings.option import (
    MODELS,
    RESULTS,
    map_option,
    map_or_twin_option,
    network_option,
    option,
    rest_option,
    twin_option,
)

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
# Analyses whose results are named after the model that they use.
_BY_MODEL = ("evaluate", "simulate", "fixed-points", "intervene")
_OF_RECIPE = dict.fromkeys(("dynamics", "twin"), "that of --recipe")


@dataclass(frozen=True)
class InputOptions:
    """What is read, from where, and the model."""

    bids_dir: Path = option(
        "input",
        "BIDS dataset, or its folder derivatives/fmriprep; or a folder of XCP-D derivatives, or of "
        "HCP or UK Biobank participants",
        shapes=(MODELS,),
    )
    output_dir: Path = option("input", "where the derivative dataset is written")
    analysis_level: Literal["participant", "group"] = option(
        "input",
        "participant (maps and reports) or group; group gathers the participants of OUTPUT_DIR in "
        "one table and one page, or does --analysis",
        shapes=(MODELS,),
    )
    participant_label: tuple[str, ...] = option.for_most_calls(
        "selection",
        "participants to process; with or without 'sub-'",
        default=(),
        metavar="LABEL",
        shown_default="all",
        shapes=(MODELS,),
    )
    session_label: tuple[str, ...] = option.for_most_calls(
        "selection",
        "sessions to process; with or without 'ses-'",
        default=(),
        flags=("--session-label", "--session-id"),
        metavar="LABEL",
        shown_default="all",
        shapes=(MODELS,),
    )
    task_id: tuple[str, ...] = rest_option.for_most_calls(
        "selection",
        "tasks to process; with --workflow twin those that connectomes are made of",
        default=(),
        flags=("-t", "--task-id"),
        metavar="TASK",
        shown_default="every task whose name begins with 'rest'",
        shapes=(MODELS,),
    )
    run: tuple[str, ...] = rest_option(
        "selection",
        "runs to process",
        default=(),
        metavar="RUN",
        shown_default="all",
        shapes=(MODELS,),
    )
    bids_filter_file: Path | None = rest_option(
        "selection",
        'JSON file of pybids filters for the BOLD series, e.g. {"bold": {"acquisition": "mb"}}',
        default=None,
        metavar="FILE",
        shapes=(MODELS,),
    )
    derivatives: tuple[str, ...] = rest_option.for_most_calls(
        "selection",
        "fMRIPrep or XCP-D derivatives outside BIDS_DIR; atlas=PATH: a BIDS data set of atlases",
        default=(),
        flags=("-d", "--derivatives"),
        metavar="[PACKAGE=]PATH",
        shown_default="BIDS_DIR, or BIDS_DIR/derivatives/fmriprep",
        shapes=(MODELS,),
    )
    input_type: InputChoice = rest_option(
        "selection",
        "what BIDS_DIR holds: fMRIPrep or XCP-D derivatives, HCP or UK Biobank folders; "
        "auto: what is found there",
        default="auto",
        shapes=(MODELS,),
    )
    space: str | None = rest_option(
        "selection",
        "space of the BOLD series to read: a template, T1w, or boldref for the run's own; to "
        "train: fsLR:seg-NAME for a model of parcels, from CIFTI",
        default=None,
        metavar="SPACE",
        shown_default="of those there, the one that needs the least resampling",
        shapes=(MODELS,),
    )
    workflow: str = option.for_most_calls("model", "what is made of rest", default="contrasts")
    model: str = option.for_most_calls(
        "model",
        "model: an installed name, a folder, or the name of one that was trained in OUTPUT_DIR; "
        "dtg-models list shows installed names",
        default="hcp-ya",
        metavar="PATH|NAME",
        shapes=(MODELS,),
    )


@dataclass(frozen=True)
class CleaningOptions:
    """How runs are cleaned."""

    denoise_strategy: str = rest_option.for_most_calls(
        "cleaning",
        "what is removed from runs",
        default="auto",
        shapes=(RESULTS, MODELS),
    )
    fd_threshold: float | None = rest_option(
        "cleaning",
        "framewise displacement in mm above which scrubbing censors a frame",
        default=None,
        metavar="MM",
        shapes=(RESULTS, MODELS),
        shown_default=f"{SCRUBBING_FD_MM} with scrubbing",
    )
    gsr: bool = rest_option(
        "cleaning",
        "also remove the global signal",
        default=False,
        shapes=(RESULTS, MODELS),
    )
    custom_confounds: Path | None = rest_option(
        "cleaning",
        "further columns to remove: a folder of tables with the names of fMRIPrep's, a table, or "
        "a path with entities in braces, e.g. /c/{sub}_{ses}_{task}.tsv",
        default=None,
        metavar="FOLDER|TSV",
        shapes=(RESULTS, MODELS),
    )
    high_pass: float | None = rest_option(
        "cleaning",
        "remove what is slower, in Hz, in place of fMRIPrep's cosines (slower than 128 s)",
        default=None,
        metavar="HZ",
        shapes=(RESULTS, MODELS),
    )
    low_pass: float | None = rest_option(
        "cleaning",
        "remove what is faster, in Hz",
        default=None,
        metavar="HZ",
        shapes=(RESULTS, MODELS),
    )
    smoothing_fwhm: float | None = rest_option(
        "cleaning",
        "smooth each frame within the brain by a Gaussian of this full width at half maximum",
        default=None,
        metavar="MM",
        shapes=(RESULTS, MODELS),
    )
    dummy_scans: str = rest_option(
        "cleaning",
        "frames to drop at the start of each run; auto: those that fMRIPrep flagged",
        default="auto",
        metavar="auto|N",
        shapes=(RESULTS, MODELS),
    )
    min_minutes: float = rest_option(
        "cleaning",
        "refuse a run with less time than this left after censoring",
        default=4.0,
        metavar="MINUTES",
        shapes=(RESULTS, MODELS),
    )
    min_dof: float = rest_option(
        "cleaning",
        "refuse a run with fewer residual degrees of freedom than this: frames kept less columns "
        "removed, those of filters included",
        default=20.0,
        metavar="N",
        shapes=(RESULTS, MODELS),
    )
    interpolation: Interpolation = rest_option(
        "cleaning",
        "how values are read between voxels of a series that is not on the model's grid",
        default="cubic",
        shapes=(RESULTS, MODELS),
    )

    @property
    def scrubbing_fd_mm(self) -> float:
        """Framewise displacement above which scrubbing censors a frame."""
        return SCRUBBING_FD_MM if self.fd_threshold is None else self.fd_threshold


@dataclass(frozen=True)
class ModellingOptions:
    """How models are made and evaluated."""

    analysis: str | None = option.for_most_calls(
        "modelling",
        "what to do at the group level",
        default=None,
        shown_default="none: the table and page of all participants",
        shapes=(MODELS,),
    )
    architecture: str | None = option(
        "modelling",
        "what to train",
        default=None,
        shown_default={"": "linear", "twin": "lowrank"},
        shapes=(MODELS,),
    )
    recipe: str = option(
        "modelling",
        "how the network is trained; default: mean squared error, re-centred, with a gain a "
        "contrast; published: the CR-R loss, as it comes out; with --workflow dynamics "
        "--architecture network default: 100 epochs, published: 1,001 epochs and two restarts, as "
        "in the public code; with --workflow twin default: that of "
        "--architecture, published: sizes, rates and updates as the paper prints them",
        default="default",
        shapes=(MODELS,),
    )
    schedule: Literal["known", "new", "all"] = map_option(
        "modelling",
        "how finetune learns; known: one contrast of the model, its output row frozen; "
        "new: contrasts that the model lacks, with an output layer of their own; all: contrasts of "
        "the model, nothing frozen, from its output layer",
        default="known",
        shapes=(MODELS,),
    )
    contrast: tuple[str, ...] = map_option(
        "modelling",
        "contrasts to work on, or whose results are written, by their labels; or tasks, for all of "
        "their contrasts",
        default=(),
        metavar="LABEL",
        shown_default="all of the model, or that the measured maps have",
        shapes=(MODELS,),
    )
    model_name: str | None = option(
        "modelling",
        "name of the model that is made, or of other results: of their folder in OUTPUT_DIR/group",
        default=None,
        flags=("--model-name", "--name"),
        metavar="NAME",
        shown_default={
            "": "own; of statistics none",
            **dict.fromkeys(_BY_MODEL, "that of --model"),
        },
    )
    input_arrays: tuple[str, ...] = option(
        "modelling",
        "people as arrays (npz or HDF5) instead of a dataset; BIDS_DIR then only names the "
        "data set; with --workflow twin it has the event files",
        default=(),
        metavar="FILE",
        shapes=(MODELS,),
    )
    array_key: tuple[str, ...] = option(
        "modelling",
        "under which key the files of --input-arrays have what is called NAME here",
        default=(),
        metavar="NAME=KEY",
        shapes=(MODELS,),
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
        shapes=(MODELS,),
    )
    data_set: str | None = option(
        "modelling",
        "name of the input data set, by which a model knows its people again",
        default=None,
        metavar="NAME",
        shown_default="that in dataset_description.json",
        shapes=(MODELS,),
    )
    held_out: tuple[str, ...] = map_option(
        "modelling",
        "shares of the participants for validation and for test",
        default=(),
        metavar="SHARE",
        shown_default="0.1 0.1; of linear models 0 0.1, and nobody of fewer than 40",
        shapes=(MODELS,),
    )
    epochs: int | None = option(
        "modelling",
        "epochs of the network, at most",
        default=None,
        metavar="N",
        shown_default={
            "": f"{NETWORK_EPOCHS}",
            "finetune": f"{NETWORK_EPOCHS}, or 50 as --recipe published",
            **_OF_RECIPE,
        },
        shapes=(MODELS,),
    )
    batch_size: int | None = option(
        "modelling",
        "participants in a batch; with --workflow dynamics regions of participants",
        default=None,
        metavar="N",
        shown_default={"": str(NETWORK_BATCH), **_OF_RECIPE},
        shapes=(MODELS,),
    )
    features: int = map_option(
        "modelling",
        "channels of the network's first level",
        default=64,
        metavar="N",
        shapes=(MODELS,),
    )
    learning_rate: float | None = option(
        "modelling",
        "rate of Adam at the start",
        default=None,
        metavar="RATE",
        shown_default={"": f"{NETWORK_RATE:g}", **_OF_RECIPE},
        shapes=(MODELS,),
    )
    seed: int = option(
        "modelling",
        "of the split, the weights, the batches and the simulations",
        default=0,
        shapes=(MODELS,),
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

    states: int | None = network_option(
        "dynamics",
        "dimensions of a region's state",
        default=None,
        metavar="N",
        shown_default="3",
        shapes=(MODELS,),
    )
    region_parameters: int | None = network_option(
        "dynamics",
        "parameters that each region of each participant has",
        default=None,
        metavar="N",
        shown_default="3",
        shapes=(MODELS,),
    )
    no_external_input: bool = network_option(
        "dynamics",
        "train without the input from outside that all regions of a participant share",
        default=False,
        shapes=(MODELS,),
    )
    restarts: int | None = network_option(
        "dynamics",
        "trainings from other random weights; the one with the best ELBO of series that were held "
        "out is kept",
        default=None,
        metavar="N",
        shown_default="1; 2 with --recipe published",
        shapes=(MODELS,),
    )
    simulations: int = network_option(
        "dynamics",
        "simulations of each participant, for evaluate and simulate",
        default=50,
        metavar="N",
    )
    structural_connectivity: Path | None = network_option(
        "dynamics",
        "structural connectomes over the atlas' regions: a file for everybody, or a folder with "
        "sub-*_relmat.tsv or QSIRecon's *connectivity.mat, .csv; --array-key structural=KEY "
        "chooses one of several; at the group level those in OUTPUT_DIR where it is not given",
        default=None,
        metavar="FILE|FOLDER",
        shapes=(MODELS,),
    )
    region_maps: Path | None = network_option(
        "dynamics",
        "table of maps by the names of regions, to compare parameters with, for evaluate",
        default=None,
        metavar="FILE",
    )


@dataclass(frozen=True)
class TwinOptions:
    """The digital twin: which tasks it performs."""

    task_file: tuple[str, ...] = twin_option.of_files_or_names(
        "twin",
        "tasks to perform, whose runs with an event file are read as regions, too: files in TOML "
        "that say what columns of event files mean, or names of those that ship (faces, stroop); a "
        "model has those that it was trained on",
        default=(),
        metavar="TOML|NAME",
        shown_default="those that ship and of which BIDS_DIR has event files",
        shapes=(MODELS,),
    )


@dataclass(frozen=True)
class StatisticsOptions:
    """What is asked of many people's maps together, and of their task runs."""

    participants_file: Path | None = option(
        "statistics",
        "table of participants: a row each, with phenotypes, covariates, families (family_id) and "
        "sites (site)",
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
            "": "each column of numbers or of two levels that is no covariate",
            "stats": "none",
        },
    )
    covariates: tuple[str, ...] = option(
        "statistics",
        "columns whose part is taken out, of the table or of the runs' quality (fd_mean, "
        "minutes_kept); numbers as they are, words as levels; with --workflow twin, "
        "columns of the table that are taken out of connectomes and mean times",
        default=(),
        metavar="NAME",
        shown_default="none",
    )
    feature_sets: tuple[str, ...] = option(
        "statistics",
        "what of each participant is looked at",
        default=(),
        metavar="NAME",
        shown_default="that of --analysis",
    )
    voxels: bool = map_option(
        "statistics",
        "look at voxels of maps, not at the regions of the first of --atlases",
        default=False,
    )
    permutations: int | None = option(
        "statistics",
        "permutations of participants, of their signs, or of intervene of what they did; 0: none",
        default=None,
        metavar="N",
        shown_default={"": str(MAP_PERMUTATIONS), "intervene": "200"},
    )
    folds: int | Literal["halves"] | None = option(
        "statistics",
        "of phenotypes: folds of the cross-validation; of evaluate, with --workflow dynamics or "
        "twin: train on all folds but one and judge by that one, in turn; with --workflow twin, "
        "halves: train on everybody's first half of each run and judge by the second half",
        default=None,
        metavar="N",
        shown_default={"": str(FOLDS), "evaluate": "none: --model is evaluated"},
    )
    ridge: Literal["nested", "published"] = option(
        "statistics",
        "penalty of phenotypes; nested: chosen among training participants; published: features "
        "divided by training participants",
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

    combine: Combine = map_or_twin_option(
        "output",
        "average maps, or connectomes, within each run, session or participant",
        default="session",
        shapes=(RESULTS,),
    )
    write: tuple[str, ...] = map_option(
        "output",
        "only these kinds of results; quality figures, sidecars and pages are always written",
        default=(),
        metavar="KIND",
        shown_default="maps regions",
    )
    output_spaces: tuple[str, ...] = map_option.for_most_calls(
        "output",
        "further spaces of the maps: T1w, MNI152NLin2009cAsym or MNI152NLin6Asym; maps are "
        "resampled once from the model's grid, and T1w is the participant's own",
        default=(),
        metavar="SPACE",
        shapes=(RESULTS,),
    )
    surfaces: tuple[str, ...] = map_option.for_most_calls(
        "output",
        "meshes to write the maps on as well: fsLR, fsaverage; 91k CIFTI and GIFTI of fsLR, GIFTI "
        "of fsaverage5, sampled on the participant's own midthickness where there is one",
        default=(),
        metavar="MESH",
        shapes=(RESULTS,),
        shown_default="none",
    )
    atlases: tuple[str, ...] = rest_option.of_files_or_names.for_most_calls(
        "output",
        "atlases over whose parcels maps are averaged; a table each; of a network model or a "
        "twin the one whose parcels its connectome is of, and of a twin a second one for BOLD of "
        "tasks; names (Schaefer100 to "
        "Schaefer1000, Schaefer400x17, HCP, those in TemplateFlow's folder), label images that "
        "state their space, or none",
        default=(),
        metavar="NAME|FILE",
        shapes=(RESULTS,),
        shown_default="none; that of a network model or a twin",
    )
    min_coverage: float = rest_option(
        "output",
        "share of a parcel that must have values; below it, its mean, or series, is n/a",
        default=0.5,
        metavar="SHARE",
        shapes=(RESULTS,),
    )


@dataclass(frozen=True)
class ResourceOptions:
    """Devices, processes, memory and folders for intermediate files."""

    device: str = option.for_most_calls(
        "model",
        "where to compute: auto (a GPU trains, the CPU makes maps), cpu, cuda, cuda:N or mps",
        default="auto",
        metavar="DEVICE",
    )
    nprocs: int | None = option.for_most_calls(
        "resources",
        "participants to work on at the same time; each in a process of its own",
        default=None,
        metavar="N",
        shown_default="one for each core, as memory allows; one with --device cuda",
    )
    omp_nthreads: int | None = option(
        "resources",
        "threads of each process",
        default=None,
        metavar="N",
        shown_default="the cores divided by the processes",
    )
    mem_gb: float | None = option.for_most_calls(
        "resources",
        "memory in GB of all processes together",
        default=None,
        metavar="GB",
        shown_default="what is available",
    )
    scheduler: str | None = rest_option(
        "resources",
        "have the workers of a dask scheduler do the work; they must see the same paths",
        default=None,
        metavar="ADDRESS",
        shown_default="processes of this machine",
    )


@dataclass(frozen=True)
class BehaviourOptions:
    """What a call does instead of maps and reports, and how much it prints."""

    reports_only: bool = option(
        "behaviour",
        "make the reports anew from what OUTPUT_DIR holds, and nothing else",
        default=False,
    )
    verify: bool = option(
        "behaviour",
        "read all files that participants' completion records in OUTPUT_DIR list, report who is "
        "whole and who is damaged, and nothing else; the next call makes damaged ones again",
        default=False,
    )
    no_reports: bool = option("behaviour", "make no reports", default=False)
    dry_run: bool = option.for_most_calls(
        "behaviour",
        "print what would be read, written and skipped; nothing else is done",
        default=False,
    )
    verbose: int = option("behaviour", "more detail", default=0, flags=("-v", "--verbose"))
    debug: bool = option("behaviour", "show tracebacks of failures", default=False)
