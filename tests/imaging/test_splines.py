from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from bids_dtg.imaging.splines import FRAMES_TOGETHER, CubicSampling

RNG = np.random.default_rng(2)


def values(frames: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Evaluate frames (n, i, j, k) at voxel indices (points, 3)."""
    stored = np.stack([frame.ravel(order="F") for frame in frames])
    return CubicSampling(frames.shape[1:], np.eye(4), positions).apply(stored, 1.0, 0.0)


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [
        ("<i2", (7, 9, 5)),
        (">i2", (2, 3, 30)),
        ("<f8", (6, 1, 4)),
        *(
            pytest.param(dtype, shape, marks=pytest.mark.slow)
            for dtype, shape in [
                ("<i2", (2, 3, 30)),
                ("<i2", (6, 1, 4)),
                (">i2", (7, 9, 5)),
                (">i2", (6, 1, 4)),
                ("<f8", (7, 9, 5)),
                ("<f8", (2, 3, 30)),
            ]
        ),
    ],
)
def test_values_are_those_of_scipy(dtype, shape):
    """Of more frames than are held at a time, and at more points than are handled at a time."""
    frames = RNG.integers(-900, 900, (FRAMES_TOGETHER + 3, *shape)).astype(dtype)
    positions = RNG.uniform(-0.5, np.array(shape) - 0.5, (40_000, 3))
    inside = np.clip(positions, 0, np.array(shape) - 1).T
    wanted = [
        map_coordinates(v.astype(float), inside, order=3, mode="mirror") for v in frames
    ]
    np.testing.assert_allclose(values(frames, positions), wanted, atol=2e-3)


def test_points_in_a_corner_need_only_its_coefficients():
    """The others' rows are left out, and the values are those of the whole image."""
    frame = RNG.normal(size=(1, 20, 30, 25)).astype(np.float32)
    corner = RNG.uniform(12, 14, (50, 3))
    everywhere = np.concatenate([corner, [[0, 0, 0], [19, 29, 24]]])
    whole = values(frame, everywhere)
    np.testing.assert_allclose(values(frame, corner), whole[:, :50], atol=1e-5)


def test_weights_of_many_points_are_not_kept(monkeypatch):
    frame = RNG.normal(size=(1, 7, 9, 5)).astype(np.float32)
    positions = RNG.uniform(0, 4, (60, 3))
    first_values = values(frame, positions)
    monkeypatch.setattr("bids_dtg.imaging.splines._MOST_KEPT", 50)
    np.testing.assert_array_equal(values(frame, positions), first_values)
