"""Fit a network model to people's series, and write its bundle, tables and page."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from bids_dtg.bundles.people import ModelPeople
from bids_dtg.cohort.basis import BUNDLE, CHECKPOINTS
from bids_dtg.cohort.column import Column
from bids_dtg.cohort.model_analysis import MODEL
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.dynamics.analyses.analysis import NetworkAnalysis
from bids_dtg.dynamics.analyses.parameters import PARTICIPANT, held_out_words, in_words, kl_table
from bids_dtg.dynamics.bundle.bundle import (
    NetworkFacts,
    discard_shorter,
    write_network_bundle,
)
from bids_dtg.dynamics.fitting import Fitted, fit, require_continuable
from bids_dtg.dynamics.inference import Inferred, alignment_of, infer
from bids_dtg.dynamics.networks import Networks
from bids_dtg.dynamics.parameters import Alignment
from bids_dtg.dynamics.participant.people import session_words
from bids_dtg.dynamics.recipe import Recipe, find_recipe
from bids_dtg.engine.gpu import training_device
from bids_dtg.errors import SettingsError
from bids_dtg.notices import counted, say
from bids_dtg.report.pages.analysis import (
    AnalysisPageFacts,
    Curves,
    PageSection,
)
from bids_dtg.report.pages.index import INDEX
from bids_dtg.settings import Settings
from bids_dtg.training.loop import Workplace

_CAN_WRITE = (
    *(f"{BUNDLE}/", f"{CHECKPOINTS}/", "desc-regions_parameters", "desc-participants_parameters"),
    *("desc-training_history", "desc-restarts_scores", "desc-parameters_kl"),
)
_REGION = Column("region", "Name of the region")
_TRAINED = Column("trained", "Whether the model was trained on the series of the region")
_THETA = (
    Column("theta{}", "Posterior mean of parameter {}; parameters are in the order of their use"),
    Column("theta{}_sd", "Standard deviation of the posterior of parameter {}"),
)
_RESTART = Column("restart", "Number of the training from other random weights")
_HISTORY = (
    _RESTART,
    Column("epoch", "Number of the epoch, from 1"),
    Column("loss", "Training loss, with ramped weights: nats per series"),
    Column("elbo", "ELBO of a series that was trained on, all terms in full", "ELBO", unit="nats"),
    Column(
        "held_out_elbo",
        "ELBO of a held-out series, all terms in full",
        "ELBO of held-out series",
        unit="nats",
    ),
    Column(
        "region_kl",
        "Divergence of the region parameters from their prior, a series",
        unit="nats",
    ),
    Column("learning_rate", "Learning rate of Adam"),
    Column("seconds", "Duration of the epoch", unit="s"),
)
_RESTARTS = (
    _RESTART,
    Column("seed", "Seed of the training"),
    Column("epochs", "Number of epochs"),
    *_HISTORY[3:5],
    Column("hours", "Duration of the training", unit="h"),
    Column("chosen", "Whether the model was taken from this restart"),
)


def run_training(settings: Settings) -> int:
    """Fit a network model to everybody, or to the training set of ``--split-file``; return 0.

    A call that was stopped continues after its last epoch when it is repeated.

    Raises
    ------
    DtgError
        Wrong options, files or output folder.
    """
    recipe = chosen_recipe(settings)
    analysis = NetworkAnalysis.prepare(settings, MODEL, *_CAN_WRITE)
    people, session = analysis.people, analysis.people.sessions[0]
    labels = tuple(label for label in people.split.training if label in people.of_session(session))
    if not labels:
        raise SettingsError(
            f"nobody with rest of {session_words(session)} is to be trained on",
            expected="people in the set training of --split-file",
        )
    schedule = f"{counted(recipe.epochs, 'epoch')}, {counted(recipe.restarts, 'restart')}"
    if settings.behaviour.dry_run:
        what = f"the model {analysis.name} of {session_words(session)} ({schedule})"
        return analysis.print_plan(what, labels)
    if len(people.sessions) > 1:
        say(f"{session_words(session)} is trained on; --session-label chooses another")
    networks = people.networks(session, labels)
    seed, folder = settings.modelling.seed, analysis.results.path / CHECKPOINTS
    require_continuable(networks, recipe, folder, seed=seed)
    known = ModelPeople.of_training(
        analysis.data_set, people.sketches(labels), people.source.families.by_label
    )

    def write(fitted: Fitted) -> None:
        target, facts = analysis.results.bundle, _facts(analysis, session, recipe, fitted)
        analysis.results.add(f"{BUNDLE}/")
        discard_shorter(target, fitted)
        card = write_network_bundle(target, fitted, facts, known).card
        say(f"{card.name} {card.version} ({card.kind}): {target}")

    with analysis.results.begun():
        analysis.describe()
        say(
            f"{counted(len(labels), 'participant')}, {counted(len(networks.regions), 'region')}, "
            f"{networks.frames} frames of {networks.tr_seconds:g} s; {schedule}"
        )
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
            keep=write,
        )
        _write_results(analysis, networks, fitted)
    return 0


def chosen_recipe(settings: Settings) -> Recipe:
    """Return the recipe of ``--recipe``, changed by other options.

    With fewer or more epochs than the recipe's, the terms' weights are ramped over half of them.
    """
    own, modelling = settings.dynamics, settings.modelling
    recipe = find_recipe(modelling.recipe)
    changes: dict[str, Any] = {
        "states": own.states,
        "region_parameters": own.region_parameters,
        "restarts": own.restarts,
        "epochs": modelling.epochs,
        "batch_size": modelling.batch_size,
        "learning_rate": modelling.learning_rate,
    }
    changes = {name: value for name, value in changes.items() if value is not None}
    if changes.get("epochs", recipe.epochs) != recipe.epochs:
        changes["ramp_epochs"] = None
    if own.no_external_input:
        changes["external_inputs"] = 0
    return dataclasses.replace(recipe, **changes)


def _facts(analysis: NetworkAnalysis, session: str, recipe: Recipe, fitted: Fitted) -> NetworkFacts:
    settings = analysis.settings
    hours = sum(row.get("seconds", 0.0) for r in fitted.restarts for row in r.history) / 3600
    return NetworkFacts(
        name=analysis.name,
        recipe_name=settings.modelling.recipe,
        data_set=analysis.data_set,
        session=session,
        cleaning=analysis.people.source.cleaning,
        atlas=analysis.people.source.atlas,
        atlas_digest=analysis.people.source.atlas_digest,
        description=f"Fitted with bids_dtg to {counted(len(fitted.people), 'participant')}: "
        f"{counted(recipe.epochs, 'epoch')}, {counted(recipe.restarts, 'restart')}, "
        f"{hours:.1f} hours",
    )


def _write_results(analysis: NetworkAnalysis, networks: Networks, fitted: Fitted) -> None:
    """Write the tables and the page of a newly fitted model."""
    inferred = infer(fitted.model, networks, fitted.people)
    alignment = alignment_of(inferred, networks)
    regions = ResultTable(
        (PARTICIPANT, _REGION, _TRAINED, *_thetas(inferred.region.mean.shape[-1])),
        region_rows(inferred, networks, alignment, fitted.trained),
        "Parameters of each region of each participant",
    )
    personal = ResultTable(
        (PARTICIPANT, *_thetas(inferred.person.mean.shape[-1])),
        person_rows(inferred, networks) if inferred.person.mean.size else [],
        "Parameters of each participant; no row where the model has none",
    )
    history = ResultTable(_HISTORY, history_rows(fitted), "The training: a row an epoch")
    restarts = ResultTable(_RESTARTS, restart_rows(fitted), "How each restart ended")
    kl = kl_table(inferred.region, alignment)
    analysis.write(
        {
            "desc-regions_parameters": regions,
            "desc-participants_parameters": personal,
            "desc-training_history": history,
            "desc-restarts_scores": restarts,
            "desc-parameters_kl": kl,
        },
        AnalysisPageFacts(
            title=analysis.results.title,
            index=f"../../{INDEX}",
            lead=f"A network model of {counted(len(fitted.people), 'participant')} of "
            f"{analysis.data_set}, {counted(len(fitted.regions), 'region')}, "
            f"{networks.frames} frames of {networks.tr_seconds:g} s. "
            + held_out_words(fitted.trained),
            flags=(),
            sections=(
                PageSection(
                    title="Training",
                    tables=(restarts.on_page("Restarts"),),
                    curves=_curves(fitted),
                ),
                PageSection(
                    title="Parameters",
                    text=(
                        "How far each parameter's posterior is from its prior, in nats: a parameter"
                        " near 0 is not used by the model.",
                    ),
                    tables=(in_words(kl, "parameter").on_page("Use of the parameters"),),
                ),
            ),
        ),
    )


def _thetas(count: int) -> tuple[Column, ...]:
    """Return the columns of parameters: mean and spread of each."""
    return tuple(column.of(n) for n in range(1, count + 1) for column in _THETA)


def _curves(fitted: Fitted) -> tuple[Curves, ...]:
    """Return curves of loss and ELBO, one for each restart."""
    named_restarts = {f"restart {n}": r.history for n, r in enumerate(fitted.restarts, 1)}
    charts = {
        "loss": "Loss (it rises while terms are ramped)",
        "elbo": "ELBO, mean over series that were trained on",
        "held_out_elbo": "ELBO, mean over series that were held out",
    }
    return tuple(
        Curves(
            caption=title,
            x_label="epoch",
            y_label="nats a series",
            series={
                name: np.array([record.get(key, np.nan) for record in history])
                for name, history in named_restarts.items()
            },
        )
        for key, title in charts.items()
        if any(key in record for history in named_restarts.values() for record in history)
    )


def region_rows(
    inferred: Inferred,
    networks: Networks,
    alignment: Alignment,
    trained: np.ndarray[Any, Any],
) -> list[dict[str, Any]]:
    """Return the parameters of each region of each person, a row each.

    Parameters have the order and the signs in which evaluations compare them.
    """
    rows = []
    means = alignment.apply(inferred.region.mean)
    spreads = inferred.region.sd[..., alignment.order]
    for person, label in enumerate(networks.people):
        for region, name in enumerate(networks.regions):
            row: dict[str, Any] = {
                "participant_id": f"sub-{label}",
                "region": name,
                "trained": bool(trained[person, region]),
                **_beliefs(means[person, region], spreads[person, region]),
            }
            rows.append(row)
    return rows


def person_rows(inferred: Inferred, networks: Networks) -> list[dict[str, Any]]:
    """Return the parameters of each person, a row each."""
    return [
        {"participant_id": f"sub-{label}", **_beliefs(mean, sd)}
        for label, mean, sd in zip(
            networks.people, inferred.person.mean, inferred.person.sd, strict=True
        )
    ]


def _beliefs(mean: np.ndarray[Any, Any], sd: np.ndarray[Any, Any]) -> dict[str, float]:
    row: dict[str, float] = {}
    for number, (middle, spread) in enumerate(zip(mean, sd, strict=True), 1):
        row |= {f"theta{number}": float(middle), f"theta{number}_sd": float(spread)}
    return row


def history_rows(fitted: Fitted) -> list[Mapping[str, Any]]:
    """Return each epoch of each restart, a row each."""
    return [
        {"restart": number, **record, "epoch": int(record["epoch"]) + 1}
        for number, restart in enumerate(fitted.restarts, 1)
        for record in restart.history
    ]


def restart_rows(fitted: Fitted) -> list[dict[str, Any]]:
    """Return the results of each restart, a row each."""
    return [
        {
            "restart": number,
            "seed": restart.seed,
            "epochs": len(restart.history),
            "elbo": restart.elbo,
            "held_out_elbo": restart.held_out_elbo,
            "hours": sum(row.get("seconds", 0.0) for row in restart.history) / 3600,
            "chosen": number - 1 == fitted.chosen,
        }
        for number, restart in enumerate(fitted.restarts, 1)
    ]
