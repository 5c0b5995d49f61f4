"""Evaluate a network's regional parameters: their use, features and maps, another session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.dynamics.analyses.latents import (
    RETEST,
    effect_table,
    feature_table,
    in_words,
    kl_table,
    positions_of,
    retest_rows,
)
from bids_dtg.dynamics.features import features_of
from bids_dtg.dynamics.inference import Inferred, alignment_of, infer
from bids_dtg.dynamics.model import NetworkModel
from bids_dtg.dynamics.networks import Networks
from bids_dtg.dynamics.parameter_effects import parameter_effects
from bids_dtg.dynamics.parameters import Alignment
from bids_dtg.dynamics.recipe import Recipe
from bids_dtg.notices import say
from bids_dtg.report.pages.analysis import PageSection, Table

Row = dict[str, Any]
Values = NDArray[np.floating[Any]]

_FEWEST_RETESTED = 2  # people that an agreement needs


def parameter_results(
    model: NetworkModel,
    sessions: Mapping[str, Networks],
    inferred: Inferred,
    known: tuple[str, ...],
    maps: Mapping[str, Values],
) -> tuple[dict[str, ResultTable], tuple[PageSection, ...]]:
    """Evaluate parameters: their use, features and maps, agreement between sessions.

    Parameters
    ----------
    model
        Fitted model.
    sessions
        People's networks by session, the model's session first.
    inferred
        What the model infers from that session.
    known
        Labels of the rows of the model's tables.
    maps
        (regions,) by name, for regressions beside features.
    """
    networks = next(iter(sessions.values()))
    alignment = alignment_of(inferred, networks)
    theta = alignment.apply(inferred.region.mean)
    kl = kl_table(inferred.region, alignment)
    features = feature_table(networks, theta, maps, positions_of(networks.regions))
    effects = effect_table(parameter_effects(model, networks), alignment)
    rows = _retest(model, sessions, theta, alignment, known)
    retest = ResultTable(RETEST, rows, "The same people in another session")
    tables = {
        "desc-parameters_kl": kl,
        "desc-features_regressions": features,
        "desc-parameters_roles": effects,
        "desc-parameters_retest": retest,
    }
    section = PageSection(
        title="Parameters",
        text=(
            "Parameters in the order of their use by the training set; signs such that there "
            "the first rises with zero-crossings, the second with the correlation with the "
            "mean signal, the third with that with the network input.",
            "R² over pairs treats each region of each person as independent, as "
            "published; R² over regions is of means over people, with p from surrogate maps "
            "that are as smooth within hemispheres (Moran spectral randomisation). The R² of "
            "three raw features is what zero-crossings, the correlation with the mean signal "
            "and that with the network input explain without any model.",
            "Effects: Spearman's rho and slopes of 1,000 simulated regions with parameters "
            "drawn from the prior, all with the same network input.",
            *_person_words(model.recipe),
        ),
        tables=(
            table_of("Use of the parameters (KL from the prior, nats)", in_words(kl, "parameter")),
            table_of(
                "Features and maps explained by all parameters together",
                in_words(features, "feature"),
                _of_single_parameters(features),
            ),
            table_of("Effect of each parameter on a single region", effects, ("figure",)),
            table_of("The same people in another session", in_words(retest, "value")),
        ),
    )
    return tables, (section,)


def table_of(caption: str, table: ResultTable, without: tuple[str, ...] = ()) -> Table:
    """Return a page's table of all columns except some."""
    shown = [column.name for column in table.columns if column.name not in without]
    return table.on_page(caption, shown)


def _person_words(recipe: Recipe) -> tuple[str, ...]:
    """Explain why people's parameters stay at the prior, where the recipe has it so."""
    if not recipe.person_parameters or recipe.person_penalty <= 1:
        return ()
    return (
        "The recipe has people's parameters in name only: their divergence from the prior counts "
        f"{recipe.person_penalty:g} times, so all are close to 0.",
    )


def _of_single_parameters(features: ResultTable) -> tuple[str, ...]:
    """Return the columns that are in the file alone: four for each parameter, and words."""
    names = [column.name for column in features.columns]
    return ("words", *(name for name in names if "_theta" in name))


def _retest(
    model: NetworkModel,
    sessions: Mapping[str, Networks],
    theta: Values,
    alignment: Alignment,
    known: tuple[str, ...],
) -> list[Row]:
    """Return how parameters and features agree between sessions."""
    whole, names = next(iter(sessions.values())), [f"theta{n + 1}" for n in range(theta.shape[-1])]
    rows: list[Row] = []
    for session, networks in list(sessions.items())[1:]:
        if len(networks.people) < _FEWEST_RETESTED:
            say(f"parameters of session {session} are not compared: 1 participant has it")
            continue
        first = whole.of(networks.people)
        rows_of = [whole.people.index(label) for label in networks.people]
        again = infer(model, networks, known).region.mean
        both = [
            (theta[rows_of], features_of(first)),
            (alignment.apply(again), features_of(networks)),
        ]
        features = list(both[0][1])
        one, other = (
            np.concatenate((values, np.stack([own[name] for name in features], -1)), -1)
            for values, own in both
        )
        found = retest_rows(one, other, [*names, *features])
        rows += [{"session": session, **row} for row in found]
    return rows
