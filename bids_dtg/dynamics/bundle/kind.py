"""The kinds of model of the workflow: their rows, and their lines in `dtg-models info`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bids_dtg.bundles.kinds import Kind
from bids_dtg.notices import counted
from bids_dtg.workflows import constant, later

if TYPE_CHECKING:
    from bids_dtg.dynamics.bundle.bundle import NetworkBundle
    from bids_dtg.dynamics.bundle.linear import LinearBundle
    from bids_dtg.dynamics.bundle.named import NamedBundle
    from bids_dtg.dynamics.calibration import Calibration


def _facts(bundle: NetworkBundle) -> list[tuple[str, str]]:
    part, recipe = bundle.part, bundle.part.recipe
    parameters = (
        f"{recipe.states} states, {recipe.region_parameters} parameters of a region, "
        f"{recipe.person_parameters} of a person, "
        f"{counted(recipe.external_inputs, 'external input')}"
    )
    series = bundle.trained.size - int(bundle.trained.sum())
    held_out = f"{series} of {bundle.trained.size} series"
    if recipe.amortised:
        held_out = f"{int((~bundle.trained.any(axis=1)).sum())} of {part.people} people"
    return [
        ("people", f"{part.people} in its tables, {bundle.how_known}"),
        ("regions", f"{part.regions}, {bundle.regions[0]} to {bundle.regions[-1]}"),
        ("series", f"{part.frames} frames{f', session {part.session}' if part.session else ''}"),
        ("structural", f"connectomes scaled: {part.structural}"),
        ("dynamics", parameters),
        ("recipe", f"{part.recipe_name}, {counted(recipe.epochs, 'epoch')}"),
        ("held out", held_out),
        *((name, _trust(own)) for name, own in part.by_name.items()),
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
    part=constant("dynamics.bundle.part:NetworkPart"),
    load=later("dynamics.bundle.bundle:load_network_bundle"),
    facts=_facts,
)


def _facts_of_linear(bundle: LinearBundle) -> list[tuple[str, str]]:
    part = bundle.part
    chosen = f"chosen by {part.chosen_by}" if part.chosen_by else "fixed, of too few people"
    alone = f", {part.unconnected:.0%} without connections" if part.unconnected else ""
    others = (bundle.card.record or {}).get("participants_of_other_sites")
    more = f", and the sums of {others} of other sites" if others else ""
    where = f"by {counted(part.connectomes, 'structural connectome')}, and homotopy"
    return [
        ("people", f"{part.people}, {bundle.how_known}{more}"),
        ("regions", f"{part.regions}, {bundle.regions[0]} to {bundle.regions[-1]}"),
        ("series", f"{part.frames} frames{f', session {part.session}' if part.session else ''}"),
        ("connections", where if part.connectomes else "between all regions"),
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


def _facts_of_named(bundle: NamedBundle) -> list[tuple[str, str]]:
    part = bundle.part
    judged = part.judged or (None,) * len(part.model.parameters)
    return [
        ("people", f"{part.people}, {bundle.how_known}"),
        ("regions", f"{part.regions}, {bundle.regions[0]} to {bundle.regions[-1]}"),
        ("series", f"{part.frames} frames{f', session {part.session}' if part.session else ''}"),
        ("model", f"{part.model.words}, without delays or haemodynamics"),
        ("simulations", f"{part.simulations}"),
        *((row.name, _trust(own)) for row, own in zip(part.model.parameters, judged, strict=True)),
    ]


def _trust(own: Calibration | None) -> str:
    if own is None:
        return "not judged"
    return own.fault or (
        f"rank correlation with the truth {own.rho:.2f}, 90 % intervals hold {own.coverage:.0%}"
    )


NAMED_DYNAMICS = Kind(
    name="named-dynamics",
    workflow="dynamics",
    predicts="the activity of regions, as a model with few parameters a person",
    part=constant("dynamics.bundle.named:NamedPart"),
    load=later("dynamics.bundle.named:load_named_bundle"),
    facts=_facts_of_named,
)
KINDS = (NETWORK_MODEL, LINEAR_DYNAMICS, NAMED_DYNAMICS)
