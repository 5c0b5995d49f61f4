"""All settings of a run: one frozen object with a part for each concern.

Each option is defined once, as a field of its part; the command line, the TOML file, the
records and the documentation are all made from `OPTIONS`. A processing step receives only the
part that it needs, e.g. `settings.cleaning`. What only one slice of the program reads is defined
in its module `options` and read as `settings.part(TwinOptions)`.

- `checks`: refuses illegal values and contradictory options
"""

from __future__ import annotations

import dataclasses
import inspect
import pkgutil
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, TypeVar, get_type_hints

from bids_dtg.errors import SettingsError, did_you_mean
from bids_dtg.files.foreign import read_toml, reading
from bids_dtg.option import (
    COUNT,
    MODELS,
    REQUIRED,
    RESULTS,
    Limits,
    Option,
    convert,
    flag,
    option,
    options_of,
    plain,
)
from bids_dtg.settings.checks import check

Part = TypeVar("Part")
InputType = Literal["fmriprep", "xcpd", "hcp", "ukb"]
InputChoice = Literal["auto", InputType]
Interpolation = Literal["linear", "nearest", "cubic"]
SampledOn = Literal["own", "template"]

# Threshold of nilearn's scrubbing strategy (its default since 0.10.3).
SCRUBBING_FD_MM = 0.5
Combine = Literal["run", "session", "participant"]
# Training defaults of the network that predicts maps; other workflows take theirs from recipes.
NETWORK_EPOCHS = 100
NETWORK_BATCH = 10
NETWORK_RATE = 1e-3
MAP_PERMUTATIONS = 1000
FOLDS = 5
# The workflows, the default first, with their dataclasses of options (None: no options of its own).
# A new workflow is a line here, and a folder `bids_dtg/NAME` with its row (`bids_dtg.workflows`).
WORKFLOWS: Mapping[str, str | None] = MappingProxyType(
    {
        "contrasts": "bids_dtg.contrasts.options:ContrastsOptions",
        "dynamics": "bids_dtg.dynamics.options:DynamicsOptions",
        "twin": "bids_dtg.twin.options:TwinOptions",
    }
)
_OF_STATISTICS = "bids_dtg.statistics.options:PhenotypeOptions"

_LARGEST = sys.float_info.max
_MEASURE: Limits = (sys.float_info.min, _LARGEST, "a finite number above 0")
# As PyTorch and NumPy accept.
_SEED: Limits = (0, 2**63 - 1, "0 or more, and less than 2^63")
_DEVICE = r"auto|cpu|cuda(:\d{1,9})?|mps", "auto, cpu, cuda, cuda:N or mps"
# Written as in fMRIPrep's --output-spaces.
_SPACE = (
    r"[A-Za-z0-9]+(:cohort-[A-Za-z0-9]+)?(:res-[A-Za-z0-9]+)?"
    r"|fsLR(:(seg|atlas)-[A-Za-z0-9]+)+",
    "the name of a space, e.g. MNI152NLin6Asym:res-2, T1w, boldref",
)
_NAME = (
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}",
    "1 to 100 letters, digits, '.', '-', '_'",
)


@dataclass(frozen=True)
class InputOptions:
    """The input data and the model."""

    GROUP: ClassVar = "selection"
    SHAPES: ClassVar = (MODELS,)

    bids_dir: Path = option(
        REQUIRED,
        "BIDS dataset, or its folder derivatives/fmriprep; or a folder of XCP-D derivatives, HCP "
        "or UK Biobank data",
        group="input",
    )
    output_dir: Path = option(
        REQUIRED, "where the derivative dataset is written", group="input", shapes=()
    )
    analysis_level: Literal["participant", "group"] = option(
        REQUIRED,
        "participant (maps and reports) or group (table of all participants, or --analysis)",
        group="input",
    )
    participant_label: tuple[str, ...] = option(
        (), "participants to process; sub- is optional", metavar="LABEL", shown="all"
    )
    session_label: tuple[str, ...] = option(
        (),
        "sessions to process; ses- is optional",
        flags=("--session-label", "--session-id"),
        metavar="LABEL",
        shown="all",
    )
    task_id: tuple[str, ...] = option(
        (),
        "resting-state tasks to process",
        flags=("-t", "--task-id"),
        metavar="TASK",
        shown="every task whose name begins with 'rest'",
    )
    bids_filter_file: Path | None = option(
        None,
        'JSON file of pybids filters for the BOLD series, e.g. {"bold": {"acquisition": "mb"}}',
    )
    derivatives: tuple[str, ...] = option(
        (),
        "fMRIPrep or XCP-D derivatives outside BIDS_DIR; atlas=PATH: a BIDS dataset of atlases",
        flags=("-d", "--derivatives"),
        metavar="[PACKAGE=]PATH",
        shown="BIDS_DIR, or BIDS_DIR/derivatives/fmriprep",
    )
    input_type: InputChoice = option(
        "auto",
        "what BIDS_DIR holds: fMRIPrep or XCP-D derivatives, HCP or UK Biobank folders",
    )
    space: str | None = option(
        None,
        "space of the BOLD series to read: a template, T1w, or boldref for the run's own space; "
        "fsLR:seg-NAME for training on parcels from CIFTI",
        metavar="SPACE",
        shown="the available one that needs the least resampling",
        form=_SPACE,
    )
    sample_on: SampledOn | None = option(
        None,
        "surface at whose vertices volumes are averaged over parcels, for models and atlases of "
        "parcels; own: only people who have surfaces; template: a template's for all people",
        group="output",
        shown="own where a person has surfaces, else a template's",
    )
    workflow: str = option(
        "contrasts", "what to compute from resting-state runs", group="model", shapes=()
    )
    model: str | None = option(
        None,
        "folder or installed name of a model; also the name of one trained in OUTPUT_DIR; "
        "dtg-models list shows the installed names",
        group="model",
        metavar="PATH|NAME",
        shown="hcp-ya where it is installed, else hcp-glasser",
    )


@dataclass(frozen=True)
class CleaningOptions:
    """How runs are cleaned."""

    GROUP: ClassVar = "cleaning"
    SHAPES: ClassVar = (RESULTS, MODELS)

    denoise_strategy: str = option(
        "auto",
        "confounds to remove from each run; --workflow NAME --help explains them",
        shown="simple for fMRIPrep, none for data already cleaned",
    )
    fd_threshold: float | None = option(
        None,
        "framewise displacement in mm above which scrubbing censors a frame",
        metavar="MM",
        shown=f"{SCRUBBING_FD_MM} with scrubbing",
        limits=_MEASURE,
    )
    gsr: bool = option(False, "also remove the global signal")
    custom_confounds: Path | None = option(
        None,
        "further confounds to remove: a folder of tables named as fMRIPrep's",
        metavar="FOLDER",
    )
    high_pass: float | None = option(
        None,
        "high-pass cut-off, instead of fMRIPrep's cosines",
        metavar="HZ",
        limits=_MEASURE,
    )
    low_pass: float | None = option(
        None, "low-pass cut-off", metavar="HZ", limits=_MEASURE
    )
    smoothing_fwhm: float | None = option(
        None,
        "smooth each frame within the brain mask",
        metavar="MM",
        limits=_MEASURE,
    )
    dummy_scans: str = option(
        "auto",
        "frames to drop at the start of each run; auto: those that fMRIPrep flagged",
        metavar="auto|N",
        form=(r"auto|\d{1,9}", "auto or a whole number"),
    )
    min_minutes: float = option(
        4.0,
        "minimum duration of a run after censoring",
        metavar="MINUTES",
        limits=(0, _LARGEST, "0 or more, and finite"),
    )
    interpolation: Interpolation = option(
        "cubic", "interpolation of series that are not on the model's grid"
    )

    @property
    def scrubbing_fd_mm(self) -> float:
        """Framewise displacement above which scrubbing censors a frame."""
        return SCRUBBING_FD_MM if self.fd_threshold is None else self.fd_threshold


@dataclass(frozen=True)
class ModellingOptions:
    """How models are trained and evaluated.

    A network's option that is None takes its value from the workflow's recipe.
    """

    GROUP: ClassVar = "modelling"
    SHAPES: ClassVar = (MODELS,)

    analysis: str | None = option(
        None,
        "what to do at the group level; --analysis NAME --help explains one",
        shown="none: a table and a page of all participants",
    )
    architecture: str | None = option(None, "kind of model to train", shown="linear")
    recipe: str = option(
        "default",
        "how networks are trained; published: as in the workflow's paper",
    )
    contrast: tuple[str, ...] = option(
        (),
        "contrasts to analyse or write, by label; the name of a task means all its contrasts",
        metavar="LABEL",
        shown="all",
    )
    model_name: str | None = option(
        None,
        "name of the model to train, or of the results' folder in OUTPUT_DIR/group",
        flags=("--model-name", "--name"),
        metavar="NAME",
        shapes=(),
        shown="own",
        form=_NAME,
    )
    input_arrays: tuple[str, ...] = option(
        (),
        "participants as arrays (npz or HDF5) instead of images; BIDS_DIR names the dataset",
        metavar="FILE",
    )
    array_key: tuple[str, ...] = option(
        (), "key of the array NAME in the files of --input-arrays", metavar="NAME=KEY"
    )
    split_file: Path | None = option(
        None,
        "table with the columns participant_id and set (training, validation, calibration, test)",
        metavar="TSV",
        shown="drawn at random, families together",
    )
    epochs: int | None = option(
        None,
        "maximum number of training epochs",
        shown=f"{NETWORK_EPOCHS}",
        limits=COUNT,
    )
    batch_size: int | None = option(
        None,
        "participants per batch",
        shown=str(NETWORK_BATCH),
        limits=COUNT,
    )
    learning_rate: float | None = option(
        None,
        "initial learning rate of Adam",
        metavar="RATE",
        shown=f"{NETWORK_RATE:g}",
        limits=_MEASURE,
    )
    seed: int = option(
        0,
        "seed of splits, initial weights, batches and simulations",
        limits=_SEED,
    )
    structural_connectivity: Path | None = option(
        None,
        "structural connectomes of the atlas's regions: one file for all participants, or a "
        "folder with sub-*_relmat.tsv or QSIRecon's *connectivity.mat or .csv, from which "
        "--array-key structural=KEY chooses one",
        group="dynamics",
        metavar="FILE|FOLDER",
    )


@dataclass(frozen=True)
class StatisticsOptions:
    """Statistics and cross-validation over participants."""

    GROUP: ClassVar = "statistics"

    participants_file: Path | None = option(
        None,
        "table of participants with phenotypes, covariates, families (family_id), sites (site)",
        flags=("-p", "--participants-file"),
        metavar="TSV",
        shown="participants.tsv of BIDS_DIR",
    )
    covariates: tuple[str, ...] = option(
        (),
        "columns to adjust for, from the table or the quality metrics (fd_mean, minutes_kept); "
        "text is categorical",
        metavar="NAME",
        shown="none",
    )
    voxels: bool = option(
        False, "analyse voxels, not regions of the first of --atlases"
    )
    permutations: int | None = option(
        None,
        "permutations of participants, signs or behaviour; 0: none",
        shown=str(MAP_PERMUTATIONS),
        limits=(0, 1_000_000, "0 to 1,000,000"),
    )
    folds: int | Literal["halves"] | None = option(
        None,
        "folds of a cross-validation over participants",
        shown=str(FOLDS),
        limits=(2, COUNT[1], "2 or more"),
    )

    @property
    def cross_validated(self) -> int:
        """Number of folds, in analyses that are always cross-validated."""
        return self.folds if isinstance(self.folds, int) else FOLDS

    @property
    def map_permutations(self) -> int:
        """Permutations of map analyses; those of twins cost more and have their own default."""
        return MAP_PERMUTATIONS if self.permutations is None else self.permutations


@dataclass(frozen=True)
class OutputOptions:
    """What is written."""

    GROUP: ClassVar = "output"
    SHAPES: ClassVar = (RESULTS,)

    combine: Combine | None = option(
        None,
        "average maps, or connectomes, within each run, session or participant; group: use these",
        shown="session",
    )
    write: tuple[str, ...] = option(
        (),
        "what to write; quality tables, sidecars and pages are always written",
        metavar="KIND",
        shapes=(),
        shown="maps regions",
    )
    output_spaces: tuple[str, ...] = option(
        (),
        "more spaces for maps: T1w, MNI152NLin2009cAsym, MNI152NLin6Asym",
        metavar="SPACE",
    )
    surfaces: tuple[str, ...] = option(
        (),
        "surface meshes to write maps on: fsLR, fsaverage; 91k CIFTI and GIFTI of fsLR, GIFTI of "
        "fsaverage5, sampled on the participant's midthickness where there is one",
        metavar="MESH",
        shown="none",
    )
    atlases: tuple[str, ...] = option(
        (),
        "atlases to average maps over; names (Schaefer100 to Schaefer1000, Schaefer400x17, HCP, "
        "HOCPA25, Glasser), label images with space- in their names, .dlabel.nii files of the "
        "cortex, averaged over vertices, or none",
        metavar="NAME|FILE",
        shown="none, or the model's",
    )

    @property
    def averaging(self) -> Combine:
        """Which runs the participant level averages: the value of ``--combine``, or its default."""
        return self.combine or "session"


@dataclass(frozen=True)
class ResourceOptions:
    """Devices, processes, memory and folders for intermediate files."""

    GROUP: ClassVar = "resources"

    device: str = option(
        "auto",
        "auto, cpu, cuda, cuda:N or mps; auto: train on a GPU, predict maps on the CPU",
        group="model",
        metavar="DEVICE",
        form=_DEVICE,
    )
    nprocs: int | None = option(
        None,
        "most cores to use, of all processes together",
        shown="all, as memory allows",
        limits=COUNT,
    )
    omp_nthreads: int | None = option(
        None,
        "threads of each process",
        shown="cores / processes",
        limits=COUNT,
    )
    mem_gb: float | None = option(
        None,
        "memory of all processes together",
        metavar="GB",
        shown="what is available",
        limits=_MEASURE,
    )
    scheduler: str | None = option(
        None,
        "address of a dask scheduler; its workers need the same paths and do the work",
        metavar="ADDRESS",
        shown="this machine",
    )


@dataclass(frozen=True)
class BehaviourOptions:
    """What a run does instead of making maps and reports, and how much it prints."""

    GROUP: ClassVar = "behaviour"

    reports_only: bool = option(
        False, "only remake reports, from what OUTPUT_DIR holds"
    )
    verify: bool = option(
        False,
        "only compare files in OUTPUT_DIR with their checksums; the next run remakes damaged ones",
    )
    no_reports: bool = option(False, "make no reports")
    list_participants: bool = option(
        False, "only print the participants' labels, from the names of folders"
    )
    dry_run: bool = option(False, "only print what would be read, written and skipped")
    verbose: int = option(
        0, "more detail; -vv adds tracebacks of failures", flags=("-v", "--verbose")
    )


@dataclass(frozen=True)
class Settings:
    """All options of one run of ``bids_dtg``, by part.

    Raises
    ------
    SettingsError
        An option has an illegal value, or options contradict each other.

    Examples
    --------
    >>> from pathlib import Path
    >>> settings = Settings.of(
    ...     bids_dir=Path("ds001"), output_dir=Path("out"), analysis_level="participant", gsr=True
    ... )
    >>> settings.cleaning.gsr, settings.outputs.averaging
    (True, 'session')
    """

    # Input data and model.
    inputs: InputOptions
    # How runs are cleaned.
    cleaning: CleaningOptions = field(default_factory=CleaningOptions)
    # How the user's models are made.
    modelling: ModellingOptions = field(default_factory=ModellingOptions)
    # Over participants.
    statistics: StatisticsOptions = field(default_factory=StatisticsOptions)
    # What is written.
    outputs: OutputOptions = field(default_factory=OutputOptions)
    # Where it is computed.
    resources: ResourceOptions = field(default_factory=ResourceOptions)
    # Of the program.
    behaviour: BehaviourOptions = field(default_factory=BehaviourOptions)
    # Options of single slices: an object of each of their dataclasses.
    slices: tuple[Any, ...] = field(
        default_factory=lambda: tuple(part() for part in _SLICE_PARTS)
    )

    def __post_init__(self) -> None:
        check(FIELDS, self.options)

    @classmethod
    def of(cls, **options: Any) -> Settings:
        """Make settings from options, by the names that they have in a TOML file.

        Raises
        ------
        SettingsError
            An option is unknown, has a value of the wrong type, or is missing.
        """
        values: dict[type, dict[str, Any]] = {
            part: {} for part in (*_PARTS.values(), *_SLICE_PARTS)
        }
        for name, value in options.items():
            row = find_option(name, "Settings")
            values[row.part][name] = convert(value, row.hint, row.typed)
        required = [row for row in FIELDS.values() if row.default is REQUIRED]
        if lacking := [row.typed for row in required if row.name not in options]:
            raise SettingsError(
                f"{', '.join(lacking)}: neither on the command line nor in --config-file",
                expected=" ".join(row.typed for row in required),
            )
        parts = {name: part(**values[part]) for name, part in _PARTS.items()}
        slices = tuple(part(**values[part]) for part in _SLICE_PARTS)
        return cls(**parts, slices=slices)

    def replace(self, **options: Any) -> Settings:
        """Return these settings with some options changed."""
        return Settings.of(**{**self.options, **options})

    def part(self, kind: type[Part]) -> Part:
        """Return the options of a slice, by their dataclass.

        Examples
        --------
        >>> from bids_dtg.dynamics.options import DynamicsOptions
        >>> settings = Settings.of(
        ...     bids_dir="in", output_dir="out", analysis_level="group", simulations=9
        ... )
        >>> settings.part(DynamicsOptions).simulations
        9
        """
        return next(part for part in self.slices if isinstance(part, kind))

    def refuse(self, names: Iterable[str], given_with: str, instead: str) -> None:
        """Refuse options that are not at their defaults.

        Parameters
        ----------
        names
            Their names.
        given_with
            What they were given with, and why they do not go together.
        instead
            What goes with them; empty: nothing.

        Raises
        ------
        SettingsError
            Naming them.
        """
        values = self.options
        flags = [flag(name) for name in names if values[name] != OPTIONS[name].default]
        if flags:
            were = "was" if len(flags) == 1 else "were"
            raise SettingsError(
                f"{' and '.join(flags)} {were} given with {given_with}",
                expected=f"{f'{instead}, or ' if instead else ''}no {', no '.join(flags)}",
            )

    @property
    def options(self) -> dict[str, Any]:
        """All values, by name."""
        parts = {type(part): part for part in self.slices}
        parts |= {part: getattr(self, name) for name, part in _PARTS.items()}
        return {name: getattr(parts[row.part], name) for name, row in FIELDS.items()}

    @property
    def result_options(self) -> dict[str, Any]:
        """The options that change results, without input paths and resources, for JSON."""
        return {
            name: plain(value)
            for name, value in self.options.items()
            if RESULTS in FIELDS[name].shapes
        }


_PARTS: Mapping[str, Any] = {
    name: hint
    for name, hint in get_type_hints(Settings).items()
    if dataclasses.is_dataclass(hint)
}
_SLICE_PARTS: tuple[Any, ...] = tuple(
    pkgutil.resolve_name(part) for part in (*WORKFLOWS.values(), _OF_STATISTICS) if part
)
# All fields by name, in the order of ``--help`` within each group; below, those with a flag.
FIELDS: Mapping[str, Option] = {
    option.name: option
    for part in (*_PARTS.values(), *_SLICE_PARTS)
    for option in options_of(part)
}
OPTIONS: Mapping[str, Option] = {
    name: option for name, option in FIELDS.items() if not option.file_only
}


def _keyword(option: Option) -> inspect.Parameter:
    required = option.default is REQUIRED
    default = inspect.Parameter.empty if required else option.default
    return inspect.Parameter(
        option.name, inspect.Parameter.KEYWORD_ONLY, default=default
    )


# Editors complete the names of options from the signature.
_CLS = inspect.Parameter("cls", inspect.Parameter.POSITIONAL_OR_KEYWORD)
_SIGNATURE = inspect.Signature([_CLS, *map(_keyword, FIELDS.values())])
vars(Settings)["of"].__func__.__signature__ = _SIGNATURE


def find_option(name: str, source: str) -> Option:
    """Return the option of a name in Python or TOML.

    Raises
    ------
    SettingsError
        There is none; the error begins with `source`.
    """
    if name not in FIELDS:
        raise SettingsError(
            f"{source}: there is no option {name!r}",
            expected="options as on the command line, with _ for -",
            remedy=did_you_mean(name, FIELDS) or "see bids_dtg --help",
        )
    return FIELDS[name]


def to_toml(settings: Settings) -> str:
    """Return settings as TOML text, a table for each group of options."""
    import tomli_w

    tables: dict[str, dict[str, Any]] = {}
    for name, value in settings.options.items():
        if value is not None:
            tables.setdefault(FIELDS[name].group, {})[name] = plain(value)
    return tomli_w.dumps(tables)


def read_options(
    path: Path, choices: Mapping[str, Collection[str]] = MappingProxyType({})
) -> dict[str, Any]:
    """Read the options that a TOML file gives.

    Parameters
    ----------
    path
        A file with any subset of the options, in the form that `to_toml` writes. Its tables are
        headings; it may do without.
    choices
        Legal values of options that choose a row of a table, by the option's name.

    Returns
    -------
    dict
        Values by field name, converted to the fields' types.

    Raises
    ------
    SettingsError
        The file cannot be read, or has an unknown option or an illegal value.
    """
    with reading(path, SettingsError):
        tables = read_toml(path)
    values: dict[str, Any] = {}
    for key, content in tables.items():
        entries = content if isinstance(content, dict) else {key: content}
        for name, value in entries.items():
            hint = find_option(name, str(path)).hint
            values[name] = convert(value, hint, f"{path}: {name}", choices.get(name))
    return values
