"""Options that only models of brain dynamics read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bids_dtg.option import COUNT, MODELS, option


@dataclass(frozen=True)
class DynamicsOptions:
    """The network model of regions, its simulations and comparisons."""

    GROUP: ClassVar = "dynamics"
    SHAPES: ClassVar = (MODELS,)

    states: int | None = option(
        None,
        "dimensions of a region's state",
        limits=COUNT,
        shown="3",
    )
    region_parameters: int | None = option(
        None,
        "parameters of each region of each participant",
        limits=COUNT,
        shown="3",
    )
    no_external_input: bool = option(
        False, "train without an input shared by all regions"
    )
    restarts: int | None = option(
        None,
        "trainings, of which the one with the best held-out ELBO is kept",
        limits=COUNT,
        shown="1; 2 with --recipe published",
    )
    simulations: int = option(
        50, "simulations per participant", limits=COUNT, shapes=()
    )
    region_maps: Path | None = option(
        None,
        "table of regional maps to compare parameters with",
        shapes=(),
    )
