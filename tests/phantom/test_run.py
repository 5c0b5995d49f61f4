from __future__ import annotations

import numpy as np

from bids_dtg.phantom.run import Motion, draw_motion


def test_framewise_displacement_adds_up_shifts_and_turns_at_50_mm():
    shifts = np.array([[0.0, 0, 0], [0.1, -0.2, 0], [0.1, -0.2, 0]])
    turns = np.array([[0.0, 0, 0], [0, 0, 0], [0, 0.002, -0.001]])
    motion = Motion(np.hstack([shifts, turns]), np.array([], int))
    fd = motion.framewise_displacement_mm
    assert np.isnan(fd[0])
    np.testing.assert_allclose(fd[1:], [0.3, 0.15])


def test_heads_move_little_but_for_jerks():
    runs = [draw_motion(np.random.default_rng(seed), 300) for seed in range(30)]
    assert all(run.framewise_displacement_mm.shape == (300,) for run in runs)
    jerked = np.concatenate([run.framewise_displacement_mm[run.jerks] for run in runs])
    still = np.concatenate(
        [np.delete(r.framewise_displacement_mm, [0, *r.jerks, *(r.jerks + 1) % 300]) for r in runs]
    )
    assert 0.05 < np.median(still) < 0.3
    assert np.nanmin(jerked) > 0.3
    assert 30 < len(jerked) < 180  # expected: 108
