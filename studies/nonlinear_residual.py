"""Whether anything nonlinear is left after a linear core: functions of its forecasts' errors.

    OMP_NUM_THREADS=1 python studies/nonlinear_residual.py ../shared/sip/data

Data: series of two sessions, as docs/evidence/linear_dynamics.md has them. Forty of the people
train functions that all people and regions share, in their second session: they predict the error
of the core's forecast of a frame from what is known before it; cores are of first sessions. The
second session of the other ten judges them, in five folds: what they gain in negative log density
(nats a region a frame) over the core with one factor for its noise. Functions:

- linear: the core's prediction, the two last frames, the mean of regions, and the two together
- ReLU: the same, and 150 rectified mixtures of these; its gain is that beyond the linear ones

Beside the people's own series: surrogates of random phases, one set for all regions of a person
(what is left of them is linear), sessions that the core simulates, and such sessions bent by a
saturation, tanh at 2 standard deviations (what is bent is found).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bids_dtg.dynamics.lag_covariances import GroupSums, LagCovariances
from bids_dtg.dynamics.linear import LinearModel, LinearProcess, Strengths
from bids_dtg.dynamics.networks import standardised
from bids_dtg.stats.splits import fold_people

Array = NDArray[np.float64]
Session = Callable[[Array, LinearProcess, np.random.Generator], Array]

STRENGTHS = Strengths(4800.0, 650.0)  # as all folds of the fifty people choose them
FOLDS, UNITS = 5, 150
_EVERY = 6  # frames from one that functions are fitted to, to the next
_RIDGE = 1e-3  # of a function's coefficients, share of the mean square
_SATURATION = 2.0  # standard deviations


def real(series: Array, process: LinearProcess, rng: np.random.Generator) -> Array:
    return series


def phase_randomised(series: Array, process: LinearProcess, rng: np.random.Generator) -> Array:
    spectrum = np.fft.rfft(series, axis=1)
    turned = np.exp(2j * np.pi * rng.random(spectrum.shape[1]))
    turned[0] = 1.0
    if series.shape[1] % 2 == 0:
        turned[-1] = 1.0
    return standard(np.fft.irfft(spectrum * turned, series.shape[1], axis=1))


def simulated(series: Array, process: LinearProcess, rng: np.random.Generator) -> Array:
    return standard(process.simulate(1, series.shape[1], rng)[0])


def saturated(series: Array, process: LinearProcess, rng: np.random.Generator) -> Array:
    """Return a session whose state is bent before it decides on the next frame."""
    order, regions, _ = process.transitions.shape
    noise = np.linalg.cholesky(process.noise) @ rng.standard_normal((regions, series.shape[1]))
    state = np.array(process.simulate(1, series.shape[1], rng)[0], np.float64)
    for frame in range(order, series.shape[1]):
        state[:, frame] = noise[:, frame]
        for lag, transition in enumerate(process.transitions, 1):
            state[:, frame] += transition @ bent(state[:, frame - lag])
    return standard(state)


def bent(values: Array) -> Array:
    found: Array = _SATURATION * np.tanh(values / _SATURATION)
    return found


SESSIONS: dict[str, Session] = {
    "real": real,
    "random phases": phase_randomised,
    "linear, simulated": simulated,
    "tanh at 2 sd": saturated,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    folder = parser.parse_args().data
    started = time.process_time()
    held = {name: np.load(folder / f"bold_{name}_LR_50.npz") for name in ("REST1", "REST2")}
    labels = tuple(map(str, held["REST1"]["subject"]))
    first, again = (standard(own["bold"]) for own in held.values())
    covariances = [LagCovariances.of(own) for own in first]
    print("| sessions | linear | ReLU beyond it |\n|---|---|---|")
    for words, session in SESSIONS.items():
        gains = []
        for group in fold_people(labels, FOLDS, seed=0):
            test = [row for row, label in enumerate(labels) if label in group]
            training = [row for row in range(len(labels)) if row not in test]
            model = LinearModel.of(GroupSums.over(covariances[row] for row in training), STRENGTHS)
            gains += gains_of(model, covariances, (first, again), (training, test), session)
        linear, relu = np.mean(gains, axis=0)
        sd = np.std(gains, axis=0)
        cells = f"{linear:.5f} (sd {sd[0]:.5f}) | {relu:.5f} (sd {sd[1]:.5f})"
        print(f"| {words} | {cells} |", flush=True)
    print(f"\n{len(labels)} people, {FOLDS} folds; {time.process_time() - started:.0f} CPU s")


def standard(series: Array) -> Array:
    return np.asarray(standardised(series), np.float64)


def gains_of(
    model: LinearModel,
    covariances: list[LagCovariances],
    sessions: tuple[Array, Array],
    rows: tuple[list[int], list[int]],
    session: Session,
) -> list[tuple[float, float]]:
    """Return what linear functions and ReLUs gain for each of the judged people."""
    first, again = sessions
    training, test = rows
    rng = np.random.default_rng(0)

    def of_person(row: int) -> tuple[LinearProcess, Array]:
        """Return the process of a person's first session, and the second one."""
        process = model.infer(covariances[row])
        if session is real:
            return process, again[row]
        made = [
            session(own[row], process, np.random.default_rng([row, number]))
            for number, own in enumerate((first, again))
        ]
        return model.infer(LagCovariances.of(made[0])), made[1]

    mixing = rng.standard_normal((UNITS, 6)) / np.sqrt(6)
    sums: dict[bool, tuple[Array, Array]] = {}
    scale = []
    for row in training:
        process, made = of_person(row)
        known, missed = known_before(process, made)
        scale.append(factor_of(process, missed))
        for rectified in (False, True):
            # White noise in all regions together: what is least in squares is then most likely.
            white = np.linalg.inv(np.linalg.cholesky(process.noise))
            some = features(known[:, :, ::_EVERY], mixing if rectified else None)
            inputs = np.matmul(white, some).reshape(len(some), -1)
            errors = (white @ missed[:, ::_EVERY]).ravel()
            gram, cross = sums.get(rectified, (0.0, 0.0))
            sums[rectified] = (gram + inputs @ inputs.T, cross + inputs @ errors)
    fits = {}
    for rectified, (gram, cross) in sums.items():
        ridge = _RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram)) * rectified
        fits[rectified] = np.linalg.solve(gram + ridge + 1e-9 * np.eye(len(gram)), cross)
    found = []
    for row in test:
        process, made = of_person(row)
        known, missed = known_before(process, made)
        factor = float(np.mean(scale))
        before = density(process, missed, factor)
        after = []
        for rectified, weights in fits.items():
            inputs = features(known, mixing if rectified else None)
            rest = missed - np.tensordot(weights, inputs, 1)
            after.append(density(process, rest, factor))
        found.append((before - after[0], after[0] - after[1]))
    return found


def known_before(process: LinearProcess, series: Array) -> tuple[Array, Array]:
    """Return what is known before each frame (6, regions, frames), and the forecast's error."""
    order = len(process.transitions)
    mean = process.predict(series, (1,))[0][0][:, order:]
    last, before = series[:, order - 1 : -1], series[:, order - 2 : -2]
    together = np.broadcast_to(last.mean(axis=0), last.shape)
    earlier = np.broadcast_to(before.mean(axis=0), last.shape)
    known = np.stack([mean, last, before, together, earlier, np.ones_like(last)])
    return known, series[:, order:] - mean


def features(known: Array, mixing: Array | None) -> Array:
    """Return (features, regions, frames): inputs, and rectified mixtures of them."""
    if mixing is None:
        return known
    return np.concatenate([known, np.maximum(np.tensordot(mixing, known, 1), 0.0)])


def factor_of(process: LinearProcess, missed: Array) -> float:
    """Return how much larger errors are than the noise that the process expects."""
    observed = missed @ missed.T / missed.shape[1]
    return float(np.trace(np.linalg.solve(process.noise, observed)) / len(missed))


def density(process: LinearProcess, missed: Array, factor: float) -> float:
    """Return the negative log density of errors, nats a region a frame."""
    size = np.linalg.slogdet(process.noise)[1] / len(missed) + np.log(factor)
    return float(0.5 * (size + factor_of(process, missed) / factor + np.log(2 * np.pi)))


if __name__ == "__main__":
    main()
