"""Inference of a linear core from one run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bids_dtg.dynamics.bundle.linear import LinearBundle
from bids_dtg.dynamics.components import Components, edges_of
from bids_dtg.dynamics.linear import LagCovariances, LinearModel
from bids_dtg.errors import RunError
from bids_dtg.notices import named
from bids_dtg.participants.parcels.measure import MeasuredSeries


@dataclass(frozen=True, eq=False)
class Modelled:
    """Result of a linear core for a run."""

    series: NDArray[np.float32]  # (regions, frames) of the run, gaps filled
    share_filled: float  # share of these frames that were filled
    transitions: NDArray[np.float64]  # (lags, regions, regions), of earlier frames on a row
    scores: NDArray[np.float64]  # (components,), features; empty: the model has none
    minutes: float  # of rest, kept


class LinearInference:
    """Describes runs by a linear core."""

    def __init__(self, bundle: LinearBundle) -> None:
        self._bundle = bundle

    @cached_property
    def _model(self) -> LinearModel:
        return self._bundle.model()

    @cached_property
    def _components(self) -> Components | None:
        return self._bundle.components()

    def of(self, measured: MeasuredSeries) -> Modelled:
        """Describe a run by its process.

        Frames that were left out are not filled: they count as none.

        Raises
        ------
        RunError
            A parcel has no series.
        """
        self._require_present(measured)
        series, share = measured.series.filled()
        there = np.flatnonzero(measured.series.keep)
        kept = measured.series.keep[there[0] : there[-1] + 1]
        own, components = LagCovariances.of(series, kept), self._components
        return Modelled(
            series,
            share,
            transitions=self._model.infer(own).transitions,
            scores=np.empty(0) if components is None else components.scores(edges_of(own)),
            minutes=measured.design.seconds_kept / 60,
        )

    def _require_present(self, measured: MeasuredSeries) -> None:
        """Refuse a run without a series of some region, and name the parcels."""
        regions, present = self._bundle.regions, measured.series.present
        if not present.all():
            lost = [name for name, there in zip(regions, present, strict=True) if not there]
            raise RunError(
                f"{measured.run.title} has too little signal in {len(lost)} of {len(regions)} "
                f"parcels ({named(lost)})",
                expected=f"series of all of them, as {self._bundle.card.name} reads them together",
                remedy="lower --min-coverage, or leave out --model",
            )
