"""Bundles of named models: written from simulations, and loaded.

A bundle holds the training people's mean structural connectome, the regions' frequencies,
parameters and statistics of simulated sessions, and what further simulations showed of the
parameters; beside them the mean covariances that a linear core of the same people has, which the
model is judged by.
There is nothing of a single person but a hash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bids_dtg.bundles.fields import JsonFields
from bids_dtg.bundles.fitted import FittedPart, Shapes, write_fitted
from bids_dtg.bundles.people import ModelPeople
from bids_dtg.dynamics.bank import Bank
from bids_dtg.dynamics.bundle.core import GROUP, CoreBundle, CoreFacts, CorePart
from bids_dtg.dynamics.bundle.kind import NAMED_DYNAMICS
from bids_dtg.dynamics.calibration import FIGURES, Calibration
from bids_dtg.dynamics.lag_covariances import LAGS
from bids_dtg.dynamics.linear import LinearModel
from bids_dtg.dynamics.named import NAMED, NamedModel, Substrate
from bids_dtg.dynamics.posterior import SimulatedStatistics
from bids_dtg.dynamics.session_statistics import STATISTICS
from bids_dtg.errors import RunError
from bids_dtg.notices import counted

# Tensors of the weights beside `GROUP`.
_WEIGHTS, _FREQUENCIES = "structural", "frequencies"
_UNIT, _STATISTICS = "simulated_parameters", "simulated_statistics"
SAME_LENGTH = 0.1  # largest relative difference of a session's frames from those simulated


@dataclass(frozen=True, kw_only=True)
class NamedPart(CorePart):
    """The part of the card of named models."""

    ORDER: ClassVar[tuple[str, ...]] = (
        *("format_version", "name", "version", "kind", "licence", "citation", "description"),
        *("training", "recipe_name", "regions", "people", "frames", "tr_seconds", "simulations"),
        *("calibrations", "order", "transition_strength", "covariance_strength", "unconnected"),
        *("data_set", "session", "atlas", "atlas_digest", "for_science", "notice", "files"),
    )

    simulations: int  # that posteriors are inferred from
    # Of each parameter, the fields of its `Calibration`; empty: not judged.
    calibrations: tuple[tuple[float, ...], ...]

    @property
    def model(self) -> NamedModel:
        """The row."""
        return NAMED[self.recipe_name]

    @property
    def judged(self) -> tuple[Calibration, ...]:
        """What simulations showed of each parameter's posteriors; empty: nothing."""
        return Calibration.of_card(self.calibrations)

    @property
    def shapes(self) -> Shapes:
        """Shapes of the model's tensors by name."""
        square = (self.regions, self.regions)
        return {
            _WEIGHTS: square,
            _FREQUENCIES: (self.regions,),
            GROUP: (LAGS + 1, *square),
            _UNIT: (self.simulations, len(self.model.parameters)),
            _STATISTICS: (self.simulations, len(STATISTICS)),
        }

    def to_json(self) -> dict[str, Any]:
        """Return the part's fields of `model.json`."""
        return asdict(self)

    @classmethod
    def read(cls, fields: JsonFields, files: Mapping[str, str]) -> NamedPart:
        """Read the part's fields of a card.

        Raises
        ------
        BundleError
            If a field is missing or wrong, or says something else than the card's `training`.
        """
        fields.one_of("recipe_name", NAMED)
        model = NAMED[fields.text("recipe_name")]
        judged = 0 if fields.value("calibrations") == [] else len(model.parameters)
        return cls(
            simulations=fields.size("simulations"),
            calibrations=tuple(
                tuple(row) for row in fields.numbers("calibrations", (judged, FIGURES))
            )
            if judged
            else (),
            **cls.read_core(fields),
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class NamedBundle(CoreBundle[NamedPart]):
    """A verified named model."""

    PART: ClassVar[type[FittedPart]] = NamedPart

    def require_length(self, frames: int) -> None:
        """Refuse sessions whose length differs from that of the simulated ones.

        Parameters
        ----------
        frames
            Of a session; those left out do not count.

        Raises
        ------
        RunError
            More than 10 % lie between them: statistics depend on the length.
        """
        own = self.part.frames
        if abs(frames - own) > SAME_LENGTH * own:
            raise RunError(
                f"there are {counted(frames, 'frame')}, and {self.card.name} has simulated "
                f"sessions of {own}",
                expected=f"at most {SAME_LENGTH:.0%} between them",
                remedy="train a model on sessions of this length; people with one session are "
                "judged by its halves",
            )

    def bank(self) -> Bank:
        """Read the model and its simulations.

        Raises
        ------
        BundleError
            As `check_weights`.
        """
        part, tensors = self.part, self.tensors()
        own = {name: values.astype(np.float64) for name, values in tensors.items()}
        return Bank(
            part.recipe_name,
            Substrate(own[_WEIGHTS], own[_FREQUENCIES], part.tr_seconds),
            part.frames,
            SimulatedStatistics(own[_UNIT], own[_STATISTICS]),
            part.judged,
        )


@dataclass(frozen=True, eq=False)
class FittedNamed:
    """A named model, and what it was fitted to."""

    bank: Bank
    core: LinearModel  # of the same people
    people: Sequence[str]  # labels
    regions: Sequence[str]  # names


def load_named_bundle(name_or_path: str | Path) -> NamedBundle:
    """Find, verify and load the bundle of a named model.

    Raises
    ------
    BundleError
        As of `FittedBundle.load`.
    """
    return NamedBundle.load(name_or_path)


def write_named_bundle(
    folder: str | Path, fitted: FittedNamed, facts: CoreFacts, people: ModelPeople | None = None
) -> NamedBundle:
    """Write the bundle of a named model, and load it back from where it was written.

    Parameters
    ----------
    folder
        Where the bundle goes. If the same bundle is there already, nothing is done.
    fitted
        The model, and what it was fitted to.
    facts
        Further facts for the card.
    people
        Hashes of everybody used to make the model, by name and rest; None: by name alone.

    Raises
    ------
    BundleError
        If something else is at `folder`, or a name of a region cannot be listed.
    OutputError
        If the folder cannot be written.
    """
    bank, core = fitted.bank, fitted.core
    part = NamedPart(
        regions=len(fitted.regions),
        people=len(fitted.people),
        frames=bank.frames,
        tr_seconds=bank.substrate.tr_seconds,
        simulations=len(bank.simulated.unit),
        calibrations=tuple(astuple(own) for own in bank.calibrations),
        **facts.fields_of(core),
    )
    card = facts.card(NAMED_DYNAMICS.name, part, {}, part.tr_seconds)
    files = facts.files(fitted.people, fitted.regions, people)
    weights = {
        _WEIGHTS: bank.substrate.weights,
        _FREQUENCIES: bank.substrate.frequencies,
        GROUP: core.group,
        _UNIT: bank.simulated.unit,
        _STATISTICS: bank.simulated.statistics,
    }
    single = {name: values.astype(np.float32) for name, values in weights.items()}
    return write_fitted(folder, card, single, files, load_named_bundle)
