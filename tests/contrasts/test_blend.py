from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.contrasts.blend import Blend, BlendSums, blended

CONTRASTS, VOXELS = 3, 40


def people(n=30, seed=0, weights=((0.8, 0.0, 0.5), (0.3, 1.0, 0.0))):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, n, CONTRASTS, VOXELS))
    mean = 5 * rng.normal(size=(CONTRASTS, VOXELS))
    w = np.array(weights)[:, None, :, None]
    measured = mean + w[0] * first + w[1] * second + 0.1 * rng.normal(size=first.shape)
    # Each model has an error of its own in the mean map: it must not count.
    errors = 3 * rng.normal(size=(2, CONTRASTS, VOXELS))
    return first + errors[0], second + errors[1], measured


def fitted(first, second, measured):
    sums = BlendSums()
    for a, b, own in zip(first, second, measured, strict=True):
        sums.add((a, b), own)
    return sums.weights()


def test_weights_are_those_that_made_the_maps():
    np.testing.assert_allclose(fitted(*people()), [[0.8, 0.0, 0.5], [0.3, 1.0, 0.0]], atol=0.02)


def test_people_who_lack_data_count_where_they_have_some():
    first, second, measured = people()
    rng = np.random.default_rng(1)
    measured[rng.random(len(measured)) < 0.5, :, :20] = np.nan
    measured[rng.random(len(measured)) < 0.5, 1] = np.nan
    found = fitted(first, second, measured)
    np.testing.assert_allclose(found, [[0.8, 0.0, 0.5], [0.3, 1.0, 0.0]], atol=0.03)


def test_a_contrast_that_nobody_has_gets_no_weight():
    first, second, measured = people()
    measured[:, 2] = np.nan
    assert (fitted(first, second, measured)[:, 2] == 0).all()


def test_a_model_that_is_wrong_about_people_gets_no_weight():
    found = fitted(*people(weights=((-0.5, 1.0, 1.0), (1.0, 1.0, -0.2))))
    assert found[0, 0] == 0
    assert found[1, 2] == 0
    np.testing.assert_allclose(found[1, 0], 1.0, atol=0.05)


def test_a_model_that_says_the_same_of_everybody_gets_no_weight():
    first, second, measured = people()
    found = fitted(np.zeros_like(first), second, measured)
    assert (found[0] == 0).all()


def test_a_blend_predicts_the_weighed_sum():
    class Times:
        def __init__(self, factor):
            self.factor = factor

        def predict(self, connectome):
            return self.factor * connectome

    weights = np.array([[1.0, 0.0], [0.5, 2.0]], np.float32)
    x = np.ones((2, 4), np.float32)
    found = Blend((Times(1.0), Times(10.0)), weights).predict(x)
    np.testing.assert_allclose(found, np.repeat([[6.0], [20.0]], 4, axis=1))
    np.testing.assert_allclose(found, blended([x, 10 * x], weights))


def test_wrong_shapes_and_too_few_people_are_refused():
    first, second, measured = people(3)
    sums = BlendSums()
    sums.add((first[0], second[0]), measured[0])
    with pytest.raises(ValueError, match="at least 2 people, found 1"):
        sums.weights()
    with pytest.raises(ValueError, match="the same for all"):
        sums.add((first[0], second[0, :, :3]), measured[0])
    with pytest.raises(ValueError, match=r"weights are \(1, contrasts\)"):
        Blend((None,), np.ones((2, 3)))
