from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bids_dtg.contrasts.phantom.measurement import Measurement, map_noise, rest_noise, tails, wide
from bids_dtg.contrasts.phantom.parameters import VERSION_2, PhantomParameters


def streams(seed: int) -> tuple[np.random.Generator, np.random.Generator]:
    return np.random.default_rng(seed), np.random.default_rng(1000 + seed)


def kurtosis(values: np.ndarray) -> float:
    return float((values**4).mean() / (values**2).mean() ** 2)


def test_motion_follows_the_first_trait_and_half_of_the_people_have_the_second_scanner():
    rng = np.random.default_rng(0)
    traits = rng.standard_normal((2000, 8))
    drawn = [Measurement.draw(VERSION_2, own, rng) for own in traits]
    motion = np.log([one.motion for one in drawn])
    assert abs(np.corrcoef(motion, traits[:, 0])[0, 1] - VERSION_2.motion_traits) < 0.06
    assert abs(motion.std() - VERSION_2.log_motion) < 0.03
    second = np.mean([one.scanner == VERSION_2.scanner_noise for one in drawn])
    assert abs(second - 0.5) < 0.05


def test_people_of_version_1_are_measured_alike():
    drawn = Measurement.draw(PhantomParameters(), np.ones(8), np.random.default_rng(0))
    assert drawn == Measurement(1.0, 1.0)


@pytest.mark.slow
def test_noise_of_rest_has_heavy_tails_over_frames_and_a_wide_part(phantom):
    field, motion = phantom.voxel_noise, np.zeros(phantom.voxel_noise.lattice, np.float32)
    usual = Measurement(1.0, 1.0)
    none = dataclasses.replace(VERSION_2, log_tail=0.0, wide_noise=0.0, motion_signal=0.0)
    plain, heavy = (
        rest_noise(parameters, field, usual, streams(1), motion, 400)
        for parameters in (none, dataclasses.replace(none, log_tail=0.5))
    )
    assert kurtosis(plain) < 3.1 < 4 < kurtosis(heavy)
    assert abs(heavy.std() / plain.std() - 1) < 0.15
    wider = rest_noise(
        dataclasses.replace(none, wide_noise=1.0), field, usual, streams(1), motion, 400
    )
    neighbours = [np.corrcoef(n[:, :-1].ravel(), n[:, 1:].ravel())[0, 1] for n in (plain, wider)]
    assert abs(neighbours[0]) < 0.02 < 0.2 < neighbours[1]


def test_motion_and_scanner_raise_noise(phantom):
    field = phantom.voxel_noise
    sizes = [
        rest_noise(VERSION_2, field, one, streams(2), phantom.motion_map * 0 + 1, 200).std()
        for one in (Measurement(1.0, 1.0), Measurement(1.0, 1.5), Measurement(5.0, 1.0))
    ]
    assert sizes[0] * 1.3 < sizes[1]
    assert sizes[0] * 1.3 < sizes[2]
    maps = [
        map_noise(VERSION_2, phantom.map_noise, Measurement(motion, 1.0), streams(3), 5).std()
        for motion in (1.0, 4.0)
    ]
    assert abs(maps[1] / maps[0] - 4**VERSION_2.motion_map_noise) < 0.05


def test_scales_keep_the_noise_s_size():
    rng = np.random.default_rng(4)
    assert abs((tails(0.4, 100_000, rng) ** 2).mean() - 1) < 0.03
    lattice = rng.standard_normal((50, 19, 24, 20)).astype(np.float32)
    assert abs(wide(lattice).std() - 1) < 0.05
