"""Everything that a run depends on: one frozen object.

Each option is written once, here: the command line, the TOML file, the hash
and the documentation are all made from these fields.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from bids_dtg.settings.checks import check
from bids_dtg.settings.cleaning import (
    SCRUBBING_FD_MM,
    SCRUBBING_STD_DVARS,
    AromaDenoising,
    CleaningOptions,
    ConfoundModel,
    DenoiseStrategy,
    Interpolation,
)
from bids_dtg.settings.inputs import InputChoice, InputOptions, InputType
from bids_dtg.settings.modelling import ModellingOptions
from bids_dtg.settings.option import plain
from bids_dtg.settings.running import Combine, RunningOptions

__all__ = [
    "SCRUBBING_FD_MM",
    "SCRUBBING_STD_DVARS",
    "AromaDenoising",
    "Combine",
    "ConfoundModel",
    "DenoiseStrategy",
    "InputChoice",
    "InputType",
    "Interpolation",
    "Settings",
    "plain",
]


@dataclass(frozen=True)
class Settings(RunningOptions, ModellingOptions, CleaningOptions, InputOptions):
    """All options of one call of ``bids_dtg``; those of the last base come first."""

    def __post_init__(self) -> None:
        check(self)

    @property
    def strategy(self) -> DenoiseStrategy:
        """The denoising strategy, by the input type where it was left to that."""
        if self.denoise_strategy != "auto":
            return self.denoise_strategy
        return "simple" if self.input_type in ("auto", "fmriprep") else "none"

    def resolved(self, input_type: InputType) -> Settings:
        """Return these settings with the input type that was found, and what follows from it."""
        known = dataclasses.replace(self, input_type=input_type)
        return dataclasses.replace(known, denoise_strategy=known.strategy)

    @property
    def result_options(self) -> dict[str, Any]:
        """The options that change results, as JSON has them; no paths of inputs, no resources."""
        return {
            f.name: plain(getattr(self, f.name))
            for f in dataclasses.fields(self)
            if f.metadata["shapes_results"]
        } | {"denoise_strategy": self.strategy}

    @property
    def result_hash(self) -> str:
        """SHA-256 of `result_options`."""
        canonical = json.dumps(self.result_options, sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()
