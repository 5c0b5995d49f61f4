"""Forms of model: which recipes and bundles each has, what it reads, and its analyses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from bids_dtg.dynamics.recipe import RECIPES
from bids_dtg.workflows import Run, later

LINEAR = "linear"  # the recipe of the linear core
DEFAULT = "default"  # the same
NAMED = ("hopf", "wong-wang")  # of named models, the rows of `named.NAMED`
AMORTISED = next(name for name, recipe in RECIPES.items() if recipe.amortised)


@dataclass(frozen=True, kw_only=True)
class Form:
    """A row: what is known of a form of model."""

    words: str  # what such a model is
    kind: str  # of its bundles
    recipes: tuple[str, ...]  # by which it is trained
    analyses: Mapping[str, Run]  # by the values of --analysis
    # Of a bundle, the number of simulations, the seed and the threads: what describes runs.
    infer: Callable[[Any, int, int, int], Any]
    structural: bool  # whether it reads structural connectomes
    # Whether it is trained in minutes, so that `evaluate --folds` can train it in each fold.
    quick: bool = False
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
    "evaluate": "dynamics.analyses.linear_evaluation:run_linear_evaluation",
    "simulate": "dynamics.analyses.linear_simulation:run_linear_simulation",
    "intervene": "dynamics.analyses.linear_interventions:run_linear_interventions",
}
_ANALYSES_OF_NAMED = {
    "train": "dynamics.analyses.named_training:run_named_training",
    "evaluate": "dynamics.analyses.linear_evaluation:run_linear_evaluation",
    "simulate": "dynamics.analyses.named_simulation:run_named_simulation",
}
# A new form is a row.
FORMS: tuple[Form, ...] = (
    Form(
        words="a linear core",
        kind="linear-dynamics",
        recipes=(DEFAULT, LINEAR),
        analyses=MappingProxyType(
            {name: later(place) for name, place in _ANALYSES_OF_LINEAR.items()}
        ),
        infer=later("dynamics.participant.infer:LinearInference"),
        structural=False,
        quick=True,
        options=("add_sums", "structural_connectivity"),
    ),
    Form(
        words="a named model",
        kind="named-dynamics",
        recipes=NAMED,
        analyses=MappingProxyType(
            {name: later(place) for name, place in _ANALYSES_OF_NAMED.items()}
        ),
        infer=later("dynamics.participant.infer:NamedInference"),
        structural=True,
        quick=True,
        options=("structural_connectivity",),
    ),
    Form(
        words="a network model",
        kind="network-model",
        recipes=tuple(RECIPES),
        analyses=MappingProxyType({name: later(place) for name, place in _ANALYSES.items()}),
        infer=later("dynamics.participant.infer:NetworkInference"),
        structural=True,
        options=(
            *("epochs", "batch_size", "learning_rate", "states", "region_parameters"),
            *("no_external_input", "structural", "recipe_field", "samples", "ramp_epochs"),
            *("restarts", "structural_connectivity"),
        ),
        packages={**dict.fromkeys(_ANALYSES, ("torch",)), "train": ("torch", "lightning")},
    ),
)
