"""Everything that a run depends on: one frozen object.

Each option is written once, here: the command line, the TOML file, the hash
and the documentation are all made from these fields.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bids_dtg.errors import SettingsError

DenoiseStrategy = Literal["simple", "scrubbing", "compcor", "ica_aroma", "none"]
# "auto" stands for the strategy that suits the input type.
StrategyChoice = Literal["auto", DenoiseStrategy]
InputType = Literal["fmriprep", "xcpd", "hcp", "ukb"]
InputChoice = Literal["auto", InputType]
ConfoundModel = Literal["24P", "36P"]
AromaDenoising = Literal["nonaggr", "aggr"]
Interpolation = Literal["linear", "nearest"]
Combine = Literal["run", "session", "participant"]
Analysis = Literal["train", "finetune", "evaluate", "calibrate"]
Architecture = Literal["attention-unet", "local-ridge", "blend"]
Recipe = Literal["default", "published"]

# Thresholds of nilearn's scrubbing strategy (its defaults since 0.10.3).
SCRUBBING_FD_MM = 0.5
SCRUBBING_STD_DVARS = 1.5
# A space as fMRIPrep's --output-spaces has it.
_SPACE = r"[A-Za-z0-9]+(:cohort-[A-Za-z0-9]+)?(:res-[A-Za-z0-9]+)?"


def option(
    group: str,
    help_text: str,
    *,
    default: Any = dataclasses.MISSING,
    flags: tuple[str, ...] = (),
    metavar: str | None = None,
    shapes_results: bool = False,
    shown_default: str | None = None,
) -> Any:
    """Return a dataclass field that is also a command-line option and a TOML key.

    Parameters
    ----------
    group
        Heading in ``--help`` and table in the TOML file.
    help_text
        One sentence for ``--help``.
    default
        The default value; a field without one is required.
    flags
        Spellings beside the one that follows from the field's name.
    metavar
        Name of the value in ``--help``.
    shapes_results
        Whether the option changes results, so that it enters the hash.
    shown_default
        What ``--help`` prints as the default where the value itself says little.
    """
    metadata = {
        "group": group,
        "help": help_text,
        "flags": flags,
        "metavar": metavar,
        "shapes_results": shapes_results,
        "shown_default": shown_default,
    }
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """All options of one call of ``bids_dtg``."""

    bids_dir: Path = option(
        "input",
        "a BIDS dataset with derivatives/fmriprep, the folder of fMRIPrep or XCP-D derivatives "
        "itself, or a folder of HCP or UK Biobank participants",
    )
    output_dir: Path = option("input", "where the derivative dataset is written")
    analysis_level: Literal["participant", "group"] = option(
        "input",
        "participant: make maps and reports; group: gather the participants of OUTPUT_DIR in one "
        "table and one page",
    )

    participant_label: tuple[str, ...] = option(
        "selection",
        "participants to process, with or without 'sub-'",
        default=(),
        flags=("--participant-label", "--participant_label"),
        metavar="LABEL",
        shown_default="all",
    )
    session_label: tuple[str, ...] = option(
        "selection",
        "sessions to process, with or without 'ses-'",
        default=(),
        flags=("--session-label", "--session-id"),
        metavar="LABEL",
        shown_default="all",
    )
    task_id: tuple[str, ...] = option(
        "selection",
        "tasks to process",
        default=(),
        flags=("-t", "--task-id", "--task_id"),
        metavar="TASK",
        shown_default="every task whose name begins with 'rest'",
    )
    run: tuple[str, ...] = option(
        "selection", "runs to process", default=(), metavar="RUN", shown_default="all"
    )
    bids_filter_file: Path | None = option(
        "selection",
        'JSON file of pybids filters for the BOLD series, e.g. {"bold": {"acquisition": "mb"}}',
        default=None,
        metavar="FILE",
    )
    derivatives: tuple[str, ...] = option(
        "selection",
        "the fMRIPrep or XCP-D derivatives, where they are not in BIDS_DIR",
        default=(),
        flags=("-d", "--derivatives"),
        metavar="[PACKAGE=]PATH",
        shown_default="BIDS_DIR, or BIDS_DIR/derivatives/fmriprep",
    )
    bids_database_dir: Path | None = option(
        "selection",
        "folder of a pybids database to keep and reuse; pybids is needed for filters only",
        default=None,
        metavar="FOLDER",
        shown_default="one in the work folder, if there is one",
    )
    input_type: InputChoice = option(
        "selection",
        "what BIDS_DIR holds: fMRIPrep or XCP-D derivatives, HCP or UK Biobank folders; "
        "auto: what is found there",
        default="auto",
    )
    space: str | None = option(
        "selection",
        "space of the BOLD series to read: a template, T1w, or boldref for the run's own",
        default=None,
        metavar="SPACE",
        shown_default="of those there, the one that needs the least resampling",
    )
    templateflow_download: bool = option(
        "selection",
        "download transforms between templates that are missing in TemplateFlow's folder",
        default=False,
    )

    model: str = option(
        "model",
        "model bundle: a folder, or the name of an installed one (dtg-models list)",
        default="hcp-ya",
        metavar="PATH|NAME",
    )
    device: str = option(
        "model",
        "where the sums and the network run: auto, cpu, cuda, cuda:N or mps",
        default="auto",
        metavar="DEVICE",
    )

    denoise_strategy: StrategyChoice = option(
        "cleaning",
        "simple: 24 motion parameters, white matter, CSF, high-pass cosines; "
        "scrubbing: the same, with derivatives and squares of the tissue signals and censoring by "
        "FD and DVARS; compcor: 24 motion parameters, anatomical CompCor, cosines; ica_aroma: "
        "noise components of ICA-AROMA, white matter, CSF, cosines; none: nothing is removed",
        default="auto",
        shapes_results=True,
        shown_default="simple for fMRIPrep, none for what was cleaned before",
    )
    fd_threshold: float | None = option(
        "cleaning",
        "framewise displacement in mm above which scrubbing censors a frame",
        default=None,
        metavar="MM",
        shapes_results=True,
        shown_default=f"{SCRUBBING_FD_MM} with scrubbing",
    )
    std_dvars_threshold: float | None = option(
        "cleaning",
        "standardised DVARS above which scrubbing censors a frame",
        default=None,
        metavar="X",
        shapes_results=True,
        shown_default=f"{SCRUBBING_STD_DVARS} with scrubbing",
    )
    confound_model: ConfoundModel = option(
        "cleaning",
        "24P: the columns of the strategy; 36P, with simple or scrubbing: 24 motion parameters, "
        "and white matter, CSF and global signal with their derivatives and squares",
        default="24P",
        shapes_results=True,
    )
    gsr: bool = option(
        "cleaning", "also remove the global signal", default=False, shapes_results=True
    )
    aroma_denoising: AromaDenoising = option(
        "cleaning",
        "with ica_aroma: nonaggr takes away what noise components explain beside the others; "
        "aggr all that they could explain",
        default="nonaggr",
        shapes_results=True,
    )
    custom_confounds: Path | None = option(
        "cleaning",
        "further columns to remove: a folder of tables with the names of fMRIPrep's, a table, or "
        "a path with entities in braces, e.g. /c/{sub}_{ses}_{task}.tsv",
        default=None,
        metavar="FOLDER|TSV",
        shapes_results=True,
    )
    high_pass: float | None = option(
        "cleaning",
        "remove what is slower, in Hz, in place of fMRIPrep's cosines (slower than 128 s)",
        default=None,
        metavar="HZ",
        shapes_results=True,
    )
    low_pass: float | None = option(
        "cleaning", "remove what is faster, in Hz", default=None, metavar="HZ", shapes_results=True
    )
    smoothing_fwhm: float | None = option(
        "cleaning",
        "smooth each frame within the brain by a Gaussian of this full width at half maximum",
        default=None,
        metavar="MM",
        shapes_results=True,
    )
    dummy_scans: str = option(
        "cleaning",
        "frames to drop at the start of each run; auto: those that fMRIPrep flagged",
        default="auto",
        metavar="auto|N",
        shapes_results=True,
    )
    min_minutes: float = option(
        "cleaning",
        "refuse a run with less time than this left after censoring",
        default=4.0,
        metavar="MINUTES",
        shapes_results=True,
    )

    interpolation: Interpolation = option(
        "cleaning",
        "how values are read between voxels of a series that is not on the model's grid",
        default="linear",
        shapes_results=True,
    )

    combine: Combine = option(
        "output",
        "average maps within each run, session or participant",
        default="session",
        shapes_results=True,
    )
    interval_level: int = option(
        "output",
        "level of the intervals around the maps, where the model carries a calibration",
        default=90,
        metavar="PERCENT",
        shapes_results=True,
    )
    half_maps: bool = option(
        "output",
        "also predict maps from the odd and the even pieces of each run, and tell how reliable the "
        "maps are",
        default=False,
        shapes_results=True,
    )
    write_connectome: bool = option(
        "output",
        "also write the connectome, the ROI-by-ROI matrix and the ROI series of each run",
        default=False,
        shapes_results=True,
    )
    atlas: Path | None = option(
        "output",
        "label image in the model's space; the maps' parcel means are written as a table",
        default=None,
        metavar="FILE",
        shapes_results=True,
    )

    analysis: Analysis | None = option(
        "modelling",
        "at the group level: train a model on participants' rest and measured maps "
        "(--derivatives statmaps=PATH), finetune --model on them, evaluate its maps against them, "
        "or calibrate its uncertainty",
        default=None,
        shown_default="none: the table and page of all participants",
    )
    architecture: Architecture = option(
        "modelling", "what to train; blend: local ridge and the network together", default="blend"
    )
    recipe: Recipe = option(
        "modelling",
        "how the network is trained; default: mean squared error, re-centred, with a gain a "
        "contrast; published: the CR-R loss, as it comes out",
        default="default",
    )
    schedule: Literal["known", "new"] = option(
        "modelling",
        "how finetune learns; known: one contrast of the model, its output row frozen; "
        "new: contrasts that the model lacks, with an output layer of their own",
        default="known",
    )
    contrast: tuple[str, ...] = option(
        "modelling",
        "contrasts to work on, by their labels",
        default=(),
        metavar="LABEL",
        shown_default="all that the measured maps have",
    )
    model_name: str = option(
        "modelling", "name of the model that is made", default="own", metavar="NAME"
    )
    split_file: Path | None = option(
        "modelling",
        "table with the columns participant_id and set (training, validation, test)",
        default=None,
        metavar="TSV",
        shown_default="drawn at random, families together",
    )
    held_out: tuple[str, ...] = option(
        "modelling",
        "shares of the participants for validation and for test",
        default=("0.1", "0.1"),
        metavar="SHARE",
    )
    add_sums: tuple[str, ...] = option(
        "modelling",
        "sums of local ridge from other sites, to be added to one's own",
        default=(),
        metavar="FILE",
    )
    epochs: int = option("modelling", "epochs of the network, at most", default=100, metavar="N")
    batch_size: int = option("modelling", "participants in a batch", default=10, metavar="N")
    batch_part: int | None = option(
        "modelling",
        "participants of a batch that go through the network at once; the loss is of all",
        default=None,
        metavar="N",
        shown_default="the whole batch",
    )
    features: int = option(
        "modelling", "channels of the network's first level", default=64, metavar="N"
    )
    learning_rate: float = option(
        "modelling", "rate of Adam at the start", default=1e-3, metavar="RATE"
    )
    stop_after: int | None = option(
        "modelling",
        "epochs without a better one before training ends",
        default=None,
        metavar="N",
        shown_default="never",
    )
    seed: int = option("modelling", "of the split, the weights and the batches", default=0)

    nprocs: int | None = option(
        "resources",
        "participants to work on at the same time, each in a process of its own",
        default=None,
        metavar="N",
        shown_default="one for each two available cores, as memory allows; one on a GPU",
    )
    omp_nthreads: int | None = option(
        "resources",
        "threads of each process",
        default=None,
        metavar="N",
        shown_default="the available cores divided by the processes",
    )
    mem_gb: float | None = option(
        "resources",
        "memory in GB that all processes together may take",
        default=None,
        metavar="GB",
        shown_default="what is available",
    )
    scheduler: str | None = option(
        "resources",
        "have the workers of a dask scheduler do the work; they must see the same paths",
        default=None,
        metavar="ADDRESS",
        shown_default="processes of this machine",
    )
    work_dir: Path | None = option(
        "resources",
        "folder for intermediate files (the pybids database)",
        default=None,
        flags=("-w", "--work-dir"),
        metavar="FOLDER",
        shown_default="none is kept",
    )
    clean_workdir: bool = option(
        "resources", "empty the work folder of this program's files first", default=False
    )
    stop_on_first_crash: bool = option(
        "resources", "stop at the first participant that fails", default=False
    )

    reports_only: bool = option(
        "behaviour",
        "make the reports anew from what OUTPUT_DIR holds, and nothing else",
        default=False,
    )
    boilerplate_only: bool = option(
        "behaviour", "write and print the methods text, and nothing else", default=False
    )
    no_reports: bool = option("behaviour", "make no reports", default=False)
    dry_run: bool = option(
        "behaviour",
        "print what would be read, written and skipped, and stop",
        default=False,
    )
    skip_bids_validation: bool = option(
        "behaviour", "accepted for compatibility: inputs are never validated", default=False
    )
    notrack: bool = option(
        "behaviour", "accepted for compatibility: nothing is ever tracked", default=False
    )
    verbose: int = option("behaviour", "more detail", default=0, flags=("-v",))
    debug: bool = option("behaviour", "show tracebacks of failures", default=False)

    def __post_init__(self) -> None:
        _check_values(self)

    @property
    def strategy(self) -> DenoiseStrategy:
        """The denoising strategy, by the input type where it was left to that."""
        if self.denoise_strategy != "auto":
            return self.denoise_strategy
        return "simple" if self.input_type in ("auto", "fmriprep") else "none"

    def resolved(self, input_type: InputType) -> Settings:
        """Return these settings with the input type that was found, and what follows from it."""
        known = dataclasses.replace(self, input_type=input_type)
        return dataclasses.replace(known, denoise_strategy=known.strategy)

    @property
    def scrubbing_fd_mm(self) -> float:
        """Framewise displacement above which scrubbing censors a frame."""
        return SCRUBBING_FD_MM if self.fd_threshold is None else self.fd_threshold

    @property
    def scrubbing_std_dvars(self) -> float:
        """Standardised DVARS above which scrubbing censors a frame."""
        return SCRUBBING_STD_DVARS if self.std_dvars_threshold is None else self.std_dvars_threshold

    @property
    def result_options(self) -> dict[str, Any]:
        """The options that change results, as JSON has them; no paths of inputs, no resources."""
        return {
            f.name: plain(getattr(self, f.name))
            for f in dataclasses.fields(self)
            if f.metadata["shapes_results"]
        } | {"denoise_strategy": self.strategy}

    @property
    def result_hash(self) -> str:
        """SHA-256 of `result_options`."""
        canonical = json.dumps(self.result_options, sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()


def plain(value: Any) -> Any:
    """Return an option's value as JSON and TOML have it."""
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _check_values(settings: Settings) -> None:
    _check_cleaning(settings)
    _check_modelling(settings)
    thresholds = {
        "--fd-threshold": settings.fd_threshold,
        "--std-dvars-threshold": settings.std_dvars_threshold,
    }
    for flag, value in thresholds.items():
        if value is None:
            continue
        if settings.strategy != "scrubbing":
            raise SettingsError(
                f"{flag} was given with --denoise-strategy {settings.strategy}",
                expected="--denoise-strategy scrubbing, the one that censors frames",
            )
        if not 0 < value < math.inf:
            raise SettingsError(f"{flag} is {value}", expected="a finite number above 0")
    if settings.dummy_scans != "auto" and not settings.dummy_scans.isdecimal():
        raise SettingsError(
            f"--dummy-scans is '{settings.dummy_scans}'", expected="auto or a whole number"
        )
    if not 0 <= settings.min_minutes < math.inf:
        raise SettingsError(
            f"--min-minutes is {settings.min_minutes}", expected="0 or more, and finite"
        )
    _check_resources(settings)
    kind, _, number = settings.device.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (
        ":" in settings.device and (kind != "cuda" or not number.isdecimal())
    ):
        raise SettingsError(
            f"--device is '{settings.device}'", expected="auto, cpu, cuda, cuda:N or mps"
        )
    if settings.space is not None and not re.fullmatch(_SPACE, settings.space):
        raise SettingsError(
            f"--space is '{settings.space}'",
            expected="the name of a space, e.g. MNI152NLin6Asym:res-2, T1w, boldref",
        )
    if settings.clean_workdir and settings.work_dir is None:
        raise SettingsError("--clean-workdir was given", expected="--work-dir with it")


def _check_cleaning(settings: Settings) -> None:
    given = f"was given with --denoise-strategy {settings.strategy}"
    if settings.confound_model == "36P" and settings.strategy not in ("simple", "scrubbing"):
        raise SettingsError(
            f"--confound-model 36P {given}", expected="--denoise-strategy simple or scrubbing"
        )
    if settings.gsr and settings.strategy == "none":
        raise SettingsError(
            f"--gsr {given}", expected="a strategy that reads the table of confounds, e.g. simple"
        )
    if settings.aroma_denoising == "aggr" and settings.strategy != "ica_aroma":
        raise SettingsError(
            f"--aroma-denoising aggr {given}", expected="--denoise-strategy ica_aroma"
        )
    for name in ("high_pass", "low_pass", "smoothing_fwhm"):
        value = getattr(settings, name)
        if value is not None and not 0 < value < math.inf:
            flag = "--" + name.replace("_", "-")
            raise SettingsError(
                f"{flag} is {value}",
                expected="a finite number above 0",
                remedy=f"leave {flag} out where nothing is wanted",
            )
    if settings.high_pass and settings.low_pass and settings.high_pass >= settings.low_pass:
        raise SettingsError(
            f"--high-pass {settings.high_pass:g} is not below --low-pass {settings.low_pass:g}",
            expected="a band, e.g. --high-pass 0.01 --low-pass 0.1",
        )


def _check_modelling(settings: Settings) -> None:
    if settings.analysis is not None and settings.analysis_level != "group":
        raise SettingsError(
            f"--analysis {settings.analysis} was given with {settings.analysis_level}",
            expected="group",
        )
    if settings.analysis is not None and settings.dry_run:
        raise SettingsError(
            "--dry-run was given with --analysis", expected="it with the participant level only"
        )
    least: dict[str, float | None] = {
        "--epochs": settings.epochs,
        "--batch-size": settings.batch_size,
        "--batch-part": settings.batch_part,
        "--features": settings.features,
        "--stop-after": settings.stop_after,
    }
    for flag, number in least.items():
        if number is not None and number < 1:
            raise SettingsError(f"{flag} is {number}", expected="1 or more")
    if not 0 < settings.learning_rate < math.inf:
        raise SettingsError(f"--learning-rate is {settings.learning_rate}", expected="above 0")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", settings.model_name):
        raise SettingsError(
            f"--model-name is '{settings.model_name}'", expected="letters, digits, '.', '-', '_'"
        )
    shares = [text for text in settings.held_out if re.fullmatch(r"0?\.\d+|0", text)]
    if len(settings.held_out) != 2 or len(shares) != 2 or sum(map(float, shares)) >= 1:
        raise SettingsError(
            f"--held-out is {' '.join(settings.held_out)}",
            expected="two shares from 0 to 1 that leave somebody to train on, e.g. 0.1 0.1",
        )


def _check_resources(settings: Settings) -> None:
    for flag, number in (("--omp-nthreads", settings.omp_nthreads), ("--nprocs", settings.nprocs)):
        if number is not None and number < 1:
            raise SettingsError(f"{flag} is {number}", expected="1 or more")
    if settings.mem_gb is not None and not 0 < settings.mem_gb < math.inf:
        raise SettingsError(f"--mem-gb is {settings.mem_gb}", expected="a finite number above 0")
