"""How well a model predicts a person's next frames from earlier frames alone.

A session is cut at some frames, the origins. A model reads the frames before an origin, and gives
a Gaussian for each region some frames later. Its mean log density of the measured value is a proper
score (Gneiting & Raftery 2007, J. Am. Stat. Assoc. 102: 359): no model scores better on average
than the true process. Simple models are scored in the same way. All share one caveat: each series
was z-scored over the whole session, including frames after the origin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.dynamics.inference import Ending, draw_ending
from bids_dtg.dynamics.model import GenerativeModel
from bids_dtg.dynamics.networks import Networks
from bids_dtg.dynamics.simulation import Drawn, external_path, run

Values = NDArray[np.floating[Any]]
Frames = NDArray[np.intp]

STEPS = (1, 2, 5, 10)  # frames ahead that are scored
ORIGINS = 20  # of a session
DRAWS = 64  # simulations from each origin
_LEAST_PAST = 200  # frames before the first origin, if the session has twice as many
_BLOCKS = 4  # of earlier frames, for the ridge penalty of VAR(1)
_PENALTIES = 10.0 ** np.arange(-3.0, 2.0)  # of VAR(1), as a share of a region's sum of squares
_LEAST_VARIANCE = 1e-6  # of a prediction; series have variance 1


@dataclass(frozen=True, eq=False)
class Predicted:
    """Gaussian predictions of a person's regions, from each origin."""

    mean: Values  # (origins, steps, regions), in the series' unit
    variance: Values  # as mean


@dataclass(frozen=True, eq=False)
class Forecast:
    """How well frames were predicted some steps ahead, a value for each person and step.

    `nll` is the negative log density of the measured value by the Gaussian prediction, in nats a
    region a frame, a mean over origins and regions: the smaller, the better. White noise of
    variance 1 has 1.42. `r2` is 1 - sum of squared errors of the predictions' means / sum of
    squares of the measured values, sums over origins and regions: 0 is as good as the session's
    mean.
    """

    name: str
    words: str  # description for pages
    steps: tuple[int, ...]  # frames ahead
    nll: Values  # (people, steps), nats a region a frame
    r2: Values  # (people, steps)


def origins_of(frames: int, number: int = ORIGINS, furthest: int = STEPS[-1]) -> Frames:
    """Return how many frames of a session are known at each origin, evenly spaced.

    Parameters
    ----------
    frames
        Length of the session, in frames.
    number
        Number of origins; fewer if the session is too short for as many.
    furthest
        Largest number of frames ahead.

    Returns
    -------
    numpy.ndarray
        (origins,). The first is after a quarter of the session, 200 frames or more, but not
        after half of it; the last has `furthest` frames behind it.

    Raises
    ------
    ValueError
        The session is shorter than twice `furthest`.

    Examples
    --------
    >>> origins_of(1200, number=4), origins_of(60, number=3)
    (array([ 300,  596,  893, 1190]), array([30, 40, 50]))
    """
    if frames < 2 * furthest:
        raise ValueError(f"{furthest} frames ahead need {2 * furthest} frames, found {frames}")
    first = min(max(_LEAST_PAST, frames // 4), frames // 2)
    return np.unique(np.linspace(first, frames - furthest, number).astype(np.intp))


def predict(
    model: GenerativeModel,
    networks: Networks,
    known: tuple[str, ...] = (),
    *,
    origins: Frames,
    steps: Sequence[int] = STEPS,
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[Predicted, ...]:
    """Predict people's frames by a network model, which reads nothing after an origin.

    Parameters
    ----------
    model
        Fitted model, with tables or amortised.
    networks
        Networks of people, in any session.
    known
        Labels of the model's training participants, as `inference.infer` takes it.
    origins
        (origins,), how many frames of a session are known.
    steps
        Numbers of frames ahead.
    draws
        Number of simulations from each origin.
    seed
        Seed of the draws; those of a person do not depend on the others.

    Returns
    -------
    tuple
        Predictions for each person.

    Notes
    -----
    At each origin, the encoders read the series up to it. From draws of the last frame
    (`inference.draw_ending`), all regions are simulated together `draws` times: each region's
    network input comes from the others' states, external inputs from their prior. The Gaussian has
    the mean and the variance of the draws, with the known variances of the last step's noise and
    of the observation noise in place of drawn noise.

    In the published form, the external input is drawn from its prior at the last known frame,
    too: its table was learned from all frames of a session, including the predicted ones.
    """
    furthest, found = max(steps), []
    for label in networks.people:
        person, rng = networks.of([label]), np.random.default_rng([seed, *label.encode()])
        cuts = (replace(person, series=person.series[..., :origin]) for origin in origins)
        endings = [draw_ending(model, cut, known, draws=draws, rng=rng) for cut in cuts]
        drawn = _draw(model, endings, furthest, rng)
        expected = run(model, drawn, person.weights, drop=1)[0].astype(np.float64)
        # The drawn noise of the last step is removed: its variance is known.
        weight = model.observation.weight[0].detach().double().cpu().numpy()
        sd = weight * np.exp(0.5 * _array(model.state_log_variance))
        expected -= np.einsum("fsdr,s->drf", drawn.system[:-1, :, 0], sd)
        noise = (sd**2).sum() + np.exp(_array(model.observation_log_variance)).item()
        frames = np.array(steps) - 1
        by_origin = expected[..., frames].reshape(len(endings), draws, -1, len(frames))
        mean, variance = by_origin.mean(axis=1), by_origin.var(axis=1, ddof=1) + noise
        found.append(Predicted(mean.swapaxes(1, 2), variance.swapaxes(1, 2)))
    return tuple(found)


def forecast(
    model: GenerativeModel,
    networks: Networks,
    known: tuple[str, ...] = (),
    *,
    origins: int = ORIGINS,
    steps: Sequence[int] = STEPS,
    draws: int = DRAWS,
    seed: int = 0,
) -> Forecast:
    """Score a network model's predictions of people's frames (see `predict`).

    Parameters
    ----------
    model, networks, known, steps, draws, seed
        As for `predict`.
    origins
        Number of origins, as in `origins_of`.

    Examples
    --------
    >>> from bids_dtg.dynamics.model import NetworkModel
    >>> from bids_dtg.dynamics.recipe import Recipe
    >>> rng = np.random.default_rng(0)
    >>> networks = Networks(
    ...     people=("01", "02"),
    ...     regions=("A", "B", "C"),
    ...     series=rng.standard_normal((2, 3, 90)).astype("f4"),
    ...     weights=np.ones((2, 3, 3), "f4") - np.eye(3, dtype="f4"),
    ...     tr_seconds=2.0,
    ... )
    >>> model = NetworkModel(Recipe(), people=2, regions=3, frames=90)
    >>> found = forecast(model, networks, ("01", "02"), origins=3, draws=8)
    >>> found.steps, found.nll.shape, found.r2.shape
    ((1, 2, 5, 10), (2, 4), (2, 4))
    """
    at = origins_of(networks.frames, origins, max(steps))
    found = predict(model, networks, known, origins=at, steps=steps, draws=draws, seed=seed)
    return _scored("model", "the network model", networks, found, at, steps)


def forecast_baselines(
    networks: Networks, *, origins: int = ORIGINS, steps: Sequence[int] = STEPS
) -> tuple[Forecast, ...]:
    """Score predictions of simple models, each fitted on a person's frames before each origin.

    Parameters
    ----------
    networks, origins, steps
        As for `forecast`: with the same values, the same frames are predicted.

    Returns
    -------
    tuple
        A row for each of `BASELINES`.

    Notes
    -----
    The variance of a prediction k frames ahead is, for each region, the mean squared error of the
    same prediction over the frames before the origin; for VAR(1), over frames that it was not
    fitted to. So a baseline need not be a correct model to have a calibrated variance.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> networks = Networks(
    ...     people=("01",),
    ...     regions=("A", "B", "C"),
    ...     series=rng.standard_normal((1, 3, 400)).astype("f4"),
    ...     weights=np.ones((1, 3, 3), "f4") - np.eye(3, dtype="f4"),
    ...     tr_seconds=2.0,
    ... )
    >>> for row in forecast_baselines(networks, origins=10):
    ...     print(row.name, row.nll.shape)
    white_noise (1, 4)
    persistence (1, 4)
    ar_1 (1, 4)
    var_1 (1, 4)
    """
    at = origins_of(networks.frames, origins, max(steps))
    rows = []
    for name, (words, predict_steps) in BASELINES.items():
        found = [_of_baseline(predict_steps, series, at, steps) for series in networks.series]
        rows.append(_scored(name, words, networks, found, at, steps))
    return tuple(rows)


def score(
    series: Values, predicted: Predicted, origins: Frames, steps: Sequence[int]
) -> tuple[Values, Values]:
    """Return the `nll` and the `r2` of a person, as `Forecast` has them, (steps,) each.

    Parameters
    ----------
    series
        (regions, frames), with mean 0.
    predicted
        Predictions from the origins.
    origins, steps
        Numbers of known frames, and of frames ahead.

    Examples
    --------
    >>> known = Predicted(np.zeros((1, 2, 1)), np.ones((1, 2, 1)))
    >>> score(np.array([[3.0, 0.0, 1.0]]), known, np.array([1]), (1, 2))
    (array([0.91893853, 1.41893853]), array([nan,  0.]))
    """
    at = origins[:, None] + np.array(steps) - 1
    measured = np.moveaxis(np.asarray(series, np.float64)[:, at], 0, -1)
    squares = (measured - predicted.mean) ** 2
    nll = 0.5 * (np.log(2 * np.pi * predicted.variance) + squares / predicted.variance)
    total = (measured**2).sum(axis=(0, 2))
    share = squares.sum(axis=(0, 2)) / np.where(total > 0, total, np.nan)
    return nll.mean(axis=(0, 2)), 1.0 - share


def _scored(
    name: str,
    words: str,
    networks: Networks,
    predicted: Sequence[Predicted],
    origins: Frames,
    steps: Sequence[int],
) -> Forecast:
    scores = [
        score(series, found, origins, steps)
        for series, found in zip(networks.series, predicted, strict=True)
    ]
    nll, r2 = zip(*scores, strict=True)
    return Forecast(name, words, tuple(steps), np.array(nll), np.array(r2))


def _draw(
    model: GenerativeModel, endings: Sequence[Ending], furthest: int, rng: np.random.Generator
) -> Drawn:
    """Draw parameters, states and noise for simulations of a person from the last known frames."""
    frames, states = furthest + 1, np.concatenate([ending.state for ending in endings])
    simulations, regions = states.shape[:2]
    outside = np.concatenate([ending.external for ending in endings])
    noise = rng.standard_normal((simulations, frames, max(1, outside.shape[1])))
    noise[:, 0, : outside.shape[1]] = outside
    paths = np.stack([external_path(model, of_one) for of_one in noise], axis=1)
    system = (frames, model.recipe.states, 1, simulations, regions)
    return Drawn(
        region=np.concatenate([ending.region for ending in endings])[None],
        person=np.concatenate([ending.person for ending in endings])[None],
        first=states[None],
        external=paths[:, None],
        system=rng.standard_normal(system, np.float32),
        observed=np.zeros((frames, 1, simulations, regions), np.float32),
    )


def _array(tensor: Any) -> Values:
    values: Values = tensor.detach().double().cpu().numpy()
    return values


# A baseline takes earlier frames (regions, frames) and steps, and gives mean and variance of
# each step, (steps, regions).
_Predict = Callable[[Values, Sequence[int]], tuple[Values, Values]]


def _of_baseline(
    predict_steps: _Predict, series: Values, origins: Frames, steps: Sequence[int]
) -> Predicted:
    y = np.asarray(series, np.float64)
    found = [predict_steps(y[:, :origin], steps) for origin in origins]
    mean, variance = (np.array(part) for part in zip(*found, strict=True))
    return Predicted(mean, np.maximum(variance, _LEAST_VARIANCE))


def _white_noise(past: Values, steps: Sequence[int]) -> tuple[Values, Values]:
    shape = len(steps), len(past)
    return np.broadcast_to(past.mean(1), shape), np.broadcast_to(past.var(1), shape)


def _persistence(past: Values, steps: Sequence[int]) -> tuple[Values, Values]:
    missed = [((past[:, k:] - past[:, :-k]) ** 2).mean(axis=1) for k in steps]
    return np.broadcast_to(past[:, -1], (len(steps), len(past))), np.array(missed)


def _ar_1(past: Values, steps: Sequence[int]) -> tuple[Values, Values]:
    centre = past.mean(axis=1, keepdims=True)
    y = past - centre
    memory = (y[:, 1:] * y[:, :-1]).sum(axis=1) / (y**2).sum(axis=1)
    left = [memory**k for k in steps]
    mean = [centre[:, 0] + share * y[:, -1] for share in left]
    pairs = zip(left, steps, strict=True)
    missed = [((y[:, k:] - share[:, None] * y[:, :-k]) ** 2).mean(axis=1) for share, k in pairs]
    return np.array(mean), np.array(missed)


def _var_1(past: Values, steps: Sequence[int]) -> tuple[Values, Values]:
    """Choose the ridge penalty, and estimate variances, by leaving out blocks of earlier frames."""
    centre = past.mean(axis=1, keepdims=True)
    y = past - centre
    blocks = np.array_split(np.arange(y.shape[1] - 1), _BLOCKS)
    sums = [_products(y, block) for block in blocks]
    total = _products(y, np.arange(y.shape[1] - 1))
    fits = [_ridge(*(whole - part for whole, part in zip(total, own, strict=True))) for own in sums]
    errors = sum(_errors(fit, *own) for fit, own in zip(fits, sums, strict=True))
    best = int(np.argmin(errors))
    missed = np.zeros((len(steps), len(y)))
    for fit, block in zip(fits, blocks, strict=True):
        for row, k in zip(missed, steps, strict=True):
            at = block[block + k < y.shape[1]]
            later = np.linalg.matrix_power(fit[best], k) @ y[:, at]
            row += ((y[:, at + k] - later) ** 2).sum(axis=1)
    transition = _ridge(*total)[best]
    mean = [centre[:, 0] + np.linalg.matrix_power(transition, k) @ y[:, -1] for k in steps]
    counts = np.array([y.shape[1] - k for k in steps], float)
    return np.array(mean), missed / counts[:, None]


def _products(y: Values, at: Frames) -> tuple[Values, Values, Values]:
    """Return sums over frames: products within frames, with the next ones, squares of these."""
    now, later = y[:, at], y[:, at + 1]
    return now @ now.T, later @ now.T, np.asarray((later**2).sum())


def _ridge(within: Values, between: Values, _: Values) -> Values:
    """Return the transition by each penalty, (penalties, regions, regions)."""
    variances, axes = np.linalg.eigh(within)
    penalties = _PENALTIES * np.trace(within) / len(within)
    shrunk = 1.0 / (np.maximum(variances, 0.0) + penalties[:, None])
    transitions: Values = ((between @ axes) * shrunk[:, None]) @ axes.T
    return transitions


def _errors(fits: Values, within: Values, between: Values, squares: Values) -> Values:
    """Return the sum of squared errors of each transition in a block, from its products."""
    explained = (fits * between).sum(axis=(1, 2))
    spread = ((fits @ within) * fits).sum(axis=(1, 2))
    missed: Values = squares - 2 * explained + spread
    return missed


BASELINES: dict[str, tuple[str, _Predict]] = {
    "white_noise": ("white noise", _white_noise),
    "persistence": ("the last known frame stays", _persistence),
    "ar_1": ("each region follows from its own last frame: AR(1)", _ar_1),
    "var_1": ("each region follows from all regions' last frame: VAR(1), ridge", _var_1),
}
