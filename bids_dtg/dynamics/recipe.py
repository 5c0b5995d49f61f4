"""Recipes: architecture and training of a model, with each doubtful point of the original."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

from bids_dtg.errors import SettingsError
from bids_dtg.settings.option import find_row

Innovation = Literal["stationary", "unit"]

# Sizes of amortised encoders, here so that the shapes of their weights are known without torch.
LAGS = 8  # frames, of the covariances that parameters are inferred from
CROSS_LAGS = 2  # of covariances with the network input and pooled signals, in both directions
FEATURE_UNITS, KERNEL = 64, 7  # hidden units of a region's features; frames of a convolution


def feature_count(pooled: int) -> int:
    """Return the number of covariances of a region that an amortised encoder reads.

    Examples
    --------
    >>> feature_count(pooled=6)
    46
    """
    return LAGS + (2 * CROSS_LAGS + 1) * (1 + pooled) + 3


@dataclass(frozen=True)
class Recipe:
    """Architecture and training of a model (Sip et al., 2023).

    Raises
    ------
    ValueError
        It is not amortised and has several external inputs, or it is and lets their variance grow.
    """

    # The model.
    states: int = 3  # dimensions of a region's state
    region_parameters: int = 3  # of each region of each person
    person_parameters: int = 0  # of each person
    external_inputs: int = 1  # inputs that all regions of a person share
    hidden: int = 32  # units of the transition's hidden layer
    encoder_units: int = 32  # of each direction of each LSTM

    # Beyond the publication: encoders that infer all variables, in place of tables of people.
    amortised: bool = False
    pooled: int = 6  # weighted means over a person's regions, which amortised encoders read
    structured: bool = True  # whether a state's posterior depends on the state before it
    sampled_coupling: bool = True  # network input from sampled states, not from measured series
    state_limit: float | None = None  # states stay within it, to both sides; None: no limit
    coupling_gain: bool = False  # whether a factor of the simulated network input is learned
    window: int = 100  # frames of each series in a batch
    forecast_weight: float = 1.0  # of the likelihood of the frames after the window, nats a frame
    forecast_frames: int = 10  # after the window, simulated from its last states
    generation_weight: float = 30.0  # of squared errors of simulated covariances
    generation_frames: int = 200  # of each simulation

    # Points where publication and public code differ, or where either is doubtful.
    first_state_log_variance: float = 0.0  # of the first state's prior; the code has 1
    ramp_states: bool = True  # whether the states' term is ramped, like the parameters'
    person_penalty: float = 1.0  # weight of the person parameters' term; the code sets it to 0
    external_start_sd: float = 0.1  # of the external input's table before training
    innovation: Innovation = "stationary"  # of the external input's AR(1): 1 - alpha^2, or 1
    closed_form: bool = True  # closed-form expectations where possible; else all sampled

    # Training.
    samples: int = 2  # of the posterior for each series
    epochs: int = 60
    ramp_epochs: int | None = None  # until terms have their full weight; None: by `ramp_share`
    ramp_share: float = 0.5  # of the epochs
    batch_size: int = 16  # series; people, where encoders are amortised
    learning_rate: float = 3e-3
    late_learning_rate: float | None = 1e-3  # in late epochs; None: unchanged
    late_share: float = 0.0  # of the epochs: those after this share and after the ramp are late
    held_out: float = 0.2  # share of held-out series (a person's region); if amortised, of people
    state_penalty: float = 0.01  # of the sum of squares of the states
    transition_penalty: float = 0.01  # of the sum of squares of the transition's weights
    gradient_limit: float = 1000.0  # of each element
    restarts: int = 1  # trainings from other random weights; the one with the best ELBO is kept

    def __post_init__(self) -> None:
        if self.amortised and self.innovation != "stationary":
            raise ValueError("external inputs that are inferred of anybody have a variance of 1")
        if self.external_inputs > 1 and not self.amortised:
            raise ValueError(
                f"a table of people has 1 external input, not {self.external_inputs}: amortised "
                "encoders infer several"
            )

    @property
    def ramp(self) -> int:
        """Number of epochs over which the weights of terms rise from 0 to 1."""
        return int(self.ramp_share * self.epochs) if self.ramp_epochs is None else self.ramp_epochs

    @property
    def late(self) -> int:
        """First epoch with the late learning rate."""
        return max(self.ramp, int(self.late_share * self.epochs))

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
        late = self.late_learning_rate is not None and epoch >= self.late
        return self.late_learning_rate if late and self.late_learning_rate else self.learning_rate


# A new recipe is a row; `--recipe` chooses it.
RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "amortised": Recipe(
            amortised=True,
            state_limit=8.0,
            external_inputs=3,
            region_parameters=6,
            batch_size=8,
            epochs=40,
            ramp_share=0.1,
            late_share=0.65,
        ),
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


def departures(recipe: Recipe) -> tuple[str, ...]:
    """Return in words what of a recipe is not as published; empty for those of the publication.

    Examples
    --------
    >>> departures(RECIPES["published-paper"])
    ()
    >>> departures(RECIPES["amortised"])[1:3]
    ('6 parameters of a region in place of 3', '3 external inputs in place of 1')
    """
    published = RECIPES["published-paper"]
    own = [
        f"{getattr(recipe, name)} {words} in place of {getattr(published, name)}"
        for name, words in _COUNTED.items()
        if getattr(recipe, name) != getattr(published, name)
    ]
    if not recipe.amortised:
        fewer = f"{recipe.epochs} epochs in place of {published.epochs}"
        return (*own, fewer) if recipe.epochs < published.epochs else tuple(own)
    return (
        "parameters are inferred from lagged covariances of a person's series, by encoders of "
        "anybody in place of recurrent networks and tables of people",
        *own,
        *(words for name, words in _ADDED.items() if getattr(recipe, name)),
    )


# Words of fields that are counts, and of those that an amortised model adds to the publication.
_COUNTED = {
    "states": "states of a region",
    "region_parameters": "parameters of a region",
    "external_inputs": "external inputs",
}
_ADDED = {
    "structured": "states are inferred one after the other",
    "sampled_coupling": "the network input comes from inferred states in place of measured series",
    "coupling_gain": "a factor of the network input is learned",
    "forecast_weight": "training by forecasts of the frames after a window, too",
    "generation_weight": "and by lagged covariances of sessions that the model simulates",
}


def with_fields(recipe: Recipe, texts: Sequence[str]) -> Recipe:
    """Return a recipe with some fields changed by ``--recipe-field NAME=VALUE`` texts.

    Raises
    ------
    SettingsError
        A text names no field, or its value is of another kind than the field's.

    Examples
    --------
    >>> with_fields(Recipe(), ["states=2", "closed_form=false"]).states
    2
    """
    changes: dict[str, Any] = {}
    known = {field.name for field in dataclasses.fields(Recipe)} - set(_OF_OTHER_OPTIONS)
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or name not in known:
            raise SettingsError(
                f"--recipe-field is '{text}'",
                expected=f"NAME=VALUE, NAME one of {', '.join(sorted(known))}",
            )
        changes[name] = _read(name, value, getattr(recipe, name))
    try:
        found = dataclasses.replace(recipe, **changes)
    except ValueError as err:
        raise SettingsError(f"--recipe-field {' '.join(texts)}: {err}") from err
    of_others = _OF_TABLES if found.amortised else _OF_AMORTISED
    if idle := [name for name in changes if name in of_others]:
        raise SettingsError(
            f"--recipe-field changes {', '.join(idle)}, which a model with "
            f"{'amortised encoders' if found.amortised else 'tables of people'} does not have",
            expected=f"other fields, or amortised={'false' if found.amortised else 'true'}",
        )
    return found


def _read(name: str, text: str, like: object) -> object:
    """Return the value of a text, in the type of the field."""
    read, expected = _KINDS[type(like)]
    try:
        found = read(text)
    except (KeyError, ValueError):
        found = None
    least = 0 if isinstance(like, float) or name in _MAY_BE_NONE else 1
    wrong = found is None
    if isinstance(found, int | float) and not isinstance(found, bool):
        signed = name == "first_state_log_variance"
        wrong = not math.isfinite(found) or (found < least and not signed)
        wrong = wrong or (name == "held_out" and found >= 1)
    if wrong:
        raise SettingsError(f"--recipe-field {name} is '{text}'", expected=f"{expected}, as {like}")
    return found


# Conversion of a field's text by the type of its value, and the expectation in errors.
_KINDS: Mapping[type, tuple[Callable[[str], Any], str]] = {
    bool: (lambda text: {"true": True, "false": False}[text.casefold()], "true or false"),
    int: (int, "a whole number"),
    float: (float, "a number"),
    type(None): (float, "a number"),
    str: (dict(zip(get_args(Innovation), get_args(Innovation), strict=True)).__getitem__, "a word"),
}
_MAY_BE_NONE = ("external_inputs", "person_parameters")
_OF_OTHER_OPTIONS = ("ramp_epochs", "late_learning_rate")
# Fields that a model of the other form ignores.
_OF_TABLES = ("samples", "closed_form", "external_start_sd", "gradient_limit")
_OF_AMORTISED = (
    *("pooled", "structured", "sampled_coupling", "coupling_gain", "window"),
    *("forecast_weight", "forecast_frames", "generation_weight", "generation_frames"),
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
