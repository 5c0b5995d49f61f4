"""Inference of a network model from one run, and sessions simulated for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bids_dtg.dynamics.bank import Bank
from bids_dtg.dynamics.bundle.bundle import NetworkBundle
from bids_dtg.dynamics.bundle.fits import SeriesBundle
from bids_dtg.dynamics.bundle.linear import LinearBundle
from bids_dtg.dynamics.bundle.named import NamedBundle
from bids_dtg.dynamics.components import Components, edges_of
from bids_dtg.dynamics.intervals import Uncertainty, share_different
from bids_dtg.dynamics.judging.describers import STEPS, score_course
from bids_dtg.dynamics.lag_covariances import LAGS, LagCovariances
from bids_dtg.dynamics.linear import LinearModel
from bids_dtg.dynamics.networks import SIDED, STRUCTURAL, Networks, normalised, standardised
from bids_dtg.dynamics.regional import regional_figures
from bids_dtg.dynamics.session_statistics import STATISTICS
from bids_dtg.errors import RunError
from bids_dtg.inputs.regions.sides import homotopic_pairs
from bids_dtg.notices import named
from bids_dtg.participants.parcels.measure import MeasuredSeries

if TYPE_CHECKING:
    from bids_dtg.dynamics.model import GenerativeModel


@dataclass(frozen=True, eq=False)
class Modelled:
    """Result of a model for a run."""

    series: NDArray[np.float32]  # (regions, frames) as the model read them, gaps filled
    share_filled: float  # share of these frames that were filled
    simulated: NDArray[np.float32]  # (simulations, regions, frames)
    parameters: Parameters | None = None  # None: the model has none
    core: CoreResults | None = None  # of a linear core; None: another model
    person: PersonParameters | None = None  # of a named model; None: another model


@dataclass(frozen=True, eq=False)
class Parameters:
    """Parameters of regions: what is believed of them."""

    mean: NDArray[np.float64]  # (regions, parameters) of the posterior
    sd: NDArray[np.float64]  # likewise


@dataclass(frozen=True, eq=False)
class PersonParameters:
    """Parameters of a person by a named model."""

    draws: NDArray[np.float64]  # (draws, parameters) of the posterior
    unusual: tuple[str, ...]  # statistics beyond those of nearly all simulations, in words
    beyond: bool  # whether the session is unlike all simulated ones
    own: bool  # whether the person's own connectome was simulated, not the training people's mean


@dataclass(frozen=True, eq=False)
class CoreResults:
    """What a linear core says of a run, beside simulations."""

    transitions: NDArray[np.float64]  # (lags, regions, regions), of earlier frames on a row
    sd: NDArray[np.float64]  # likewise
    # Of effects between regions a frame later, those that differ from the training people's.
    different: float
    regional: NDArray[np.float64]  # (figures, regions), see `regional.FIGURES`
    scores: NDArray[np.float64]  # (components,), features; empty: the model has none
    minutes: float  # of rest, kept
    # (2, steps), of the run's second half, see `foreseen`.
    forecasts: NDArray[np.float64]


class Inference(Protocol):
    """What a model does with a run."""

    made: str  # what it finds of a run, in words

    def of(self, measured: MeasuredSeries, weights: NDArray[np.float64] | None) -> Modelled:
        """Describe a run, and simulate sessions.

        Raises
        ------
        RunError
            The run cannot be described.
        """


class LinearInference:
    """Describes runs by a linear core."""

    made = "their process"

    def __init__(self, bundle: LinearBundle, simulations: int, seed: int, threads: int) -> None:
        self._bundle, self._simulations, self._seed = bundle, simulations, seed

    @cached_property
    def _model(self) -> LinearModel:
        return self._bundle.model()

    @cached_property
    def _components(self) -> Components | None:
        return self._bundle.components()

    def of(self, measured: MeasuredSeries, weights: NDArray[np.float64] | None) -> Modelled:
        """Describe a run by its process, and simulate sessions of it.

        Frames that were left out are not filled: they count as none.

        Raises
        ------
        RunError
            A parcel has no series.
        """
        require_present(measured, self._bundle)
        series, share = measured.series.filled()
        there = np.flatnonzero(measured.series.keep)
        kept = measured.series.keep[there[0] : there[-1] + 1]
        own = LagCovariances.of(series, kept)
        process = self._model.infer(own)
        rng = np.random.default_rng([self._seed, *measured.run.participant.encode()])
        simulated = process.simulate(self._simulations, series.shape[1], rng)
        model, spreads = self._model, self._bundle.part.spreads
        components = self._components
        core = CoreResults(
            transitions=process.transitions,
            sd=Uncertainty(process, own.frames, model.strengths, spreads).transition_sd,
            different=share_different(process, model, spreads, own.frames),
            regional=regional_figures(process),
            scores=np.empty(0) if components is None else components.scores(edges_of(own)),
            minutes=measured.design.seconds_kept / 60,
            forecasts=foreseen(model, series, kept),
        )
        return Modelled(series, share, simulated, core=core)


def foreseen(
    model: LinearModel, series: NDArray[np.floating[Any]], kept: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return how well the second half of a session is predicted from earlier frames of its own.

    Parameters
    ----------
    model
        The linear core.
    series
        (regions, frames), in any unit.
    kept
        (frames,), which frames count.

    Returns
    -------
    numpy.ndarray
        (2, steps), share of the variance `STEPS` frames ahead by the process of the first half, and
        by that of the training people; NaN where a half has too few frames, or a constant series.
    """
    half = series.shape[1] // 2
    later, there = series[:, half:].astype(np.float64), kept[half:]
    found = np.full((2, len(STEPS)), np.nan)
    if half <= STEPS[-1] + LAGS:
        return found
    try:
        own = model.infer(LagCovariances.of(series[:, :half], kept[:half]))
    except ValueError:
        return found
    if not there.any() or (np.ptp(later[:, there], axis=1) == 0).any():
        return found
    later -= later[:, there].mean(axis=1, keepdims=True)
    later /= later[:, there].std(axis=1, keepdims=True)
    for row, process in enumerate((own, model.infer_group())):
        found[row] = score_course(process, later, there)[0]
    return found


def require_present(measured: MeasuredSeries, bundle: SeriesBundle[Any]) -> None:
    """Refuse a run without a series of some region.

    Raises
    ------
    RunError
        Naming the parcels.
    """
    regions, present = bundle.regions, measured.series.present
    if not present.all():
        lost = [name for name, there in zip(regions, present, strict=True) if not there]
        raise RunError(
            f"{measured.run.title} has too little signal in {len(lost)} of {len(regions)} "
            f"parcels ({named(lost)})",
            expected=f"series of all of them, as {bundle.card.name} reads them together",
            remedy="lower --min-coverage, or leave out --model",
        )


class NamedInference:
    """Infers a person's parameters by a named model."""

    made = "parameters of the person"

    def __init__(self, bundle: NamedBundle, simulations: int, seed: int, threads: int) -> None:
        self._bundle, self._simulations, self._seed = bundle, simulations, seed

    @cached_property
    def _bank(self) -> Bank:
        return self._bundle.bank()

    def of(self, measured: MeasuredSeries, weights: NDArray[np.float64] | None) -> Modelled:
        """Infer a person's parameters from a run, and simulate sessions with them.

        With the person's own connectome, sessions are simulated with it before.

        Raises
        ------
        RunError
            A parcel has no series, or the run is shorter or longer than the simulated sessions.
        """
        require_present(measured, self._bundle)
        series, share = measured.series.filled()
        there = np.flatnonzero(measured.series.keep)
        kept = measured.series.keep[there[0] : there[-1] + 1]
        self._bundle.require_length(int(kept.sum()))
        bank = self._bank if weights is None else self._bank.of_connectome(weights, self._seed)
        rng = np.random.default_rng([self._seed, *measured.run.participant.encode()])
        posterior = bank.infer(series, rng, kept)
        words = zip(STATISTICS.values(), posterior.unusual, strict=True)
        person = PersonParameters(
            bank.model.values(posterior.unit),
            tuple(text for text, unusual in words if unusual),
            posterior.beyond,
            own=weights is not None,
        )
        simulated = bank.simulate(posterior, self._simulations, series.shape[1], rng)
        return Modelled(series, share, simulated, person=person)


class NetworkInference:
    """Infers parameters by an amortised model."""

    made = "their parameters"

    def __init__(self, bundle: NetworkBundle, simulations: int, seed: int, threads: int) -> None:
        self._bundle, self._simulations, self._seed = bundle, simulations, seed
        self._threads = threads

    @cached_property
    def _model(self) -> GenerativeModel:
        import torch

        torch.set_num_threads(self._threads)
        return self._bundle.model()

    def of(self, measured: MeasuredSeries, weights: NDArray[np.float64] | None) -> Modelled:
        """Infer the parameters of a run, and simulate sessions with them.

        Raises
        ------
        RunError
            A parcel has no series, or the model's parameters or simulations are not finite.
        """
        from bids_dtg.dynamics.inference import infer
        from bids_dtg.dynamics.simulation import simulate

        assert weights is not None  # they were asked for with the model
        networks, share = self._networks(measured, weights)
        inferred = infer(self._model, networks)
        mean, sd = inferred.region.mean[0], inferred.region.sd[0]
        (simulated,) = simulate(
            self._model, networks, inferred, simulations=self._simulations, seed=self._seed
        )
        for what, values in (("parameters", mean), ("simulated series", simulated)):
            if not np.isfinite(values).all():
                raise RunError(
                    f"the {what} by {self._bundle.card.name} are not finite",
                    remedy="use another model, or leave out --model",
                )
        return Modelled(networks.series[0], share, simulated, Parameters(mean, sd))

    def _networks(
        self, measured: MeasuredSeries, weights: NDArray[np.float64]
    ) -> tuple[Networks, float]:
        """Return the run as the model's input, and the share of its frames that were filled."""
        require_present(measured, self._bundle)
        regions = self._bundle.regions
        series, share = measured.series.filled()
        rule = self._bundle.part.structural
        pairs = homotopic_pairs(regions) if rule in SIDED else ()
        networks = Networks(
            people=(measured.run.participant,),
            regions=regions,
            series=standardised(series[None]),
            weights=STRUCTURAL[rule](normalised(weights[None]), pairs),
            tr_seconds=measured.series.tr_seconds,
        )
        return networks, share
