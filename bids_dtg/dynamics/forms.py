"""Forms of model: which bundles each has, its options of training, and its analyses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from bids_dtg.workflows import Run, later

LINEAR, NETWORK = "linear", "network"  # values of --architecture


@dataclass(frozen=True, kw_only=True)
class Form:
    """A row: what is known of a form of model."""

    architecture: str  # by which it is trained
    words: str  # what such a model is
    kind: str  # of its bundles
    analyses: Mapping[str, Run]  # by the values of --analysis
    # Options of training that other forms lack, by name.
    options: tuple[str, ...] = ()
    # Of the extra train that analyses need, by name; others need none.
    packages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_ANALYSES = {
    "train": "dynamics.analyses.train:run_training",
    "evaluate": "dynamics.analyses.evaluate:run_evaluation",
    "simulate": "dynamics.analyses.simulate:run_simulation",
    "fixed-points": "dynamics.analyses.fixed_points:run_fixed_points",
}
_ANALYSES_OF_LINEAR = {
    "train": "dynamics.analyses.linear_training:run_linear_training",
    "evaluate": "dynamics.analyses.evaluate:run_evaluation",
    "simulate": "dynamics.analyses.linear_simulation:run_linear_simulation",
}
# A new form is a row; the first is the default.
FORMS: tuple[Form, ...] = (
    Form(
        architecture=LINEAR,
        words="a linear core",
        kind="linear-dynamics",
        analyses=MappingProxyType(
            {name: later(place) for name, place in _ANALYSES_OF_LINEAR.items()}
        ),
    ),
    Form(
        architecture=NETWORK,
        words="a network model",
        kind="network-model",
        analyses=MappingProxyType({name: later(place) for name, place in _ANALYSES.items()}),
        options=(
            *("recipe", "epochs", "batch_size", "learning_rate", "states", "region_parameters"),
            *("no_external_input", "restarts", "structural_connectivity"),
        ),
        packages={**dict.fromkeys(_ANALYSES, ("torch",)), "train": ("torch", "lightning")},
    ),
)
