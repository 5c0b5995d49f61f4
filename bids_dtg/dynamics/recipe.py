"""Recipes: what a model consists of, how it is trained, each doubtful point of the original."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from bids_dtg.settings.option import find_row

Innovation = Literal["stationary", "unit"]


@dataclass(frozen=True)
class Recipe:
    """What a model consists of, and how it is trained (Sip et al., 2023)."""

    # The model.
    states: int = 3  # dimensions of a region's state
    region_parameters: int = 3  # of each region of each person
    person_parameters: int = 0  # of each person
    external_input: bool = True  # whether all regions of a person share an input from outside
    hidden: int = 32  # units of the transition's hidden layer
    encoder_units: int = 32  # of each direction of each LSTM

    # Where publication and public code differ, or where either is doubtful.
    first_state_log_variance: float = 0.0  # of the first state's prior; the code has 1
    ramp_states: bool = True  # whether the states' term is ramped, as the parameters' is
    person_penalty: float = 1.0  # of the person parameters' term; the code switches them off by it
    external_start_sd: float = 0.1  # of the external input's table before training
    innovation: Innovation = "stationary"  # of the external input's AR(1): 1 - alpha^2, or 1
    closed_form: bool = True  # expectations in closed form where there is one; else all sampled

    # Training.
    samples: int = 2  # of the posterior for each series
    epochs: int = 60
    ramp_epochs: int | None = None  # until terms have their full weight; None: half the epochs
    batch_size: int = 16  # series
    learning_rate: float = 3e-3
    late_learning_rate: float | None = 1e-3  # after the ramp; None: the same
    held_out: float = 0.2  # share of the series (a person's region) that is not trained on
    state_penalty: float = 0.01  # of the sum of squares of the states
    transition_penalty: float = 0.01  # of the sum of squares of the transition's weights
    gradient_limit: float = 1000.0  # of each element
    restarts: int = 1  # trainings from other random weights; that with the best held-out ELBO stays

    @property
    def ramp(self) -> int:
        """How many epochs the weights of terms rise from 0 to 1."""
        return self.epochs // 2 if self.ramp_epochs is None else self.ramp_epochs

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
        late = self.late_learning_rate is not None and epoch >= self.ramp
        return self.late_learning_rate if late and self.late_learning_rate else self.learning_rate


# A new recipe is a row; `--recipe` chooses it.
RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "default": Recipe(),
        "published-code": Recipe(
            person_parameters=1,
            first_state_log_variance=1.0,
            ramp_states=False,
            person_penalty=1000.0,
            closed_form=False,
            samples=8,
            batch_size=64,
            epochs=1001,
            ramp_epochs=500,
            learning_rate=1e-3,
            late_learning_rate=None,
            restarts=2,
        ),
        "published-paper": Recipe(
            external_start_sd=0.01,
            innovation="unit",
            closed_form=False,
            samples=8,
            batch_size=64,
            epochs=1000,
            ramp_epochs=500,
            learning_rate=1e-3,
            late_learning_rate=None,
            restarts=2,
        ),
    }
)


def find_recipe(name: str) -> Recipe:
    """Return the row that ``--recipe`` names.

    Raises
    ------
    SettingsError
        There is none.

    Examples
    --------
    >>> find_recipe("published-code").first_state_log_variance
    1.0
    """
    return find_row(RECIPES, "--recipe", name)
