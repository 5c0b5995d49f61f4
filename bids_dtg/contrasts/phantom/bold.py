"""BOLD runs as after a scanner and fMRIPrep: networks, noise and nuisance."""

from __future__ import annotations

import numpy as np

from bids_dtg.contrasts.phantom.model import Person
from bids_dtg.phantom.bold_run import BoldRun
from bids_dtg.phantom.motion import draw_motion
from bids_dtg.phantom.nuisance import STEADY_FRAMES, correlated, draw_nuisance, persistence_of
from bids_dtg.phantom.streams import Purpose

SECONDS_PER_STATE = 432.0  # how long a network keeps its amplitude: one segment


def draw_run(person: Person, frames: int, repetition_time_s: float, run: int = 0) -> BoldRun:
    """Draw a run of a person.

    Parameters
    ----------
    person
        Person whose resting networks are simulated.
    frames, repetition_time_s
        Length of the run, and seconds per frame.
    run
        Number of the run; each has its own random stream.
    """
    phantom, p = person.phantom, person.phantom.parameters
    persistence = persistence_of(repetition_time_s)
    rng = person.stream(Purpose.RUN_SERIES, segment=run)
    states = max(1, round(frames * repetition_time_s / SECONDS_PER_STATE))
    amplitude = np.exp(p.log_state * rng.standard_normal((states, p.networks)))
    independent = correlated(rng.standard_normal((frames, p.networks)), persistence)
    series = independent @ person.series_mixing.T * amplitude[np.arange(frames) * states // frames]
    shared = p.global_signal * correlated(rng.standard_normal(frames), persistence)
    noise = person.rest_noise(Purpose.RUN_NOISE, frames, segment=run)
    motion = draw_motion(
        person.stream(Purpose.MOTION, segment=run), frames, level=person.measurement.motion
    )
    nuisance_maps, nuisance = draw_nuisance(
        phantom.anatomy,
        phantom.stable_maps,
        motion,
        persistence,
        person.stream(Purpose.NUISANCE, segment=run),
    )
    return BoldRun(
        repetition_time_s=repetition_time_s,
        motion=motion,
        non_steady=STEADY_FRAMES,
        anatomy=phantom.anatomy,
        field=phantom.voxel_noise,
        network_maps=person.network_maps,
        series=series.astype(np.float32),
        shared=shared.astype(np.float32),
        noise=correlated(noise, persistence),
        nuisance_maps=nuisance_maps,
        nuisance=nuisance,
    )
