"""Architectures, and recipes: how large their networks are, and how they are trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from bids_dtg.settings.option import find_row


@dataclass(frozen=True)
class Recipe:
    """How large networks are, and how they are trained (Takahashi et al., 2026)."""

    units: int = 64  # of the main network
    action_weight: float = 10.0  # of the cross-entropy of buttons; published: 1
    validation: float = 0.2  # share of the people that the best epoch is chosen by
    patience: int = 12  # epochs without a better one before training ends
    batch_people: int = 40
    batch_segments: int = 9  # of each person of a batch
    gradient_norm: float = 0.5  # at most

    # The group's network.
    group_epochs: int = 100
    group_updates: int = 20  # of the weights, in an epoch
    group_rate: float = 1e-2  # of Adam, warmed up and lowered along a cosine

    # Differences between people.
    rank: int = 8  # modes of the recurrent weights
    codes: int = 100  # latent factors of a person, at most
    prior: float = 0.1  # weight of the squared modulation, in trials

    # The hypernetwork.
    hyper_units: int = 64
    dropout: float = 0.1
    scale_edges: bool = True  # divide each edge by its standard deviation
    hyper_rate: float = 5e-4
    first_layer_rate: float = 1e-5  # one update changes a unit by about this times the edges
    last_layer_scale: float = 0.35
    hyper_epochs: int = 60
    hyper_updates: int = 25


@dataclass(frozen=True)
class Architecture:
    """How a connectome becomes a network; a row of `ARCHITECTURES`."""

    name: str  # a value of ``--architecture``
    help: str  # for ``--help``
    generates_all: bool  # all weights; then there is no group network
    recipe: Recipe = Recipe()


ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        row.name: row
        for row in (
            Architecture(
                "lowrank",
                "a network of the group, whose units, strongest modes and outputs each person's "
                "latent factors scale and shift",
                generates_all=False,
            ),
            Architecture(
                "published",
                "a hypernetwork that makes all weights from the connectome, as published",
                generates_all=True,
                recipe=Recipe(batch_people=10, batch_segments=6, action_weight=1.0),
            ),
        )
    }
)
DEFAULT_ARCHITECTURE = "lowrank"

# Changes of an architecture's recipe; `--recipe` chooses one.
RECIPES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "default": {},
        # As printed in the paper, which does not state its validation; gradients are clipped as in
        # the public reproduction.
        "published": {
            "units": 400,
            "hyper_units": 200,
            "action_weight": 1.0,
            "batch_people": 50,
            "batch_segments": 1,
            "gradient_norm": 0.05,
            "scale_edges": False,
            "hyper_rate": 1e-6,
            "first_layer_rate": 1e-6,
            "last_layer_scale": 1.0,
            "hyper_epochs": 800,
            "hyper_updates": 82,
        },
    }
)


def find_architecture(name: str, recipe: Recipe | None = None) -> Architecture:
    """Return the row that ``--architecture`` names, with a recipe of one's own if it is given.

    Raises
    ------
    SettingsError
        No row has this name.

    Examples
    --------
    >>> find_architecture("published").generates_all
    True
    """
    row = find_row(ARCHITECTURES, "--architecture", name)
    return row if recipe is None else replace(row, recipe=recipe)


def find_recipe(architecture: str, name: str = "default") -> Recipe:
    """Return the recipe of an architecture that ``--recipe`` names.

    Raises
    ------
    SettingsError
        No row has this name.

    Examples
    --------
    >>> find_recipe("published", "published").units
    400
    """
    changes = find_row(RECIPES, "--recipe", name)
    return replace(find_architecture(architecture).recipe, **changes)  # type: ignore[arg-type]
