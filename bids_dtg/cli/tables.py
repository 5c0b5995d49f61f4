"""The workflows and their analyses, and the values of options that choose a row of a table.

A new workflow, or a new analysis, is a row here; `bids_dtg.report` has a row of the same name
with its words, columns and panels. Rows import what they run only when they are called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bids_dtg.bundles.kinds import AUTO_KIND, KINDS, recipe_names
from bids_dtg.cleaning.strategies import AUTO, AUTO_MEANS, STRATEGIES, resolve
from bids_dtg.cli.exits import EXIT_FAILED
from bids_dtg.connectome.form import FORMS
from bids_dtg.engine.capacity import excess, own_cores, own_threads
from bids_dtg.engine.machine import limit_threads
from bids_dtg.files.temporary import check_temporary_folder
from bids_dtg.notices import say
from bids_dtg.settings import Settings

Run = Callable[[Settings], int]  # does the work; returns how much of it failed


@dataclass(frozen=True)
class Analysis:
    """An analysis of the group level."""

    run: Run  # what it does
    help: str  # for ``--help``


@dataclass(frozen=True)
class Workflow:
    """What a workflow does at each level."""

    participants: Run  # maps or other results of each participant
    reports: Run  # the participants' reports anew, from what OUTPUT_DIR holds
    verify: Run  # compare participants' files with what was written
    methods: Run  # the methods text alone
    group: Run  # the table and the pages of all participants
    analyses: Mapping[str, Analysis]  # of the group level, by the values of ``--analysis``

    def chosen(self, settings: Settings) -> Run:
        """Return what the options ask for."""
        if settings.modelling.analysis is not None:
            return self.analyses[settings.modelling.analysis].run
        if settings.inputs.analysis_level == "group":
            return self.group
        if settings.behaviour.reports_only:
            return self.reports
        if settings.behaviour.verify:
            return self.verify
        return self.methods if settings.behaviour.boilerplate_only else self.participants


def _participants(settings: Settings) -> int:
    from bids_dtg.workflows.participant.call import run_participants

    return run_participants(settings)


def _reports(settings: Settings) -> int:
    from bids_dtg.workflows.participant.reports import remake_reports

    return remake_reports(settings)


def _verify(settings: Settings) -> int:
    from bids_dtg.workflows.participant.verify import verify_participants

    return verify_participants(settings)


def _methods(settings: Settings) -> int:
    from bids_dtg.workflows.participant.reports import print_methods

    return print_methods(settings)


def _group(settings: Settings) -> int:
    from bids_dtg.workflows.group.tables import run_group

    return run_group(settings)


def _train(settings: Settings) -> int:
    from bids_dtg.workflows.modelling.train import run_training

    return run_training(settings)


def _finetune(settings: Settings) -> int:
    from bids_dtg.workflows.modelling.finetune import run_finetuning

    return run_finetuning(settings)


def _evaluate(settings: Settings) -> int:
    from bids_dtg.workflows.modelling.evaluate import run_evaluation

    return run_evaluation(settings)


def _predict(settings: Settings) -> int:
    from bids_dtg.workflows.modelling.predict import run_prediction

    return run_prediction(settings)


def _calibrate(settings: Settings) -> int:
    from bids_dtg.workflows.modelling.calibrate import run_calibration

    return run_calibration(settings)


WORKFLOWS: Mapping[str, Workflow] = MappingProxyType(
    {
        "contrasts": Workflow(
            participants=_participants,
            reports=_reports,
            verify=_verify,
            methods=_methods,
            group=_group,
            analyses=MappingProxyType(
                {
                    "train": Analysis(
                        _train,
                        "make a model from participants' rest and measured maps "
                        "(--derivatives statmaps=PATH)",
                    ),
                    "finetune": Analysis(_finetune, "adapt --model to them"),
                    "evaluate": Analysis(_evaluate, "score the maps of --model against them"),
                    "calibrate": Analysis(_calibrate, "give --model intervals by them"),
                    "predict": Analysis(_predict, "maps by --model, of --input-arrays"),
                }
            ),
        ),
    }
)
DEFAULT = "contrasts"


def run_workflow(settings: Settings, workflow: str = DEFAULT) -> int:
    """Do what the options ask for, as ``bids_dtg`` does.

    Parameters
    ----------
    settings
        All options of the call.
    workflow
        A row of `WORKFLOWS`.

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
    resolve(settings.cleaning, settings.inputs.input_type)  # refuses what does not go together
    resources = settings.resources
    if resources.scheduler is None:  # its workers' machines may be larger
        for line in excess(resources):
            say(f"bids_dtg: note: {line}")
    limit_threads(own_threads(resources) or own_cores(resources))
    check_temporary_folder()
    run = WORKFLOWS[workflow].chosen(settings)
    return EXIT_FAILED if run(settings) else 0


@dataclass(frozen=True)
class Choices:
    """What an option may be that chooses a row of a table."""

    values: tuple[str, ...]  # legal values, in the order of ``--help``
    words: tuple[str, ...] = ()  # on single values, for ``--help``
    shown_default: str | None = None  # for ``--help`` where the default itself says little


def table_choices() -> Mapping[str, Choices]:
    """Return the options that choose a row of a table, by name."""
    analyses = WORKFLOWS[DEFAULT].analyses
    return {
        "analysis": Choices(
            tuple(analyses), tuple(f"{name}: {row.help}" for name, row in analyses.items())
        ),
        "denoise_strategy": Choices(
            (AUTO, *STRATEGIES),
            tuple(f"{row.name}: {row.help}" for row in STRATEGIES.values()),
            AUTO_MEANS,
        ),
        "architecture": Choices(
            (AUTO_KIND, *KINDS),
            (
                f"{AUTO_KIND}: linear with few participants, blend with many",
                *(f"{row.name}: {row.help}" for row in KINDS.values() if row.help),
            ),
        ),
        "connectome": Choices(
            tuple(FORMS), tuple(f"{row.name}: {row.help}" for row in FORMS.values())
        ),
        "recipe": Choices(recipe_names()),
    }


def legal_values() -> dict[str, tuple[str, ...]]:
    """Return the legal values of the options that choose a row of a table, by name."""
    return {name: choices.values for name, choices in table_choices().items()}
