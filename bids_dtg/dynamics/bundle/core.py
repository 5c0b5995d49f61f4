"""What bundles of linear cores and of named models share: a linear core of the training people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from bids_dtg.bundles.fields import JsonFields
from bids_dtg.bundles.fitted import FittedFacts, FittedFile, FittedPart, fitted_files
from bids_dtg.bundles.people import ModelPeople, hash_person
from bids_dtg.dynamics.bundle.fits import SeriesBundle
from bids_dtg.dynamics.lag_covariances import LAGS
from bids_dtg.dynamics.linear import LinearModel, Strengths
from bids_dtg.notices import counted

GROUP = "group"  # tensor of the weights: mean covariances
_REGIONS = "regions"  # tensor of `FITTED_FILE`


@dataclass(frozen=True, kw_only=True)
class CorePart(FittedPart):
    """The part of a card that models with a linear core have."""

    regions: int  # number of regions of each person
    frames: int  # of each series
    tr_seconds: float  # time between frames
    order: int  # earlier frames that a frame follows from
    # Frames of a person that the training people's mean counts as much as.
    transition_strength: float
    covariance_strength: float
    unconnected: float = 0.0  # share of the mean without covariances between regions
    session: str = ""  # session of the series; empty: not stated

    @property
    def outputs(self) -> str:
        """What the model describes: numbers of regions and participants."""
        return f"{counted(self.regions, 'region')} by {counted(self.people, 'participant')}"

    @classmethod
    def read_core(cls, fields: JsonFields) -> dict[str, Any]:
        """Read the fields of this class, those of all fitted models among them.

        Raises
        ------
        BundleError
            If a field is missing or wrong, or says something else than the card's `training`.
        """
        found: dict[str, Any] = {
            "regions": fields.size("regions"),
            "frames": fields.size("frames"),
            "tr_seconds": fields.positive("tr_seconds"),
            "order": fields.size("order"),
            "transition_strength": fields.positive("transition_strength"),
            "covariance_strength": fields.positive("covariance_strength"),
            "unconnected": fields.not_negative("unconnected"),
            "session": fields.text("session"),
            **cls.read_shared(fields),
        }
        if found["order"] > LAGS:
            raise fields.wrong("order", found["order"], f"1 to {LAGS}")
        if found["unconnected"] > 1:
            raise fields.wrong("unconnected", found["unconnected"], "a share, 0 to 1")
        facts = {"repetition_time_s": found["tr_seconds"], "participants": found["people"]}
        cls.require_same(fields, facts)
        return found


OfCore = TypeVar("OfCore", bound=CorePart)


@dataclass(frozen=True, eq=False, kw_only=True)
class CoreBundle(SeriesBundle[OfCore]):
    """A verified model with a linear core."""

    @classmethod
    def read_fitted(cls, path: Path, part: OfCore) -> dict[str, Any]:
        """Return names of regions and hashes of people."""
        found = FittedFile.read(path, part.people, {_REGIONS: part.regions}, {})
        return {"regions": found.names[_REGIONS], "fitted_people": found.people}

    def linear_model(self, chosen_by: str = "") -> LinearModel:
        """Read the linear core.

        Parameters
        ----------
        chosen_by
            What its strengths were chosen by; empty: not stated.

        Raises
        ------
        BundleError
            As `check_weights`.
        """
        part = self.part
        strengths = Strengths(part.transition_strength, part.covariance_strength, chosen_by)
        group = self.tensors()[GROUP].astype(np.float64)
        return LinearModel(group, strengths, part.order, part.unconnected)


@dataclass(frozen=True)
class CoreFacts(FittedFacts):
    """Facts for the card of such a model that its fit does not know."""

    session: str = ""  # session of the series; empty: not stated

    def fields_of(self, model: LinearModel) -> dict[str, Any]:
        """Return the fields of a `CorePart` that these facts and a linear core fill."""
        return {
            **self.shared,
            "session": self.session,
            "order": model.order,
            "transition_strength": model.strengths.transition,
            "covariance_strength": model.strengths.covariance,
            "unconnected": model.unconnected,
        }

    def files(
        self, people: Sequence[str], regions: Sequence[str], known: ModelPeople | None
    ) -> Mapping[str, bytes]:
        """Return the bundle's files beside card and weights.

        Parameters
        ----------
        people, regions
            Labels of the people it was fitted to, and names of their regions.
        known
            Hashes of everybody used to make the model, by name and rest; None: by name alone.
        """
        hashes = tuple(hash_person(self.data_set, label) for label in people)
        return fitted_files(FittedFile(hashes, {_REGIONS: regions}, {}), known)
