"""Fit a network model to regional time series, and write its bundle, tables and page."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import numpy as np

from bids_dtg.cohort.result_folder import BUNDLE, CHECKPOINTS, MODEL
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.dynamics.analyses.analysis import DynamicsAnalysis
from bids_dtg.dynamics.analyses.parameters import (
    PARAMETERS,
    PARTICIPANT,
    USE,
    in_words,
    uses,
)
from bids_dtg.dynamics.bundle.network import write_network_bundle
from bids_dtg.dynamics.fitting import (
    Fitted,
    Restart,
    choose_trained,
    fit,
    require_continuable,
)
from bids_dtg.dynamics.inference import Inferred, infer
from bids_dtg.dynamics.networks import Networks
from bids_dtg.dynamics.options import DynamicsOptions
from bids_dtg.dynamics.parameters import Alignment, alignment_of
from bids_dtg.dynamics.participant.sources import session_words
from bids_dtg.dynamics.recipe import (
    PUBLISHED,
    PUBLISHED_PEOPLE,
    PUBLISHED_UPDATES,
    Recipe,
    find_recipe,
)
from bids_dtg.engine.machine import training_device
from bids_dtg.errors import SettingsError
from bids_dtg.files.columns import Column
from bids_dtg.notices import counted, say
from bids_dtg.report import figures
from bids_dtg.report.page import Section
from bids_dtg.settings import Settings
from bids_dtg.training.loop import Workplace

_CAN_WRITE = (
    f"{BUNDLE}/",
    f"{CHECKPOINTS}/",
    "desc-regions_parameters",
    PARAMETERS,
    "desc-training_history",
    "desc-restarts_scores",
)
_REGIONS = (
    PARTICIPANT,
    Column("region", "Name of the region"),
    Column("trained", "Whether the model was trained on this series"),
)
_THETA = (
    Column(
        "theta{}",
        "Posterior mean of parameter {}; parameters are in the order of their use",
    ),
    Column("theta{}_sd", "Standard deviation of the posterior of parameter {}"),
)
_RESTART = Column(
    "restart", "Number of the restart, a training from other random weights"
)
_HISTORY = (
    _RESTART,
    Column("epoch", "Number of the epoch, from 1"),
    Column(
        "loss", "Training loss, with the weights of this epoch", unit="nats per series"
    ),
    Column(
        "elbo", "ELBO of training series, all terms with weight 1", "ELBO", unit="nats"
    ),
    Column(
        "held_out_elbo",
        "ELBO of held-out series, all terms with weight 1",
        "ELBO of held-out series",
        unit="nats",
    ),
    Column("seconds", "Duration of the epoch", unit="s"),
)
_RESTARTS = (
    _RESTART,
    Column("seed", "Seed of the training"),
    Column("epochs", "Number of epochs"),
    Column("updates", "Number of weight updates"),
    *_HISTORY[3:5],
    Column("hours", "Duration of the training", unit="h"),
    Column("chosen", "Whether the model is the one of this restart"),
)
# Titles of the page's curves, by column of the history.
_CURVES = {
    "loss": "Loss (it can rise while the weights of terms rise)",
    "elbo": "ELBO, mean over training series",
    "held_out_elbo": "ELBO, mean over held-out series",
}


# Long, as a training has many parts that only this function brings together.
def run_training(settings: Settings) -> int:
    """Fit a network model to everybody, or to the training set of ``--split-file``; return 0.

    An interrupted run continues after its last epoch when it is repeated.

    Raises
    ------
    DtgError
        Wrong options, files or output folder.
    """
    recipe = chosen_recipe(settings)
    analysis = DynamicsAnalysis.prepare(settings, MODEL, *_CAN_WRITE)
    people = analysis.people
    session = people.sessions[0]
    labels = people.labels_in(session, people.split.training)
    if not labels:
        raise SettingsError(
            f"nobody in the training set has data in {session_words(session)}",
            expected="people in the set training of --split-file",
        )
    schedule = (
        f"{counted(recipe.epochs, 'epoch')}, {counted(recipe.restarts, 'restart')}"
    )
    if settings.behaviour.dry_run:
        what = f"the model {analysis.name} of {session_words(session)} ({schedule})"
        return analysis.print_plan(what, labels)
    if len(people.sessions) > 1:
        say(f"training on {session_words(session)}; --session-label chooses another")
    networks = people.networks(session, labels)
    modelling = settings.modelling
    seed, folder = modelling.seed, analysis.results.path / CHECKPOINTS
    require_continuable(networks, recipe, folder, seed=seed)
    training_people = analysis.training_hashes(labels)

    with analysis.writing():
        say(
            f"{counted(labels, 'participant')}, {counted(networks.regions, 'region')}, "
            f"{networks.frames} frames of {networks.tr_seconds:g} s; {schedule}"
        )
        if modelling.recipe == PUBLISHED:
            counts = len(labels), len(networks.regions)
            trained = choose_trained(*counts, recipe, seed)
            if line := _fewer_updates(recipe, int(trained.sum())):
                say(line)
        fitted = fit(
            networks,
            recipe,
            seed=seed,
            workplace=Workplace(
                analysis.results.add(f"{CHECKPOINTS}/"),
                device=training_device(settings.resources.device, say),
                progress=sys.stderr.isatty(),
            ),
            report=say,
        )
        facts = _facts(analysis, fitted)
        bundle = write_network_bundle(
            analysis.results.add(f"{BUNDLE}/"), fitted, training_people, **facts
        )
        say(f"{bundle.title} ({bundle.card.kind}): {bundle.path}")
        _write_results(analysis, networks, fitted)
    return 0


def chosen_recipe(settings: Settings) -> Recipe:
    """Return the recipe of ``--recipe``, with the changes of other options."""
    modelling, network = settings.modelling, settings.part(DynamicsOptions)
    options = {
        "states": network.states,
        "region_parameters": network.region_parameters,
        "external_inputs": 0 if network.no_external_input else None,
        "restarts": network.restarts,
        "epochs": modelling.epochs,
        "batch_size": modelling.batch_size,
        "learning_rate": modelling.learning_rate,
    }
    changes: dict[str, Any] = {
        name: value for name, value in options.items() if value is not None
    }
    return dataclasses.replace(find_recipe(modelling.recipe), **changes)


def _fewer_updates(recipe: Recipe, series: int) -> str:
    """Return which epochs make the publication's updates; empty if these make as many."""
    epoch_updates = recipe.updates(series)
    if recipe.epochs * epoch_updates >= PUBLISHED_UPDATES:
        return ""
    return (
        f"{recipe.epochs * epoch_updates:,} updates, {epoch_updates} an epoch, as there are "
        f"{series:,} training series; --epochs {-(-PUBLISHED_UPDATES // epoch_updates)} makes the "
        f"{PUBLISHED_UPDATES:,} of the publication"
    )


def _amount(fitted: Fitted, recipe_name: str) -> str:
    """Return how long the training was, beside the publication's for its recipe."""
    recipe = fitted.recipe
    updates = recipe.epochs * recipe.updates(int(fitted.trained.sum()))
    words = (
        f"{counted(fitted.people, 'participant')}, {counted(recipe.epochs, 'epoch')} "
        f"({updates:,} updates), {counted(recipe.restarts, 'restart')}"
    )
    if recipe_name != PUBLISHED:
        return words
    return (
        f"{words} (publication: {PUBLISHED_PEOPLE} participants, {PUBLISHED_UPDATES:,} updates, "
        "the better of two restarts)"
    )


def _facts(analysis: DynamicsAnalysis, fitted: Fitted) -> dict[str, Any]:
    """Return the facts for the bundle's card, besides those of the fit."""
    name = analysis.settings.modelling.recipe
    hours = sum(_hours(restart) for restart in fitted.restarts)
    return {
        **analysis.card_facts,
        "recipe_name": name,
        "description": f"Fitted with bids_dtg in {hours:.1f} hours: {_amount(fitted, name)}",
    }


def _hours(restart: Restart) -> float:
    return sum(epoch.get("seconds", 0.0) for epoch in restart.history) / 3600


def _write_results(
    analysis: DynamicsAnalysis, networks: Networks, fitted: Fitted
) -> None:
    """Write the tables and the page of a newly fitted model."""
    inferred = infer(fitted.model, networks, fitted.people)
    alignment = alignment_of(inferred, networks)
    use = ResultTable(
        USE,
        uses(inferred, alignment),
        "Divergence of parameters from their prior: one row per parameter",
    )
    held_out = int((~fitted.trained).sum())
    amount = _amount(fitted, analysis.settings.modelling.recipe)
    restarts = _restart_table(fitted)
    analysis.write_page(
        {
            "desc-regions_parameters": _region_table(fitted, inferred, alignment),
            "desc-training_history": _history_table(fitted),
            "desc-restarts_scores": restarts,
            PARAMETERS: use,
        },
        f"A network model fitted to {counted(fitted.people, 'participant')} of "
        f"{analysis.data_set}, {counted(fitted.regions, 'region')}, "
        f"{networks.frames} frames of {networks.tr_seconds:g} s. {held_out} of "
        f"{fitted.trained.size} series were held out (a series is one region of one person).",
        (
            Section(
                title="Training",
                text=(f"{amount}.",),
                tables=(restarts.on_page("Restarts"),),
                figures=_curves(fitted),
            ),
            Section(
                title="Parameters",
                text=(
                    "KL divergence of each parameter's posterior from its prior, in nats. A "
                    "parameter with a value near 0 is not used by the model.",
                ),
                tables=(
                    use.in_words("parameter", in_words).on_page(
                        "Use of the parameters"
                    ),
                ),
            ),
        ),
    )


def _curves(fitted: Fitted) -> tuple[figures.Figure | None, ...]:
    """Return curves of loss and ELBO, one for each restart."""
    curves = []
    for key, title in _CURVES.items():
        by_restart = {}
        for number, restart in enumerate(fitted.restarts, 1):
            values = [epoch.get(key, np.nan) for epoch in restart.history]
            by_restart[f"restart {number}"] = np.array(values)
        epochs = [epoch for restart in fitted.restarts for epoch in restart.history]
        if any(key in epoch for epoch in epochs):
            curves.append(figures.curves(title, "epoch", "nats per series", by_restart))
    return tuple(curves)


def _region_table(
    fitted: Fitted, inferred: Inferred, alignment: Alignment
) -> ResultTable:
    """Return regional parameters, in the order and with the signs that evaluations use."""
    means = alignment.apply(inferred.region_mean)
    sds = inferred.region_sd[..., alignment.order]
    rows = []
    for person, label in enumerate(fitted.people):
        for region, name in enumerate(fitted.regions):
            row: dict[str, object] = {"participant_id": f"sub-{label}", "region": name}
            row["trained"] = bool(fitted.trained[person, region])
            for number, mean in enumerate(means[person, region], 1):
                row[f"theta{number}"] = float(mean)
                row[f"theta{number}_sd"] = float(sds[person, region, number - 1])
            rows.append(row)
    numbers = range(1, means.shape[-1] + 1)
    columns = (
        *_REGIONS,
        *(column.of(number) for number in numbers for column in _THETA),
    )
    return ResultTable(columns, rows, "Parameters of each region of each participant")


def _history_table(fitted: Fitted) -> ResultTable:
    rows = [
        {"restart": number, **epoch, "epoch": int(epoch["epoch"]) + 1}
        for number, restart in enumerate(fitted.restarts, 1)
        for epoch in restart.history
    ]
    return ResultTable(_HISTORY, rows, "The training: one row per epoch")


def _restart_table(fitted: Fitted) -> ResultTable:
    updates = fitted.recipe.updates(int(fitted.trained.sum()))
    rows = [
        {
            "restart": number,
            "seed": restart.seed,
            "epochs": len(restart.history),
            "updates": len(restart.history) * updates,
            "elbo": restart.elbo,
            "held_out_elbo": restart.held_out_elbo,
            "hours": _hours(restart),
            "chosen": number - 1 == fitted.chosen,
        }
        for number, restart in enumerate(fitted.restarts, 1)
    ]
    return ResultTable(_RESTARTS, rows, "How each restart ended")
