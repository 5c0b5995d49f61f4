"""Fit a digital twin to people's connectomes and responses; write its bundle, tables and page."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bids_dtg.cohort.result_folder import BUNDLE, MODEL
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.engine.machine import training_device
from bids_dtg.errors import SettingsError
from bids_dtg.files.columns import Column
from bids_dtg.notices import counted, named, say
from bids_dtg.report import figures
from bids_dtg.report.flags import Flag
from bids_dtg.report.page import Page, Section
from bids_dtg.report.tables import number_text
from bids_dtg.settings import Settings
from bids_dtg.stats.verdict import NO_EVIDENCE
from bids_dtg.training.loop import Workplace
from bids_dtg.twin.adjustment import Adjustment
from bids_dtg.twin.analyses.analysis import (
    PARTICIPANTS,
    TwinAnalysis,
    participants_table,
    trials_on_page,
)
from bids_dtg.twin.bold import fit_bold
from bids_dtg.twin.bundle.bundle import write_twin_bundle
from bids_dtg.twin.fitting import Fitted, fit
from bids_dtg.twin.judging.predictions import Cohort
from bids_dtg.twin.participant.twin_participants import trial_notes
from bids_dtg.twin.recipe import (
    DEFAULT_ARCHITECTURE,
    Architecture,
    Recipe,
    find_architecture,
    find_recipe,
)
from bids_dtg.twin.times import PERMUTATIONS

_FEWEST = 2  # people: one is left out to choose the best epoch
_CAUTION = f"A twin's answers are predictions, not measurements. {NO_EVIDENCE}"
ALL_THE_SAME = (
    "Connectomes are not shown to predict left-out people, "
    "so all twins are the group's network"
)
Row = dict[str, Any]
_CAN_WRITE = ("bundle/", "checkpoints/", PARTICIPANTS, "desc-training_history")
_HISTORY = (
    Column(
        "stage",
        "Stage: group (the shared network), times (weights by measures of behaviour), "
        "times-slower (the same again, at a third of the rate), or people (the hypernetwork)",
    ),
    Column("epoch", "Number of the epoch, from 1"),
    Column(
        "loss", "Training loss: cross-entropy of buttons, and squared error of measures"
    ),
    Column(
        "validation_loss",
        "Loss of the validation people, by which the best epoch is chosen; by default the stage "
        "people is trained on these, too, and its last epoch is taken",
    ),
    Column("skipped", "Updates left out because their gradient was not finite"),
    Column("seconds", "Duration of the epoch", unit="s"),
)


def run_training(settings: Settings) -> int:
    """Fit a twin to everybody, or to the training set of ``--split-file``; return 0.

    A stopped run resumes after its last epoch when it is repeated.

    Raises
    ------
    DtgError
        Wrong options, files or output folder.
    """
    architecture = chosen_architecture(settings)
    recipe = chosen_recipe(settings)
    analysis = TwinAnalysis.prepare(settings, MODEL, *_CAN_WRITE)
    people, labels = analysis.people, analysis.people.split.training
    if len(labels) < _FEWEST:
        raise SettingsError(
            f"{counted(labels, 'participant')} would be trained on",
            expected=f"{_FEWEST} or more with a connectome and events (in the set training, if "
            "--split-file is given)",
        )
    stages = [
        f"{counted(epochs, 'epoch')} of the stage {stage}"
        for stage, field in architecture.stages.items()
        if (epochs := getattr(recipe, field))
    ]
    schedule = f"{architecture.name}, at most {' and '.join(stages)}"
    if settings.behaviour.dry_run:
        return analysis.print_plan(f"the model {analysis.name} ({schedule})", labels)
    training, odd = analysis.training_cohort(labels)
    with analysis.writing():
        say(
            f"{counted(labels, 'participant')}, {counted(people.source.edges, 'edge')}, "
            f"{counted(people.tasks.tasks, 'task')} ({', '.join(people.tasks.names)}); "
            f"{schedule}"
        )
        place = analysis.results.add("checkpoints/")
        fitted, adjustment = fit_people(analysis, training, place)
        bundle = write_twin_bundle(
            analysis.results.add(f"{BUNDLE}/"),
            fitted,
            analysis.training_hashes(fitted.people),
            adjustment=adjustment,
            **_facts(analysis, fitted),
        )
        history = [
            {"stage": stage, **record, "epoch": int(record["epoch"]) + 1}
            for stage, records in fitted.history.items()
            for record in records
        ]
        tables = {
            PARTICIPANTS: participants_table(people),
            "desc-training_history": ResultTable(
                _HISTORY, history, "The training: one row per epoch of a stage"
            ),
        }
        analysis.write(tables, _page(analysis, fitted, odd))
        say(f"{bundle.title} ({bundle.card.kind}): {bundle.path}")
    return 0


def fit_people(
    analysis: TwinAnalysis, training: Cohort, place: Path
) -> tuple[Fitted, Adjustment | None]:
    """Fit twins as the options say; return them, and the adjustment of their connectomes.

    Parameters
    ----------
    analysis
        The analysis that runs.
    training
        The training people.
    place
        Folder of checkpoints, from which a stopped run resumes.
    """
    settings, adjustment = analysis.settings, None
    if settings.statistics.covariates:
        adjustment = Adjustment.fit(training.connectomes, training.covariates)
        say(
            f"connectomes and predicted times are adjusted for {named(adjustment.asked)}"
        )
    edges, covariates = training.edges(adjustment), training.taken_out(adjustment)
    fitted = fit(
        edges,
        training.segments,
        people=training.labels,
        families=training.families,
        covariates=covariates,
        bold=training.bold,
        architecture=chosen_architecture(settings).name,
        recipe=chosen_recipe(settings),
        seed=settings.modelling.seed,
        workplace=Workplace(
            place,
            device=training_device(settings.resources.device, say),
            progress=sys.stderr.isatty(),
        ),
        report=say,
    )
    ridges = None
    if training.bold is not None:
        assert analysis.people.task_bold is not None
        ridges = fit_bold(
            training.bold,
            edges,
            training.segments,
            regions=analysis.people.task_bold.regions,
            covariates=covariates,
            families=training.kin,
        )
        say(
            f"BOLD of {counted(ridges.regions, 'region')}; connectomes predict responses in "
            f"{int(ridges.open.sum())} of them"
        )
    return dataclasses.replace(fitted, bold=ridges), adjustment


def chosen_architecture(settings: Settings) -> Architecture:
    """Return the row of the architecture that ``--architecture`` names, or the default.

    Raises
    ------
    SettingsError
        No architecture has this name.
    """
    return find_architecture(settings.modelling.architecture or DEFAULT_ARCHITECTURE)


def chosen_recipe(settings: Settings) -> Recipe:
    """Return the recipe of ``--architecture`` and ``--recipe``, changed by other options.

    Raises
    ------
    SettingsError
        No architecture or recipe has this name.
    """
    modelling = settings.modelling
    architecture = chosen_architecture(settings)
    recipe = find_recipe(architecture.name, modelling.recipe)
    changes: dict[str, Any] = {
        **architecture.epochs(recipe, modelling.epochs),
        architecture.rate: modelling.learning_rate,
        **dict.fromkeys(("batch_people", "times_people"), modelling.batch_size),
    }
    options = {name: value for name, value in changes.items() if value is not None}
    return dataclasses.replace(recipe, **options)


def _facts(analysis: TwinAnalysis, fitted: Fitted) -> dict[str, Any]:
    """Return the bundle's facts on data and fit."""
    settings, people = analysis.settings, analysis.people
    source = people.source
    epochs = sum(map(len, fitted.history.values()))
    return {
        "name": analysis.name,
        "recipe_name": settings.modelling.recipe,
        "connectome": source.words,
        "regions": source.regions if source.places_named else (),
        "atlas": source.atlas,
        "atlas_digest": source.atlas_digest,
        "cleaning": source.cleaning,
        "data_set": analysis.data_set,
        "description": f"Fitted with bids_dtg to {counted(fitted.people, 'participant')} who "
        f"performed {', '.join(people.tasks.names)}: {fitted.architecture}, "
        f"{counted(epochs, 'epoch')}",
        "notice": analysis.dataset.notice,
    }


def _page(analysis: TwinAnalysis, fitted: Fitted, odd: Sequence[str]) -> Page:
    people = analysis.people
    return Page(
        title=analysis.results.title,
        lead=f"A digital twin ({fitted.architecture}) of "
        f"{counted(fitted.people, 'participant')} of {analysis.data_set}, "
        f"{counted(people.source.edges, 'edge')} per connectome. {_CAUTION}",
        flags=_flags(analysis, fitted, odd),
        sections=(
            Section(title="Trials", tables=(trials_on_page(people, fitted.people),)),
            Section(
                title="Training",
                text=(_which_epoch(fitted),),
                figures=_curves(fitted),
            ),
            *_connectome_sections(fitted),
        ),
    )


def _which_epoch(fitted: Fitted) -> str:
    """Describe which epoch of each stage is taken."""
    words = "The best epoch has the lowest loss in people left out of the training."
    if {"group", "people"} <= {*fitted.history}:
        words += (
            " The stage people is trained on everybody, and its last epoch is taken."
        )
    return words


def _flags(
    analysis: TwinAnalysis, fitted: Fitted, odd: Sequence[str]
) -> tuple[Flag, ...]:
    """Return warnings on the data, on left-out participants, and on trials and connectomes."""
    people = analysis.people
    warnings = [
        *([analysis.dataset.notice] if analysis.dataset.notice else []),
        *([] if fitted.twin.differ else [ALL_THE_SAME]),
        *odd,
        *trial_notes(people.tasks.tasks, people.behaviour, people.labels),
    ]
    if people.left_out:
        warnings.append(
            f"{counted(people.left_out, 'participant')} left out: see the table"
        )
    return tuple(Flag("warning", text) for text in warnings)


def _curves(fitted: Fitted) -> tuple[figures.Figure | None, ...]:
    return tuple(
        figures.curves(
            caption=f"Loss of the stage {stage}",
            x_label="epoch",
            y_label="loss",
            series={
                words: np.array([record.get(key, np.nan) for record in history])
                for key, words in (
                    ("loss", "training"),
                    ("validation_loss", "validation"),
                )
            },
        )
        for stage, history in fitted.history.items()
        if history
    )


def _connectome_sections(fitted: Fitted) -> Iterator[Section]:
    """Yield the section on what connectomes predict; nothing for published hypernetworks."""
    if (gate := fitted.gate) is not None:
        facts = {
            "z": number_text(float(gate.z[0]), 1),
            "least": number_text(gate.least_z, 1),
            "permutations": PERMUTATIONS,
            "generates_all": find_architecture(fitted.architecture).generates_all,
        }
        yield Section("Connectomes", template="twin/connectomes.html", facts=facts)
