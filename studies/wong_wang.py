"""Reduced Wong-Wang mean-field models, on which Sip et al. (2023) tested the network.

They have a synaptic gating variable S, which noise switches between a low and a high state (Deco et
al., 2013, J. Neurosci. 33: 11239; Kong et al., 2021, Nat. Commun. 12: 6373). Constants are those of
Sip et al. (2023, doi 10.1126/sciadv.abq7547). The noise of a step is that of
`bids_dtg.dynamics.simulators`. `dynamics_recovery` simulates them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from scipy.special import exprel

from bids_dtg.array_types import Float64
from bids_dtg.dynamics.simulators import SimulatedTime

STEP_SECONDS = 0.01  # as published
INITIAL_GATING = (0.2, 0.8)  # range of S at the start

_DECAY_SECONDS = 0.1  # tau_s
_KINETICS = 0.641  # gamma, of rates in Hz and time in s
_SYNAPTIC_COUPLING = 0.2609  # J, nA
_INPUT = 0.295  # I_0, nA
_RECURRENT = 1.0  # w_rec
# The population's firing rate in Hz as a function of its input current in nA.
_GAIN = 270.0  # a, 1/nC
_THRESHOLD = 108.0  # b, Hz
_CURVATURE = 0.154  # d, s


@dataclass(frozen=True)
class WongWangTime(SimulatedTime):
    """Steps and frames of a simulation, over whose steps S is averaged; by default as published."""

    step_seconds: float = STEP_SECONDS
    frame_seconds: float = 0.72
    seconds: float = 984.0
    dropped_seconds: float = 120.0

    @property
    def kept(self) -> int:
        """Number of kept frames; as in the published code, frame times run from 0 to `seconds`."""
        times = np.linspace(0.0, self.seconds, self.frames)
        return int((times > self.dropped_seconds).sum())


@dataclass(frozen=True, eq=False)
class WongWang:
    """Networks of mean-field models, one for each person.

    S' = -S / tau_s + (1 - S) gamma H(x), H(x) = (ax - b) / (1 - exp(-d (ax - b))) and
    x = w_rec J S + I_0 + G J Σ_j W_ij S_j. J multiplies the coupling in the published code, but not
    in the published text.
    """

    weights: Float64  # (people, regions, regions), W_ij from region j to i
    coupling: Float64  # G, (people, runs) or (people, 1)
    sigma: (
        Float64  # (people, regions), sd of the noise in a step of the published length
    )
    time: WongWangTime = WongWangTime()

    def states(self, initial: Float64, noise: Iterable[Float64]) -> Iterator[Float64]:
        """Yield the state at the start and after each step, as long as there is noise.

        Parameters
        ----------
        initial
            S, (people, runs, regions), or (people, 1, regions) if all runs start alike.
        noise
            Standard normal noise for each step, in one of these shapes. The step from k to k + 1
            adds the noise numbered k. S is not confined to the range from 0 to 1.
        """
        step_seconds = self.time.step_seconds
        state, _ = np.broadcast_arrays(initial, self.coupling[:, :, None])
        factor = np.sqrt(step_seconds / STEP_SECONDS)
        scale = self.sigma[:, None] * factor
        yield state
        for unit in noise:
            state = state + step_seconds * self.velocity(state) + scale * unit
            yield state

    def velocity(self, state: Float64) -> Float64:
        """Return S' per second, without noise, at a state (people, runs, regions)."""
        arriving = self.coupling[:, :, None] * (state @ self.weights.transpose(0, 2, 1))
        arriving = _SYNAPTIC_COUPLING * arriving
        current = _RECURRENT * _SYNAPTIC_COUPLING * state + _INPUT + arriving
        excess = _GAIN * current - _THRESHOLD
        # Hz; H, also where ax = b.
        rate = 1.0 / (_CURVATURE * exprel(-_CURVATURE * excess))
        velocity: Float64 = -state / _DECAY_SECONDS + _KINETICS * (1.0 - state) * rate
        return velocity


def simulate_wong_wang(
    network: WongWang, initial: Float64, noise: Iterable[Float64]
) -> Float64:
    """Simulate mean-field models and return S in the kept frames, (people, runs, regions, frames).

    `initial` and `noise` are those of `WongWang.states`.
    """
    time = network.time
    states = network.states(initial, noise)
    blocks = (list(islice(states, time.steps_a_frame)) for _ in range(time.frames))
    means = np.stack([np.mean(block, axis=0) for block in blocks], axis=-1)
    return means[..., -time.kept :]
