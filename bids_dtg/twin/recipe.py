"""Architectures, and recipes: sizes of their networks and training settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bids_dtg.option import find_row


@dataclass(frozen=True)
class Recipe:
    """How large networks are, and how they are trained (Takahashi et al., 2026)."""

    units: int = 64  # of the main network
    action_weight: float = 10.0  # of the cross-entropy of buttons; published: 1
    validation: float = 0.2  # share of the people used to choose the best epoch
    patience: int = 12  # epochs without improvement before training stops
    batch_people: int = 40
    batch_segments: int = 9  # of each person of a batch
    gradient_norm: float = 0.5  # to which gradients are clipped

    # The group's network.
    group_epochs: int = 100  # 0: there is no such network
    group_updates: int = 20  # of the weights, per epoch
    group_rate: float = 1e-2  # of Adam, warmed up and lowered along a cosine

    # Differences between people.
    rank: int = 8  # modes of the recurrent weights
    times_epochs: int = 12
    times_updates: int = 20
    times_rate: float = 3e-3
    times_people: int = 12  # in a batch
    times_weight: float = 0.1  # of the squared error of performed measures, in SD
    times_decay: float = 2e-4  # of weights, by Adam

    # The hypernetwork.
    hyper_units: int = 64
    dropout: float = 0.1
    scale_edges: bool = True  # divide each edge by its standard deviation
    hyper_rate: float = 5e-4
    # One update changes a unit by about this times the edges.
    first_layer_rate: float = 1e-5
    hyper_epochs: int = 5  # with a network of the group, the last is taken
    hyper_updates: int = 20
    hyper_people: int = 16  # in a batch
    hyper_segments: int = 12


@dataclass(frozen=True)
class Architecture:
    """How a connectome becomes a network; a row of `ARCHITECTURES`."""

    name: str  # a value of ``--architecture``
    help: str  # for ``--help``
    recipes: Mapping[str, Recipe]  # by the names of ``--recipe``
    stages: Mapping[str, str]  # of training, with the recipe's field of their epochs
    rate: str  # the recipe's field that --learning-rate changes

    @property
    def generates_all(self) -> bool:
        """Whether connectomes make all weights."""
        return "people" in self.stages

    def epochs(self, recipe: Recipe, most: int | None = None) -> dict[str, int]:
        """Return the largest number of epochs of each stage, by the recipe's field.

        `most` is that of ``--epochs``: of the longest stage, and the bound of the others.

        Examples
        --------
        >>> find_architecture("lowrank").epochs(Recipe(), 40)
        {'group_epochs': 40, 'times_epochs': 12}
        """
        fields = self.stages.values()
        epochs = {
            field: getattr(recipe, field) for field in fields if getattr(recipe, field)
        }
        if most is None:
            return epochs
        longest = max(epochs, key=lambda field: epochs[field])
        return {field: min(number, most) for field, number in epochs.items()} | {
            longest: most
        }


ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        row.name: row
        for row in (
            Architecture(
                "lowrank",
                "a network of the group, modulated so that its mean response times are those that "
                "ridges predict from the connectome",
                {"default": Recipe()},
                {"group": "group_epochs", "times": "times_epochs"},
                "group_rate",
            ),
            Architecture(
                "hypernetwork",
                "a hypernetwork that makes all weights from the connectome; by default it starts "
                "from the group's network and from ridges",
                {
                    "default": Recipe(),
                    # As printed in the paper, which does not state its validation; gradients are
                    # clipped as in the public reproduction.
                    "published": Recipe(
                        units=400,
                        hyper_units=200,
                        action_weight=1.0,
                        group_epochs=0,
                        hyper_people=50,
                        hyper_segments=1,
                        gradient_norm=0.05,
                        scale_edges=False,
                        hyper_rate=1e-6,
                        first_layer_rate=1e-6,
                        hyper_epochs=800,
                        hyper_updates=82,
                    ),
                },
                {"group": "group_epochs", "people": "hyper_epochs"},
                "hyper_rate",
            ),
        )
    }
)
DEFAULT_ARCHITECTURE = "lowrank"
RECIPES = ("default", "published")


def find_architecture(name: str) -> Architecture:
    """Return the row that ``--architecture`` names.

    Raises
    ------
    SettingsError
        No row has this name.

    Examples
    --------
    >>> find_architecture("hypernetwork").generates_all
    True
    """
    return find_row(ARCHITECTURES, "--architecture", name)


def find_recipe(architecture: str, name: str = "default") -> Recipe:
    """Return the recipe of an architecture that ``--recipe`` names.

    Raises
    ------
    SettingsError
        No row has this name.

    Examples
    --------
    >>> find_recipe("hypernetwork", "published").units
    400
    """
    return find_row(find_architecture(architecture).recipes, "--recipe", name)
