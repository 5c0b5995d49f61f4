"""The workflow's kinds of model: names, references, and lines for ``dtg-models info``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bids_dtg.bundles.kinds import Kind
from bids_dtg.workflows import constant, later

if TYPE_CHECKING:
    from bids_dtg.bundles.fitted import FittedBundle

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


def facts_of_series(bundle: FittedBundle[Any]) -> Iterator[tuple[str, str]]:
    """Yield the lines of ``dtg-models info`` on people and series, with their titles."""
    part = bundle.part
    session = f", session {part.session}" if part.session else ""
    yield "people", f"{part.people}, {bundle.how_known}"
    yield "regions", f"{part.regions}, {bundle.regions[0]} to {bundle.regions[-1]}"
    yield "series", f"{part.frames} frames{session}"


LINEAR_DYNAMICS = Kind(
    name="linear-dynamics",
    workflow="dynamics",
    predicts="regional activity, as a linear process",
    part=constant("dynamics.bundle.linear:LinearPart"),
    load=later("dynamics.bundle.linear:load_linear_bundle"),
    facts=later("dynamics.bundle.linear:facts_of_core"),
)
NETWORK_MODEL = Kind(
    name="network-model",
    workflow="dynamics",
    predicts="regional activity, as a network of coupled regions",
    part=constant("dynamics.bundle.network:NetworkPart"),
    load=later("dynamics.bundle.network:load_network_bundle"),
    facts=later("dynamics.bundle.network:facts_of_network"),
)
KINDS = (LINEAR_DYNAMICS, NETWORK_MODEL)
KIND_OF: Mapping[str, Kind] = MappingProxyType(
    {LINEAR: LINEAR_DYNAMICS, NETWORK: NETWORK_MODEL}
)
