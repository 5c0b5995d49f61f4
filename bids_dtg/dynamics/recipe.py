"""Recipes: sizes of a network and its training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from bids_dtg.option import find_row

_LEAST_ONE = (
    "states",
    "region_parameters",
    "hidden",
    "encoder_units",
    "samples",
    "epochs",
    "batch_size",
    "restarts",
)


@dataclass(frozen=True)
class Recipe:
    """Sizes of a model and its training (Sip et al., 2023).

    Raises
    ------
    ValueError
        A size is below 1, or there are several external inputs.
    """

    states: int = 3  # dimensions of a region's state
    region_parameters: int = 3  # of each region of each person
    person_parameters: int = 0  # of each person
    external_inputs: int = 1  # 1 or 0: an input that all regions of a person share
    hidden: int = 32  # units of the transition's hidden layer
    encoder_units: int = 32  # of each direction of each LSTM
    person_penalty: float = 1.0  # weight of the KL divergence of the person parameters
    samples: int = 2  # drawn from the posterior of each series
    epochs: int = 60
    # Share of the epochs over which terms rise to their full weight.
    ramp_share: float = 0.5
    # Whether the states' term rises, too; else only the parameters'.
    ramp_states: bool = True
    batch_size: int = 16  # series
    learning_rate: float = 3e-3
    late_learning_rate: float | None = 1e-3  # None: the learning rate does not change
    late_share: float = 0.5  # share of the epochs before the late learning rate
    held_out: float = 0.2  # share of held-out series (one series: a region of a person)
    restarts: int = 1  # trainings from different random weights; the best ELBO wins

    def __post_init__(self) -> None:
        for name in _LEAST_ONE:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is 1 or more, not {getattr(self, name)}")
        if self.external_inputs > 1:
            raise ValueError(f"external_inputs is 1 or 0, not {self.external_inputs}")

    def updates(self, series: int) -> int:
        """Return the number of weight updates in an epoch of so many training series.

        Examples
        --------
        >>> RECIPES[PUBLISHED].updates(series=80 * 68)
        85
        """
        return math.ceil(series / self.batch_size)

    @property
    def ramp(self) -> int:
        """Number of epochs over which the weights of terms rise from 0 to 1."""
        return int(self.ramp_share * self.epochs)

    def term_weights(self, epoch: int) -> tuple[float, float]:
        """Return the weights of the states' and of the region parameters' terms at an epoch.

        Examples
        --------
        >>> Recipe(epochs=20, ramp_states=False).term_weights(5)
        (1.0, 0.5)
        """
        share = min(1.0, epoch / self.ramp) if self.ramp else 1.0
        return (share if self.ramp_states else 1.0), share

    def rate(self, epoch: int) -> float:
        """Return the learning rate at an epoch."""
        late = self.late_learning_rate
        is_early = late is None or epoch < int(self.late_share * self.epochs)
        return self.learning_rate if is_early or late is None else late


# The public code has one person parameter, but weights its KL divergence by 1,000, which keeps the
# parameter near 0.
_PUBLISHED = Recipe(
    person_parameters=1,
    person_penalty=1000.0,
    samples=8,
    epochs=1001,
    ramp_states=False,
    batch_size=64,
    learning_rate=1e-3,
    late_learning_rate=None,
    restarts=2,
)
DEFAULT, PUBLISHED = "default", "published"
# Of the publication: 85 updates in each of 1,001 epochs.
PUBLISHED_PEOPLE, PUBLISHED_UPDATES = 100, 85_085
# A new recipe is a row; `--recipe` chooses it.
RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {DEFAULT: replace(_PUBLISHED, epochs=100, restarts=1), PUBLISHED: _PUBLISHED}
)


def find_recipe(name: str) -> Recipe:
    """Return the row that ``--recipe`` names.

    Raises
    ------
    SettingsError
        No recipe has that name.

    Examples
    --------
    >>> find_recipe("default").ramp, find_recipe("published").ramp
    (50, 500)
    """
    return find_row(RECIPES, "--recipe", name)
