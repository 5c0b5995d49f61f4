"""The kinds of model of the workflow: their rows, and their lines in `dtg-models info`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bids_dtg.bundles.kinds import Kind
from bids_dtg.notices import counted
from bids_dtg.workflows import constant, later

if TYPE_CHECKING:
    from bids_dtg.dynamics.bundle.linear import LinearBundle
    from bids_dtg.dynamics.bundle.network import NetworkBundle


def _facts(bundle: NetworkBundle) -> list[tuple[str, str]]:
    part, recipe = bundle.part, bundle.part.recipe
    parameters = (
        f"{recipe.states} states, {recipe.region_parameters} parameters of a region, "
        f"{recipe.person_parameters} of a person, "
        f"{counted(recipe.external_inputs, 'external input')}"
    )
    series = bundle.trained.size - int(bundle.trained.sum())
    return [
        ("people", f"{part.people} in its tables, {bundle.how_known}"),
        ("regions", f"{part.regions}, {bundle.regions[0]} to {bundle.regions[-1]}"),
        ("series", f"{part.frames} frames{f', session {part.session}' if part.session else ''}"),
        ("dynamics", parameters),
        ("recipe", f"{part.recipe_name}, {counted(recipe.epochs, 'epoch')}"),
        ("held out", f"{series} of {bundle.trained.size} series"),
        *((f"restart {n}", text) for n, text in enumerate(_restarts(bundle), start=1)),
    ]


def _restarts(bundle: NetworkBundle) -> list[str]:
    """Describe each training that the model was chosen from, from its card's record."""
    record = bundle.card.record or {}
    found = record.get("restarts")
    rows = found if isinstance(found, list) else []
    return [
        f"ELBO {_rounded(row.get('elbo'))}, held out {_rounded(row.get('held_out_elbo'))}, "
        f"{row.get('epochs')} epochs" + (" (chosen)" if number == record.get("chosen") else "")
        for number, row in enumerate(rows)
        if isinstance(row, Mapping)  # a record is not validated
    ]


def _rounded(figure: object) -> str:
    return f"{figure:,.1f}" if isinstance(figure, float | int) else "n/a"


NETWORK_MODEL = Kind(
    name="network-model",
    workflow="dynamics",
    predicts="the activity of networks of regions",
    part=constant("dynamics.bundle.network:NetworkPart"),
    load=later("dynamics.bundle.network:load_network_bundle"),
    facts=_facts,
)


def _facts_of_linear(bundle: LinearBundle) -> list[tuple[str, str]]:
    part = bundle.part
    chosen = f"chosen by {part.chosen_by}" if part.chosen_by else "fixed, of too few people"
    alone = f", {part.unconnected:.0%} without connections" if part.unconnected else ""
    return [
        ("people", f"{part.people}, {bundle.how_known}"),
        ("regions", f"{part.regions}, {bundle.regions[0]} to {bundle.regions[-1]}"),
        ("series", f"{part.frames} frames{f', session {part.session}' if part.session else ''}"),
        ("order", f"{part.order}: {counted(part.order, 'earlier frame')}{alone}"),
        (
            "strengths",
            f"{part.transition_strength:g} frames (transition), "
            f"{part.covariance_strength:g} frames (covariance), {chosen}",
        ),
        ("features", _features(part.components, part.component_icc)),
    ]


def _features(components: int, iccs: tuple[float, ...]) -> str:
    if not components:
        return "none"
    known = f", retest ICC {' '.join(f'{icc:.2f}' for icc in iccs)}" if iccs else ""
    return f"{counted(components, 'component')}{known}"


LINEAR_DYNAMICS = Kind(
    name="linear-dynamics",
    workflow="dynamics",
    predicts="the activity of regions, as a linear process",
    part=constant("dynamics.bundle.linear:LinearPart"),
    load=later("dynamics.bundle.linear:load_linear_bundle"),
    facts=_facts_of_linear,
)


KINDS = (NETWORK_MODEL, LINEAR_DYNAMICS)
