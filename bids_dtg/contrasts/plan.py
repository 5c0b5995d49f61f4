"""How a network is trained: recipes, and all settings that its weights depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from bids_dtg.settings.option import find_row

Loss = Literal["mse", "crr"]  # crr is mse with deviations scaled by 1 + alpha
EpochChoice = Literal["r", "residual_r"]
CHECKPOINTS = "network"  # folder of an analysis, from which a later call continues


@dataclass(frozen=True)
class Recipe:
    """How a network is trained, by ``--recipe``."""

    loss: Loss  # crr compares people, and needs all contrasts
    choose_by: EpochChoice  # the best epoch, see `task.validation_scores`
    recentred: bool  # whether offset and gains are found on the validation people
    tuning_epochs: int  # of fine-tuning, where --epochs does not say


# A kind of model names its recipes (`bids_dtg.contrasts.bundle.kinds`).
RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "default": Recipe(loss="mse", choose_by="residual_r", recentred=True, tuning_epochs=100),
        "published": Recipe(loss="crr", choose_by="r", recentred=False, tuning_epochs=50),
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
    >>> find_recipe("published").recentred
    False
    """
    return find_row(RECIPES, "--recipe", name)


@dataclass(frozen=True)
class TrainingPlan:
    """How a network is trained."""

    features: int = 64  # channels of the network's first level
    levels: int = 1  # its down-sampled levels above the bottleneck
    loss: Loss = "crr"
    alpha: float = 0.25  # weight of the hinge of crr
    margin: float = 1.0  # margin of crr, in squared units of the maps
    learning_rate: float = 1e-3  # of Adam
    patience: int = 10  # epochs without a better validation loss before the rate falls
    factor: float = 0.1  # by which the rate is multiplied then
    epochs: int = 100  # at most
    choose_by: EpochChoice = "r"  # the best epoch
    minutes: float | None = None  # at most, earlier calls included; epochs are completed
    # Batch norm keeps the statistics of the start weights: a few boxes give poor ones.
    fixed_statistics: bool = False
    # Parameters whose names start with one of these are not trained.
    frozen: tuple[str, ...] = ()
    # Lightning's name of the precision.
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    seed: int = 0  # of weights, batches, segments and boxes
    batch: int = 10  # people in a batch, all different
    batches: int | None = None  # in an epoch; None: until each person was in one
