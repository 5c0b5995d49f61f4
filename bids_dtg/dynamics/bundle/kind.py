"""The workflow's kinds of model: names, references, and lines for ``dtg-models info``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from bids_dtg.bundles.kinds import Kind
from bids_dtg.notices import counted
from bids_dtg.workflows import constant, later

if TYPE_CHECKING:
    from bids_dtg.dynamics.bundle.linear import LinearBundle
    from bids_dtg.dynamics.bundle.network import NetworkBundle

LINEAR, NETWORK = "linear", "network"  # values of --architecture
# Works to cite, by kind of model.
REFERENCES_OF_CORES = (
    "Lütkepohl H (2005). New Introduction to Multiple Time Series Analysis. Springer, Berlin. "
    "https://doi.org/10.1007/978-3-540-27752-1",
    "Mejia AF, Nebel MB, Barber AD, Choe AS, Pekar JJ, Caffo BS, Lindquist MA (2018). Improved "
    "estimation of subject-level functional connectivity using full and partial correlation with "
    "empirical Bayes shrinkage. NeuroImage 172, 478-491. "
    "https://doi.org/10.1016/j.neuroimage.2018.01.029",
)
REFERENCES_OF_NETWORKS = (
    "Sip V, Hashemi M, Dickscheid T, Amunts K, Petkoski S, Jirsa V (2023). Characterization of "
    "regional differences in resting-state fMRI with a data-driven network model of brain "
    "dynamics. Science Advances 9, eabq7547. https://doi.org/10.1126/sciadv.abq7547",
)


def _facts(bundle: NetworkBundle | LinearBundle) -> Iterator[tuple[str, str]]:
    part = bundle.part
    session = f", session {part.session}" if part.session else ""
    yield "people", f"{part.people}, {bundle.how_known}"
    yield "regions", f"{part.regions}, {bundle.regions[0]} to {bundle.regions[-1]}"
    yield "series", f"{part.frames} frames{session}"


def _facts_of_network(bundle: NetworkBundle) -> list[tuple[str, str]]:
    recipe = bundle.part.recipe
    left_out = bundle.trained.size - int(bundle.trained.sum())
    return [
        *_facts(bundle),
        (
            "dynamics",
            f"{counted(recipe.states, 'state')}, "
            f"{counted(recipe.region_parameters, 'region parameter')}, "
            f"{counted(recipe.person_parameters, 'person parameter')}, "
            f"{counted(recipe.external_inputs, 'external input')}",
        ),
        ("recipe", f"{bundle.part.recipe_name}, {counted(recipe.epochs, 'epoch')}"),
        ("held out", f"{left_out} of {bundle.trained.size} series"),
    ]


def _facts_of_core(bundle: LinearBundle) -> list[tuple[str, str]]:
    part = bundle.part
    chosen = (
        f"chosen by {part.chosen_by}" if part.chosen_by else "fixed, for lack of people"
    )
    share = part.diagonal_share
    alone = f", covariances between regions reduced by {share:.0%}" if share else ""
    iccs = " ".join(f"{icc:.2f}" for icc in part.component_icc)
    components = counted(part.components, "component") if part.components else "none"
    return [
        *_facts(bundle),
        ("order", f"{part.order}: {counted(part.order, 'earlier frame')}{alone}"),
        (
            "shrinkage",
            f"{part.process_shrinkage:g} frames (process), "
            f"{part.connectivity_shrinkage:g} frames (functional connectivity), {chosen}",
        ),
        ("features", components + (f", retest ICC {iccs}" if iccs else "")),
    ]


LINEAR_DYNAMICS = Kind(
    name="linear-dynamics",
    workflow="dynamics",
    predicts="regional activity, as a linear process",
    part=constant("dynamics.bundle.linear:LinearPart"),
    load=later("dynamics.bundle.linear:load_linear_bundle"),
    facts=_facts_of_core,
)
NETWORK_MODEL = Kind(
    name="network-model",
    workflow="dynamics",
    predicts="regional activity, as a network of coupled regions",
    part=constant("dynamics.bundle.network:NetworkPart"),
    load=later("dynamics.bundle.network:load_network_bundle"),
    facts=_facts_of_network,
)
KINDS = (LINEAR_DYNAMICS, NETWORK_MODEL)
KIND_OF: Mapping[str, Kind] = MappingProxyType(
    {LINEAR: LINEAR_DYNAMICS, NETWORK: NETWORK_MODEL}
)
