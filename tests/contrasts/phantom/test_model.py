from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray
from plain_route import regress
from scipy import ndimage

from bids_dtg.connectome import voxel_to_roi
from bids_dtg.connectome.form import PENALTY, Form
from bids_dtg.contrasts.phantom.model import Phantom
from bids_dtg.contrasts.phantom.parameters import PhantomParameters
from bids_dtg.contrasts.phantom.rest import draw_series, segment_connectome
from bids_dtg.contrasts.phantom.tasks import CONTRASTS
from bids_dtg.phantom.bold_run import brain_frames
from bids_dtg.phantom.streams import Cohort
from bids_dtg.stats.linear import LinearBaseline
from bids_dtg.stats.metrics import correlation_matrix, diagonality, identification_accuracy

PEOPLE = 20


@pytest.fixture(scope="module")
def test_people():
    """Return people of version 1: true, measured, retest, knowable (people, contrasts, voxels)."""
    phantom = Phantom(PhantomParameters(), block=4)
    people = [phantom.person(Cohort.TEST, n) for n in range(PEOPLE)]
    return {
        "true": np.stack([p.true_maps() for p in people]),
        "measured": np.stack([p.measured_maps(0) for p in people]),
        "retest": np.stack([p.measured_maps(1) for p in people]),
        "knowable": np.stack([p.knowable_maps(4) for p in people]),
    }


def mean_r(predicted: NDArray, measured: NDArray) -> float:
    r = [correlation_matrix(predicted[:, q], measured[:, q]) for q in range(measured.shape[1])]
    return float(np.mean([np.diagonal(matrix) for matrix in r]))


@pytest.mark.slow
def test_a_person_is_the_same_whenever_asked(phantom):
    one, again = phantom.person(0, 3), Phantom(block=4).person(0, 3)
    np.testing.assert_array_equal(one.traits, again.traits)
    np.testing.assert_array_equal(one.connectome(1, 2), again.connectome(1, 2))
    np.testing.assert_array_equal(one.measured_maps(1), again.measured_maps(1))


@pytest.mark.slow
def test_people_cohorts_sessions_and_segments_differ(phantom):
    maps = [phantom.person(c, n).measured_maps(s) for c in (0, 1) for n in (0, 1) for s in (0, 1)]
    r = np.corrcoef([m[0] for m in maps])
    assert (r[np.triu_indices(8, k=1)] < 0.9).all()
    person = phantom.person(0, 0)
    one, other, retest = (person.connectome(*key) for key in ((0, 0), (0, 1), (1, 0)))
    assert 0.3 < np.corrcoef(one.ravel(), other.ravel())[0, 1] < 0.95
    assert 0.3 < np.corrcoef(one.ravel(), retest.ravel())[0, 1] < 0.95


@pytest.mark.slow
def test_another_seed_is_another_population(phantom):
    other = Phantom(seed=1, block=4)
    assert not np.allclose(other.structure.foci.centre_mm, phantom.structure.foci.centre_mm)


@pytest.mark.slow
def test_people_are_the_same_people_at_finer_voxels(phantom):
    # Mean maps over blocks of 2 x 2 x 2 voxels of 4 mm lie close to those at 8 mm.
    fine = Phantom(block=2)
    volumes = np.zeros((47, 38, 48, 40), np.float32)
    volumes[:, :, :47, :39][:, fine.anatomy.grey] = fine.person(0, 5).true_maps()
    counts = np.zeros((38, 48, 40), np.float32)
    counts[:, :47, :39] = fine.anatomy.grey
    sums = [a.reshape(-1, 19, 2, 24, 2, 20, 2).sum(axis=(2, 4, 6)) for a in (volumes, counts[None])]
    whole = phantom.anatomy.grey & (sums[1][0] == 8)
    means = sums[0][:, whole] / 8
    coarse = np.zeros((47, 19, 24, 20), np.float32)
    coarse[:, phantom.anatomy.grey] = phantom.person(0, 5).true_maps()
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(means, coarse[:, whole], strict=True)]
    assert min(r) > 0.97


def test_connectomes_agree_with_the_one_pass_route(phantom):
    anatomy, rng = phantom.anatomy, np.random.default_rng(0)
    person = phantom.person(0, 0)
    series, shared = draw_series(phantom.parameters, person.series_mixing, rng, 40)
    noise = phantom.voxel_noise.noise(rng, 40)
    blocks = brain_frames(person.network_maps, series, shared, noise, anatomy, phantom.voxel_noise)
    frames = np.concatenate(list(blocks))
    ours = segment_connectome(frames, phantom.series_weights, anatomy.grey_in_brain)
    maps = np.zeros((50, frames.shape[1]), np.float32)
    maps[:, anatomy.grey_in_brain] = phantom.roi_maps
    theirs = voxel_to_roi(frames, maps)[:, anatomy.grey_in_brain]
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_the_partial_form_is_penalised_least_squares_on_all_series(phantom):
    person, grey = phantom.person(0, 0), phantom.anatomy.grey_in_brain
    frames = person.frames(0, 1).astype(np.float64)
    series = (frames - frames.mean(axis=0)) @ phantom.series_weights.T
    voxels = frames[:, grey[::50]] - frames[:, grey[::50]].mean(axis=0)
    series, voxels = (signals / signals.std(axis=0) for signals in (series, voxels))
    expected = regress(voxels, series, PENALTY)
    ours = person.connectome(0, 1, Form("partial"))
    np.testing.assert_allclose(ours[:, ::50], expected, atol=1e-4)


def test_math_minus_story_is_math_minus_story_noise_included(phantom):
    maps = phantom.person(0, 1).measured_maps(0)
    labels = [contrast.label for contrast in CONTRASTS]
    math, story, difference = (
        maps[labels.index(f"language{name}")] for name in ("Math", "Story", "MathVsStory")
    )
    np.testing.assert_allclose(np.sqrt(2) * difference, math - story, atol=1e-5)


def test_measured_maps_are_the_truth_with_fresh_noise(test_people):
    first, second = (test_people[s] - test_people["true"] for s in ("measured", "retest"))
    assert abs(float(first.var()) - np.exp(2 * 0.2**2)) < 0.15
    assert abs(float((first * second).mean())) < 0.03


def test_scores_lie_where_the_published_ones_do(test_people):
    measured = test_people["measured"]
    matrices = [correlation_matrix(test_people["retest"][:, q], measured[:, q]) for q in range(47)]
    retest = float(np.mean([diagonality(matrix).product for matrix in matrices]))
    assert 0.07 < retest < 0.11  # 0.097 for HCP-YA
    assert abs(mean_r(test_people["retest"], measured) - 0.470) < 0.04
    others = (measured.sum(axis=0) - measured) / (PEOPLE - 1)
    assert abs(mean_r(others, measured) - 0.524) < 0.04


def test_ceilings_are_above_what_they_bound(test_people):
    measured = test_people["measured"]
    others = (measured.sum(axis=0) - measured) / (PEOPLE - 1)
    r = [mean_r(test_people[name], measured) for name in ("true", "knowable")]
    assert r[0] > r[1] + 0.05 > mean_r(others, measured) + 0.05
    knowable = correlation_matrix(test_people["knowable"][:, 0], measured[:, 0])
    assert identification_accuracy(knowable) > 0.6


def local_ridge(grey: NDArray, x: NDArray, y: NDArray, new: NDArray) -> NDArray:
    """Predict y from x at each voxel, from sums over people smoothed over 10 mm."""

    def pooled(a: NDArray, b: NDArray) -> NDArray:
        sums = np.zeros((a.shape[1], b.shape[1], *grey.shape), np.float32)
        sums[:, :, grey] = np.einsum("nkv,nqv->kqv", a, b, optimize=True)
        smooth = ndimage.gaussian_filter(sums, (0, 0, 1.25, 1.25, 1.25), mode="constant")
        return smooth[:, :, grey].transpose(2, 0, 1)

    deviations, centre = x - x.mean(axis=0), y.mean(axis=0)
    gram, cross = pooled(deviations, deviations), pooled(deviations, y - centre)
    ridge = 0.3 * np.trace(gram, axis1=1, axis2=2)[:, None, None] / x.shape[1]
    coef = np.linalg.solve(gram + ridge * np.eye(x.shape[1], dtype=np.float32), cross)
    return centre + np.einsum("vkq,nkv->nqv", coef, new - x.mean(axis=0), optimize=True)


@pytest.mark.slow
def test_in_the_linear_truth_the_linear_model_wins():
    # Two segments a person: the truth is a function of whatever connectome a person has.
    parameters = dataclasses.replace(PhantomParameters(), truth="linear", segments=2)
    phantom = Phantom(parameters, block=4)
    kept = np.arange(0, 47, 6)

    def cohort(number: Cohort, n: int) -> tuple[NDArray, NDArray]:
        people = [phantom.person(number, index) for index in range(n)]
        return (
            np.stack([p.mean_connectome for p in people]),
            np.stack([p.measured_maps(0)[kept] for p in people]),
        )

    (x, y), (new, measured) = cohort(Cohort.TRAINING, 20), cohort(Cohort.TEST, 6)
    linear = mean_r(LinearBaseline().fit(x, y).predict(new), measured)
    group = mean_r(np.broadcast_to(y.mean(axis=0), measured.shape), measured)
    ridge = mean_r(local_ridge(phantom.anatomy.grey, x, y, new), measured)
    assert linear > group + 0.05
    assert linear > ridge + 0.02
    truth = np.stack([phantom.person(Cohort.TEST, n).true_maps()[kept] for n in range(6)])
    assert linear > mean_r(truth, measured) - 0.02
