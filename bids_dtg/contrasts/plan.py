"""How a network is trained: recipes, and all settings that affect its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from bids_dtg.option import find_row

Loss = Literal["mse", "crr"]  # crr is mse with deviations scaled by 1 + alpha
EpochChoice = Literal["r", "residual_r"]
CHECKPOINTS = "network"  # subfolder of an analysis, from which a later run continues


@dataclass(frozen=True)
class Recipe:
    """Settings of a network's training that ``--recipe`` selects."""

    loss: Loss  # crr compares people and needs all contrasts
    choose_by: EpochChoice  # score of the best epoch, see `train.validation_scores`
    recentred: bool  # whether offset and gains are estimated from the validation people
    tuning_epochs: int  # epochs of fine-tuning without --epochs


# A kind of model names its recipes (`bids_dtg.contrasts.bundle.kinds`).
RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "default": Recipe(
            loss="mse", choose_by="residual_r", recentred=True, tuning_epochs=100
        ),
        "published": Recipe(
            loss="crr", choose_by="r", recentred=False, tuning_epochs=50
        ),
    }
)


def find_recipe(name: str) -> Recipe:
    """Return the row that ``--recipe`` names.

    Raises
    ------
    SettingsError
        There is no such recipe.

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
    levels: int = 1  # down-sampled levels above the bottleneck
    loss: Loss = "crr"
    alpha: float = 0.25  # weight of the hinge of crr
    margin: float = 1.0  # margin of crr, in squared units of the maps
    learning_rate: float = 1e-3  # of Adam
    # Epochs without a better validation loss before the rate is lowered.
    patience: int = 10
    factor: float = 0.1  # the rate is then multiplied by this
    epochs: int = 100  # at most
    choose_by: EpochChoice = "r"  # score of the best epoch
    minutes: float | None = None  # at most, earlier runs included; epochs are completed
    # Keep the batch-norm statistics of the start weights: a few boxes estimate them poorly.
    fixed_statistics: bool = False
    # Parameters whose names start with one of these are not trained.
    frozen: tuple[str, ...] = ()
    # Lightning's name of the precision.
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    seed: int = 0  # of weights, batches, segments and boxes
    batch: int = 10  # people in a batch, all different
    batches: int | None = None  # per epoch; None: until each person was in one
