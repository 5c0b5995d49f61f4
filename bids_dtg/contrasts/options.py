"""Options that only models of maps read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from bids_dtg.option import COUNT, MODELS, option


@dataclass(frozen=True)
class ContrastsOptions:
    """How a network that predicts maps is made and adapted."""

    GROUP: ClassVar = "modelling"
    SHAPES: ClassVar = (MODELS,)

    schedule: Literal["known", "new", "all"] = option(
        "known",
        "what finetune adapts; known: one of the model's contrasts, its output row frozen; new: "
        "contrasts that the model lacks, with a new output layer; all: the model's contrasts, "
        "nothing frozen",
    )
    features: int = option(
        64, "channels of the network's first level", limits=COUNT, file_only=True
    )
