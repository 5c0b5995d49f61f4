"""Recipes: architecture and training of a network, with each doubtful point of the original."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from bids_dtg.settings.option import find_row


@dataclass(frozen=True)
class Recipe:
    """Architecture and training of a model (Sip et al., 2023).

    Raises
    ------
    ValueError
        It has several external inputs.
    """

    # The model.
    states: int = 3  # dimensions of a region's state
    region_parameters: int = 3  # of each region of each person
    person_parameters: int = 0  # of each person
    external_inputs: int = 1  # 1 or 0: an input that all regions of a person share
    hidden: int = 32  # units of the transition's hidden layer
    encoder_units: int = 32  # of each direction of each LSTM

    # Points where publication and public code differ, or where either is doubtful.
    first_state_log_variance: float = 0.0  # of the first state's prior; the code has 1
    ramp_states: bool = True  # whether the states' term is ramped, like the parameters'
    person_penalty: float = 1.0  # weight of the person parameters' term; the code sets it to 0
    closed_form: bool = True  # closed-form expectations where possible; else all sampled

    # Training.
    samples: int = 2  # of the posterior for each series
    epochs: int = 60
    ramp_epochs: int | None = None  # until terms have their full weight; None: by `ramp_share`
    ramp_share: float = 0.5  # of the epochs
    batch_size: int = 16  # series
    learning_rate: float = 3e-3
    late_learning_rate: float | None = 1e-3  # after the ramp; None: unchanged
    held_out: float = 0.2  # share of held-out series (a person's region)
    state_penalty: float = 0.01  # of the sum of squares of the states
    transition_penalty: float = 0.01  # of the sum of squares of the transition's weights
    gradient_limit: float = 1000.0  # of each element
    restarts: int = 1  # trainings from other random weights; the one with the best ELBO is kept

    def __post_init__(self) -> None:
        if self.external_inputs > 1:
            raise ValueError(f"a network has 1 external input or none, not {self.external_inputs}")

    @property
    def ramp(self) -> int:
        """Number of epochs over which the weights of terms rise from 0 to 1."""
        return int(self.ramp_share * self.epochs) if self.ramp_epochs is None else self.ramp_epochs

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


_PUBLISHED = Recipe(
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
)
DEFAULT, PUBLISHED = "default", "published"
# A new recipe is a row; `--recipe` chooses it.
RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        DEFAULT: replace(_PUBLISHED, epochs=100, ramp_epochs=None, restarts=1),
        PUBLISHED: _PUBLISHED,
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
    >>> find_recipe("default").ramp, find_recipe("published").ramp
    (50, 500)
    """
    return find_row(RECIPES, "--recipe", name)
