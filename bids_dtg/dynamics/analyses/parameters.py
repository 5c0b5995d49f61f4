"""Regional parameters of a model: their use, features, maps, agreement between sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bids_dtg.array_types import Floats
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.dynamics.features import (
    FEATURES,
    features_of,
    regress,
    regress_regions,
    surrogates_of,
    unmirrored,
)
from bids_dtg.dynamics.inference import Inferred, infer
from bids_dtg.dynamics.model import NetworkModel
from bids_dtg.dynamics.networks import Networks
from bids_dtg.dynamics.parameters import (
    FIGURES,
    SIGNED_BY,
    Alignment,
    alignment_of,
    latent_kl,
    parameter_effects,
    retest,
)
from bids_dtg.dynamics.recipe import Recipe
from bids_dtg.files.columns import Column
from bids_dtg.inputs.cortex import homotopic_pairs, read_region_positions
from bids_dtg.notices import say
from bids_dtg.report.page import Section

Row = dict[str, Any]


PARAMETERS, FEATURES_FILE = "desc-parameters_scores", "desc-features_regressions"
_SURROGATES = 2000
PARTICIPANT = Column("participant_id", "Participant", "participant")
USE = (
    Column(
        "parameter", "Name of the parameter; parameters are in the order of their use"
    ),
    Column(
        "number_in_model",
        "Number of the parameter in the model's own order",
        "number in the model",
    ),
    Column(
        "kl_mean",
        "KL divergence of the posterior from the prior, mean over people and regions",
        "KL, mean",
        unit="nats",
    ),
    Column(
        "kl_sd", "Its standard deviation over people and regions", "KL, sd", unit="nats"
    ),
)
_ROLES = tuple(
    Column(
        f"rho_{name}",
        f"Spearman's rho of the parameter with the {words}, over simulated regions",
        f"rho, {words}",
    )
    for name, words in FIGURES.items()
)
_AGREEMENT = (
    Column(
        "icc_pairs_{}",
        "ICC(A,1) with session {}, over pairs of a person and a region",
        "ICC with {}, over pairs",
    ),
    Column(
        "icc_people_{}",
        "ICC(A,1) with session {}, over people in each region, mean over regions",
        "ICC with {}, over people",
    ),
)
_FEATURES = (
    Column("feature", "Name of the feature or map"),
    Column("words", "Description of the feature", "measure"),
    Column("pairs", "Number of pairs of a person and a region"),
    Column(
        "adjusted_r2_pairs",
        "Adjusted R² of a regression on the parameters, with pairs of a person and a region taken "
        "as independent",
        "adjusted R² over pairs",
    ),
    Column(
        "adjusted_r2_pairs_features",
        "Adjusted R² of a regression on zero-crossings, the correlation with the mean signal and "
        "the correlation with the network input, instead of the parameters",
        "adjusted R² of three raw features",
    ),
)
# The publication marks weights with p below .001 / 45 with a dagger.
_MARKED = 0.001 / 45
_THETA_OF_PAIRS = (
    Column(
        "weight_theta{}_pairs",
        "Weight of parameter {} in the regression over pairs, in standard deviations of the "
        "feature",
        "weight of θ{}",
    ),
    Column(
        "marked_theta{}_pairs",
        "† if p of the weight of parameter {} is below 2.2e-5 (0.001 / 45), with pairs taken as "
        "independent, as in the publication",
        "p of θ{} < 2.2e-5",
    ),
)
_OF_REGIONS = (
    Column("regions", "Number of regions"),
    Column(
        "adjusted_r2_regions",
        "Adjusted R² of a regression on the parameters, over regions (means over people)",
        "adjusted R² over regions",
    ),
    Column(
        "p_regions", "p of adjusted_r2_regions, from surrogate maps", "p over regions"
    ),
)
_THETA_OF_REGIONS = (
    Column("r_theta{}_regions", "Pearson r with parameter {} over regions"),
    Column("p_theta{}_regions", "p of r with parameter {}, from surrogate maps"),
)
# Descriptions of features by name.
_WORDS = {name: description for name, (description, _) in FEATURES.items()}
# Smallest number of regions for surrogates, and of values in excess of the parameters in a
# regression.
_FEWEST_REGIONS, _SPARE = 4, 2
_FEWEST_RETESTED = 2  # people needed for the agreement between sessions


def parameter_results(
    model: NetworkModel,
    sessions: Mapping[str, Networks],
    inferred: Inferred,
    row_labels: tuple[str, ...],
    maps: Mapping[str, Floats],
) -> tuple[dict[str, ResultTable], tuple[Section, ...]]:
    """Return the tables of a model's parameters by name, and the page's section on them.

    Parameters
    ----------
    model
        Fitted model, on the CPU.
    sessions
        People's networks by session, the model's session first.
    inferred
        Posteriors inferred from that session.
    row_labels
        Labels of the rows of the model's tables.
    maps
        Regional maps by name, (regions,).
    """
    networks = next(iter(sessions.values()))
    alignment = alignment_of(inferred, networks)
    theta = alignment.apply(inferred.region_mean)
    say("comparing parameters with features and maps")
    again, compared = _agreement(model, sessions, theta, alignment, row_labels)
    agreement = tuple(
        column.of(session) for session in compared for column in _AGREEMENT
    )
    rhos = parameter_effects(model, networks)
    roles = (column for column in _ROLES if column.name.removeprefix("rho_") in rhos)
    parameter_rows = []
    for number, use in enumerate(uses(inferred, alignment)):
        row = {**use}
        for name, rho in rhos.items():
            row[f"rho_{name}"] = float(alignment.apply(rho)[number])
        parameter_rows.append(row | again.get(str(use["parameter"]), {}))
    parameters = ResultTable(
        (*USE, *roles, *agreement),
        parameter_rows,
        "Parameters: their use, roles and agreement between sessions, one row per parameter",
    )
    explained = feature_table(networks, theta, maps, positions_of(networks.regions))
    features = ResultTable(
        (*explained.columns, *agreement),
        [{**row, **again.get(str(row["feature"]), {})} for row in explained.rows],
        explained.description,
    )
    section = _section(model.recipe, parameters, features)
    return {PARAMETERS: parameters, FEATURES_FILE: features}, (section,)


def _section(recipe: Recipe, parameters: ResultTable, features: ResultTable) -> Section:
    """Return the page's section on parameters."""
    names = [column.name for column in features.columns]
    shown = [name for name in names if name != "words" and "_theta" not in name]
    return Section(
        title="Parameters",
        text=(
            "Parameters are sorted by their use (KL is the divergence from the prior). Signs are "
            "such that the first parameter correlates positively with zero-crossings, the second "
            "with the correlation with the mean signal, and the third with the correlation with "
            "the network input. Rho is over 1,000 simulated regions with parameters drawn from "
            "the prior, all with the same network input.",
            "R² over pairs treats every pair of a person and a region as independent, as in the "
            "publication. R² over regions uses means over people; its p comes from surrogate maps "
            "that are equally smooth within hemispheres (Moran spectral randomisation). The R² of "
            "three raw features is what zero-crossings, the correlation with the mean signal and "
            "the correlation with the network input explain without any model.",
            *_person_words(recipe),
        ),
        tables=(
            parameters.in_words("parameter", in_words).on_page(
                "Use, roles and agreement"
            ),
            features.in_words("feature", in_words).on_page(
                "Features and maps, explained by all parameters together", shown
            ),
        ),
    )


def _person_words(recipe: Recipe) -> tuple[str, ...]:
    """Explain why person parameters stay at the prior, if the recipe penalises them strongly."""
    if not recipe.person_parameters or recipe.person_penalty <= 1:
        return ()
    return (
        "Person parameters are all close to 0, because the recipe multiplies their divergence from "
        f"the prior by {recipe.person_penalty:g}.",
    )


def _agreement(
    model: NetworkModel,
    sessions: Mapping[str, Networks],
    theta: Floats,
    alignment: Alignment,
    row_labels: tuple[str, ...],
) -> tuple[dict[str, Row], list[str]]:
    """Return the agreement with further sessions, by parameter or feature, and those sessions."""
    model_session, *further = sessions
    cells: dict[str, Row] = {}
    compared = []
    for session in further:
        networks = sessions[session]
        if len(networks.people) < _FEWEST_RETESTED:
            say(
                f"parameters in session {session} are not compared: 1 participant has it"
            )
            continue
        compared.append(session)
        before = sessions[model_session]
        rows = [before.people.index(label) for label in networks.people]
        features = features_of(before.of(networks.people))
        first = _with_features(theta[rows], features)
        inferred = infer(model, networks, row_labels)
        theta_again = alignment.apply(inferred.region_mean)
        second = _with_features(theta_again, features_of(networks))
        names = [*(f"theta{n}" for n in range(1, theta.shape[-1] + 1)), *features]
        columns = [column.of(session).name for column in _AGREEMENT]
        for name, *iccs in zip(names, *retest(first, second), strict=True):
            values = zip(columns, map(float, iccs), strict=True)
            cells.setdefault(name, {}).update(values)
    return cells, compared


def _with_features(theta: Floats, features: Mapping[str, Floats]) -> Floats:
    """Return parameters and features as one array, (people, regions, values)."""
    return np.concatenate((theta, np.stack(list(features.values()), -1)), -1)


def in_words(name: str) -> str:
    """Return the name that pages use: of a feature in words, of a parameter as θ."""
    if name.startswith("theta"):
        return name.replace("theta", "θ", 1)
    return _WORDS.get(name, name.replace("_", " "))


def uses(inferred: Inferred, alignment: Alignment) -> list[Row]:
    """Return a row for each parameter with its KL divergence, in the order of `alignment`.

    The spread is the standard deviation over people and regions, as in the published code (the
    caption says variance).
    """
    kl = latent_kl(inferred.region_mean, inferred.region_sd)
    kl = kl.reshape(-1, kl.shape[-1])
    return [
        {
            "parameter": f"theta{place}",
            "number_in_model": int(number) + 1,
            "kl_mean": float(kl[:, number].mean()),
            "kl_sd": float(kl[:, number].std()),
        }
        for place, number in enumerate(alignment.order, 1)
    ]


def feature_table(
    networks: Networks,
    theta: Floats,
    maps: Mapping[str, Floats],
    positions: Floats | None,
) -> ResultTable:
    """Regress features and maps on parameters.

    Returns
    -------
    ResultTable
        A row for each feature or map that has enough values for a regression.
    """
    people = len(networks.people)
    features = features_of(networks)
    descriptions = np.stack([features[name] for name in SIGNED_BY], axis=-1)
    fewest = max(theta.shape[-1], descriptions.shape[-1]) + _SPARE
    described = np.isfinite(descriptions).all(axis=-1)
    tiled_maps = {name: np.tile(values, (people, 1)) for name, values in maps.items()}
    everything = {
        name: values
        for name, values in {**features, **tiled_maps}.items()
        if (np.isfinite(values) & described).sum() >= fewest
    }
    rows = []
    for name, values in everything.items():
        pairs, adjusted_r2, weights, p = regress(values, theta)
        row: Row = {"feature": name, "words": _WORDS.get(name, "map"), "pairs": pairs}
        row["adjusted_r2_pairs"] = adjusted_r2
        # R² of three raw features, without any model; n/a for these features themselves.
        row["adjusted_r2_pairs_features"] = (
            None if name in SIGNED_BY else regress(values, descriptions)[1]
        )
        for number, (weight, weight_p) in enumerate(zip(weights, p, strict=True), 1):
            row[f"weight_theta{number}_pairs"] = float(weight)
            is_marked = weight_p < _MARKED
            row[f"marked_theta{number}_pairs"] = "†" if is_marked else None
        rows.append(row | _region_weights(values.mean(0), theta, networks, positions))
    numbers = range(1, theta.shape[-1] + 1)
    columns = (
        *_FEATURES,
        *(column.of(n) for n in numbers for column in _THETA_OF_PAIRS),
        *_OF_REGIONS,
        *(column.of(n) for n in numbers for column in _THETA_OF_REGIONS),
    )
    return ResultTable(
        columns, rows, "Regressions on parameters: one row per feature or map"
    )


def _region_weights(
    feature: Floats, theta: Floats, networks: Networks, positions: Floats | None
) -> Row:
    """Return the regression over regions, of means over people, each mirrored value used once."""
    pairs = homotopic_pairs(networks.regions)
    used = unmirrored(feature, pairs)
    fewest = max(_FEWEST_REGIONS, theta.shape[-1] + _SPARE)
    # A region without connections has NaN as its correlation with the input, so no surrogates.
    varies = np.isfinite(feature).all() and np.ptp(feature) > 0
    if positions is None or len(used) < fewest or not varies:
        return {}
    used_pairs = pairs if len(used) == len(feature) else ()
    surrogates = surrogates_of(
        feature[used], positions[used], used_pairs, _SURROGATES, seed=0
    )
    count, adjusted_r2, p_of_fit, correlations, p_of_r = regress_regions(
        feature[used], theta[:, used], surrogates
    )
    row: Row = {
        "regions": count,
        "adjusted_r2_regions": adjusted_r2,
        "p_regions": p_of_fit,
    }
    for number, (r, p) in enumerate(zip(correlations, p_of_r, strict=True), 1):
        row |= {
            f"r_theta{number}_regions": float(r),
            f"p_theta{number}_regions": float(p),
        }
    return row


def positions_of(regions: Sequence[str]) -> Floats | None:
    """Return regions' positions (regions, 3), mm; None if positions or sides are not known."""
    pairs = homotopic_pairs(regions)
    return read_region_positions(regions) if 2 * len(pairs) == len(regions) else None
