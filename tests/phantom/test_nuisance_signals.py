from __future__ import annotations

import itertools

import numpy as np
import pytest

from bids_dtg.phantom.nuisance_signals import SignalRecorder


@pytest.mark.parametrize("cuts", [(0, 17), (0, 1, 5, 17)])
def test_signals_are_those_of_the_whole_run(phantom, cuts):
    anatomy = phantom.anatomy
    frames = np.random.default_rng(0).normal(100, 5, (17, anatomy.brain.sum())).astype(np.float32)
    recorder = SignalRecorder(anatomy)
    for start, end in itertools.pairwise(cuts):
        recorder.add(frames[start:end])
    for column, tissue in enumerate((anatomy.fluid, anatomy.white, anatomy.brain)):
        expected = frames[:, tissue[anatomy.brain]].mean(axis=1)
        np.testing.assert_allclose(recorder.tissue_means[:, column], expected, rtol=1e-5)
    expected = np.sqrt((np.diff(frames, axis=0) ** 2).mean(axis=1))
    np.testing.assert_allclose(recorder.dvars[1:], expected, rtol=1e-4)
    assert np.isnan(recorder.dvars[0])
    assert recorder.sample.shape[0] == 17
