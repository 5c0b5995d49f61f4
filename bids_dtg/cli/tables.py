"""The workflows and their analyses, and the values of options that choose a row of a table.

A new workflow, or a new analysis, is a row here; `bids_dtg.report` has a row of the same name
with its words, columns and panels. Rows import what they run only when they are called.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from bids_dtg.bundles.kinds import AUTO_KIND, maps_kinds, recipe_names
from bids_dtg.cleaning.strategies import AUTO, AUTO_MEANS, STRATEGIES, resolve
from bids_dtg.cli.exits import EXIT_FAILED
from bids_dtg.cohort.feature_kinds import FEATURES
from bids_dtg.connectome.form import FORMS
from bids_dtg.dynamics.recipe import RECIPES
from bids_dtg.engine.capacity import excess, own_cores, own_threads
from bids_dtg.engine.machine import importing, limit_threads
from bids_dtg.errors import SettingsError
from bids_dtg.files.derivatives import refuse_other_workflow
from bids_dtg.files.temporary import check_temporary_folder
from bids_dtg.notices import say
from bids_dtg.settings import OPTIONS, BehaviourOptions, Settings
from bids_dtg.settings.option import find_row, rest_option
from bids_dtg.twin import recipe as twin

Run = Callable[[Settings], int]  # does the work; returns how much of it failed
Arrays = Literal["never", "may", "must"]


@dataclass(frozen=True)
class Analysis:
    """An analysis of the group level."""

    run: Run  # what it does
    help: str  # for ``--help``
    arrays: Arrays = "never"  # whether it reads people from ``--input-arrays``
    needs_model: bool = False  # whether ``--model`` must be given, as its default is no such model
    statistics: tuple[str, ...] = ()  # options of this group that it reads


@dataclass(frozen=True)
class ParticipantLevel:
    """What a workflow does with one participant at a time."""

    results: Run  # maps or other results of each participant
    reports: Run  # the participants' reports anew, from what OUTPUT_DIR holds
    verify: Run  # compare participants' files with what was written
    methods: Run  # the methods text alone

    def chosen(self, behaviour: BehaviourOptions) -> Run:
        """Return what the options ask for."""
        if behaviour.reports_only:
            return self.reports
        if behaviour.verify:
            return self.verify
        return self.methods if behaviour.boilerplate_only else self.results


@dataclass(frozen=True)
class Workflow:
    """What a workflow does at each level."""

    name: str  # a value of ``--workflow``
    help: str  # for ``--help``
    participants: ParticipantLevel
    analyses: Mapping[str, Analysis]  # of the group level, by the values of ``--analysis``
    recipes: tuple[str, ...]  # of training: what ``--recipe`` may be
    # Of models: what ``--architecture`` may be; none: no option.
    architectures: Callable[[], tuple[str, ...]] = tuple
    group: Run | None = None  # without ``--analysis``: the table and the pages of all participants
    group_reads_runs: bool = False  # whether the group level may read runs of rest

    def chosen(self, settings: Settings) -> Run:
        """Return what the options ask for.

        Raises
        ------
        SettingsError
            The workflow has no such level, analysis or recipe, or the analysis lacks something.
        """
        name = settings.modelling.analysis
        self._require("analysis", name)
        self._require("recipe", settings.modelling.recipe)
        if self.architectures():
            self._require("architecture", settings.modelling.architecture)
        run = self._level(settings) if name is None else self._analysis(name, settings)
        _check_arrays(self, settings)
        _check_statistics(self, settings)
        _check_rest(self, settings)
        return run

    def legal(self, option: str) -> Collection[str]:
        """Return what an option may be: analysis, recipe or architecture.

        Parameters
        ----------
        option
            Its name.
        """
        tables = {"analysis": self.analyses, "recipe": self.recipes}
        return {**tables, "architecture": self.architectures()}[option]

    def _level(self, settings: Settings) -> Run:
        """Return what is done at a level without an analysis."""
        if settings.inputs.analysis_level == "participant":
            return self.participants.chosen(settings.behaviour)
        if self.group is not None:
            return self.group
        raise SettingsError(
            f"--workflow {self.name} was given with group and no --analysis",
            expected=f"group --analysis {'|'.join(self.analyses)}",
        )

    def _analysis(self, name: str, settings: Settings) -> Run:
        row = self.analyses[name]
        if row.needs_model and settings.inputs.model == OPTIONS["model"].field.default:
            raise SettingsError(
                f"--workflow {self.name} --analysis {name} was given without --model",
                expected=f"a model that --workflow {self.name} --analysis train has made",
            )
        return row.run

    def _require(self, option: str, name: str | None) -> None:
        legal = self.legal(option)
        if name is None or name in legal:
            return
        others = [row.name for row in WORKFLOWS.values() if name in row.legal(option)]
        raise SettingsError(
            f"--{option} {name} was given with --workflow {self.name}",
            expected=f"one of {', '.join(legal)}",
            remedy=f"--workflow {' or '.join(others)} has --{option} {name}" if others else "",
        )


def _later(name: str) -> Run:
    """Return a function of the package whose module is imported when it is called."""

    def run(settings: Settings) -> int:
        with importing():
            row = pkgutil.resolve_name(f"bids_dtg.{name}")
        return int(row(settings))

    return run


# Options of what is asked of people with a table of what is known of them.
_ASKED = ("participants_file", "phenotype", "covariates", "feature_sets")
_CONTRASTS = Workflow(
    name="contrasts",
    help="maps of task activation",
    participants=ParticipantLevel(
        results=_later("contrasts.participant.call:run_participants"),
        reports=_later("participants.reports:remake_reports"),
        verify=_later("participants.verify:verify_participants"),
        methods=_later("contrasts.participant.call:print_methods"),
    ),
    group=_later("contrasts.analyses.overview.analysis:run_group"),
    group_reads_runs=True,
    analyses=MappingProxyType(
        {
            "train": Analysis(
                _later("contrasts.analyses.train:run_training"),
                "make a model from participants' rest and measured maps "
                "(--derivatives statmaps=PATH)",
                arrays="may",
            ),
            "finetune": Analysis(
                _later("contrasts.analyses.finetune:run_finetuning"), "adapt --model to them"
            ),
            "evaluate": Analysis(
                _later("contrasts.analyses.evaluate:run_evaluation"),
                "score the maps of --model against them",
                arrays="may",
            ),
            "calibrate": Analysis(
                _later("contrasts.analyses.calibrate:run_calibration"),
                "give --model intervals by them",
                arrays="may",
            ),
            "deviation": Analysis(
                _later("statistics.deviation:run_deviation"),
                "what is each participant's own of the maps in OUTPUT_DIR, against all others",
            ),
            "stats": Analysis(
                _later("statistics.group_maps.analysis:run_stats"),
                "tests over participants' maps (one or two samples, paired, regression), and "
                "group maps beside those of measured maps",
                statistics=(*_ASKED, "design", "permutations", "tfce", "within_families"),
            ),
            "associate": Analysis(
                _later("statistics.associate.analysis:run_associate"),
                "association of each region or voxel with phenotypes",
                statistics=(*_ASKED, "permutations", "within_families"),
            ),
            "phenotypes": Analysis(
                _later("statistics.phenotypes.analysis:run_phenotypes"),
                "prediction of phenotypes from maps, beside that from connectomes",
                statistics=(
                    *_ASKED,
                    "permutations",
                    "within_families",
                    "folds",
                    "repeats",
                    "leave_site_out",
                ),
            ),
            "embed": Analysis(
                _later("statistics.embed.analysis:run_embed"),
                "participants and contrasts in few dimensions; typical and atypical maps",
                statistics=("participants_file", "feature_sets"),
            ),
            "normative": Analysis(
                _later("statistics.normative.analysis:run_normative"),
                "deviations of regions from what age, sex and site let expect",
                statistics=(
                    "participants_file",
                    "covariates",
                    "feature_sets",
                    "permutations",
                    "folds",
                ),
            ),
            "glm": Analysis(
                _later("statistics.glm.analysis:run_glm"),
                "measured maps from task runs and their events (--glm-model)",
                statistics=("glm_model",),
            ),
            "predict": Analysis(
                _later("contrasts.analyses.predict:run_prediction"),
                "maps by --model, of --input-arrays",
                arrays="must",
            ),
        }
    ),
    recipes=recipe_names(),
    architectures=lambda: (AUTO_KIND, *maps_kinds()),
)
_DYNAMICS = Workflow(
    name="dynamics",
    help="a model of each participant's network of regions and its activity (Sip et al., 2023): "
    "from images at the participant level; at the group level from the output of participants, "
    "or from --input-arrays",
    participants=ParticipantLevel(
        results=_later("dynamics.participant.call:run_participants"),
        reports=_later("participants.reports:remake_reports"),
        verify=_later("participants.verify:verify_participants"),
        methods=_later("dynamics.participant.call:print_methods"),
    ),
    analyses=MappingProxyType(
        {
            "train": Analysis(
                _later("dynamics.analyses.train:run_training"),
                "fit the network model to people's series",
                arrays="may",
            ),
            "evaluate": Analysis(
                _later("dynamics.analyses.evaluate:run_evaluation"),
                "judge --model and what it simulates by people's series, beside simple models",
                arrays="may",
                needs_model=True,
            ),
            "simulate": Analysis(
                _later("dynamics.analyses.simulate:run_simulation"),
                "people's activity by --model",
                arrays="may",
                needs_model=True,
            ),
            "fixed-points": Analysis(
                _later("dynamics.analyses.fixed_points:run_fixed_points"),
                "where the activity of --model rests, and whether it is stable there",
                arrays="may",
                needs_model=True,
            ),
        }
    ),
    recipes=tuple(RECIPES),
)
_TWIN = Workflow(
    name="twin",
    help="networks made from participants' connectomes that perform their tasks (Takahashi et al., "
    "2026): connectomes and what twins do in tasks at the participant level; at the group level "
    "from the event files of BIDS_DIR, and the output of participants or --input-arrays",
    participants=ParticipantLevel(
        results=_later("twin.participant.call:run_participants"),
        reports=_later("participants.reports:remake_reports"),
        verify=_later("participants.verify:verify_participants"),
        methods=_later("twin.participant.call:print_methods"),
    ),
    analyses=MappingProxyType(
        {
            "train": Analysis(
                _later("twin.analyses.train:run_training"),
                "fit networks to people's connectomes and responses",
                arrays="may",
            ),
            "evaluate": Analysis(
                _later("twin.analyses.evaluate:run_evaluation"),
                "judge --model by people whom it was not fitted to",
                arrays="may",
                needs_model=True,
            ),
            "intervene": Analysis(
                _later("twin.analyses.intervene.call:run_interventions"),
                "what edges the behaviour of --model depends on, and what it does once connectomes "
                "are moved",
                arrays="may",
                needs_model=True,
                statistics=("permutations",),
            ),
        }
    ),
    recipes=tuple(twin.RECIPES),
    architectures=lambda: (AUTO_KIND, *twin.ARCHITECTURES),
)
WORKFLOWS: Mapping[str, Workflow] = MappingProxyType(
    {row.name: row for row in (_CONTRASTS, _DYNAMICS, _TWIN)}
)
DEFAULT = _CONTRASTS.name  # also of an output that names none


def _check_arrays(workflow: Workflow, settings: Settings) -> None:
    """Refuse --input-arrays where they are not read, and an analysis that reads nothing else."""
    name, arrays = settings.modelling.analysis, settings.modelling.input_arrays
    use = "never" if name is None else workflow.analyses[name].arrays
    if arrays and use == "never":
        able = [own for own, other in workflow.analyses.items() if other.arrays != "never"]
        raise SettingsError(
            f"--input-arrays was given with {f'--analysis {name}' if name else 'no --analysis'}",
            expected=f"group --analysis {' or '.join(able)}",
        )
    if not arrays and use == "must":
        raise SettingsError(
            f"--analysis {name} was given without --input-arrays",
            expected="arrays; results from images are made at the level participant",
        )


def _check_statistics(workflow: Workflow, settings: Settings) -> None:
    """Refuse options of statistics that the analysis does not read."""
    name = settings.modelling.analysis
    read = () if name is None else workflow.analyses[name].statistics
    for option, value in settings.options.items():
        row = OPTIONS[option]
        if row.group != "statistics" or option in read or value == row.field.default:
            continue
        able = [own for own, other in workflow.analyses.items() if option in other.statistics]
        raise SettingsError(
            f"--{option.replace('_', '-')} was given with "
            f"{f'--analysis {name}' if name else 'no --analysis'}",
            expected=f"group --analysis {' or '.join(able)}",
        )


def _check_rest(workflow: Workflow, settings: Settings) -> None:
    """Refuse options of runs of rest where the group level reads none."""
    if workflow.group_reads_runs or settings.inputs.analysis_level == "participant":
        return
    for option, value in settings.options.items():
        row = OPTIONS[option].field
        of_runs = option == "combine" or row.metadata["workflows"] == rest_option.workflows
        if of_runs and value != row.default:
            flag = "--" + option.replace("_", "-")
            raise SettingsError(
                f"{flag} was given with group --workflow {workflow.name}, which reads what the "
                "participant level has written, or arrays",
                expected=f"the level participant, or no {flag}",
            )


def run_workflow(settings: Settings) -> int:
    """Do what the options ask for, as ``bids_dtg`` does.

    Parameters
    ----------
    settings
        All options of the call.

    Returns
    -------
    int
        Exit code: 0 where all is done, 1 where at least one participant failed.

    Raises
    ------
    DtgError
        Nothing was started: wrong options, dataset or model.

    Examples
    --------
    >>> from pathlib import Path
    >>> settings = Settings.of(
    ...     bids_dir=Path("nowhere"), output_dir=Path("out"), analysis_level="participant"
    ... )
    >>> from bids_dtg.errors import DatasetError
    >>> try:
    ...     run_workflow(settings)
    ... except DatasetError as err:
    ...     print(err.found.rpartition("/")[2])
    nowhere does not exist
    """
    workflow = find_row(WORKFLOWS, "--workflow", settings.inputs.workflow)
    run = workflow.chosen(settings)
    resolve(settings.cleaning, settings.inputs.input_type)  # refuses what does not go together
    refuse_other_workflow(settings.inputs.output_dir, workflow.name, unnamed=DEFAULT)
    resources = settings.resources
    if resources.scheduler is None:  # its workers' machines may be larger
        for line in excess(resources):
            say(f"bids_dtg: note: {line}")
    limit_threads(own_threads(resources) or own_cores(resources))
    check_temporary_folder()
    return EXIT_FAILED if run(settings) else 0


@dataclass(frozen=True)
class Choices:
    """What an option may be that chooses a row of a table."""

    values: tuple[str, ...]  # legal values, in the order of ``--help``
    words: tuple[str, ...] = ()  # on single values, for ``--help``
    shown_default: str | None = None  # for ``--help`` where the default itself says little


def table_choices() -> Mapping[str, Choices]:
    """Return the options that choose a row of a table, by name."""
    rows = WORKFLOWS.values()
    return {
        "workflow": Choices(tuple(WORKFLOWS), tuple(f"{row.name}: {row.help}" for row in rows)),
        "analysis": Choices(
            tuple(dict.fromkeys(name for row in rows for name in row.analyses)),
            tuple(words for row in rows for words in _analyses_in_words(row)),
        ),
        "denoise_strategy": Choices(
            (AUTO, *STRATEGIES),
            tuple(f"{row.name}: {row.help}" for row in STRATEGIES.values()),
            AUTO_MEANS,
        ),
        "architecture": Choices(
            tuple(dict.fromkeys(name for row in rows for name in row.architectures())),
            (
                f"{AUTO_KIND}: linear with few participants, blend with many; with --workflow "
                f"{_TWIN.name} {twin.DEFAULT_ARCHITECTURE}",
                *(f"{row.name}: {row.help}" for row in maps_kinds().values() if row.help),
                *_architectures_in_words(),
            ),
        ),
        "connectome": Choices(
            tuple(FORMS), tuple(f"{row.name}: {row.help}" for row in FORMS.values())
        ),
        "recipe": Choices(tuple(dict.fromkeys(name for row in rows for name in row.recipes))),
        "feature_sets": Choices(
            tuple(FEATURES), tuple(f"{row.name}: {row.help}" for row in FEATURES.values())
        ),
    }


def _analyses_in_words(workflow: Workflow) -> Iterator[str]:
    """Yield what each analysis does; the first of another workflow than the default names it."""
    before = "" if workflow.name == DEFAULT else f"with --workflow {workflow.name} "
    for name, row in workflow.analyses.items():
        yield f"{before}{name}: {row.help}"
        before = ""


def _architectures_in_words() -> Iterator[str]:
    """Yield what the architectures of twins are; the first names the workflow."""
    before = f"with --workflow {_TWIN.name} "
    for row in twin.ARCHITECTURES.values():
        yield f"{before}{row.name}: {row.help}"
        before = ""


def legal_values() -> dict[str, tuple[str, ...]]:
    """Return the legal values of the options that choose a row of a table, by name."""
    return {name: choices.values for name, choices in table_choices().items()}
