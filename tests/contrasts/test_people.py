"""People as arrays: means over segments and people, gaps filled, and a cheap identity."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_dtg.connectome.form import MARGINAL, Form
from bids_dtg.contrasts.people import Person, filled, mean_maps, predicted_maps

NAN = np.nan


def person(maps, seconds=(100.0, 300.0)):
    connectomes = np.arange(12, dtype=np.float16).reshape(2, 2, 3)
    return Person("01", connectomes, seconds, (np.array(maps, np.float32),))


def test_segments_count_by_their_time():
    one = person([[1, 2, 3]])
    expected = 0.25 * one.connectomes[0] + 0.75 * one.connectomes[1]
    np.testing.assert_allclose(one.mean_connectome(), expected)
    model = SimpleNamespace(predict=lambda connectome: connectome[:1])
    np.testing.assert_allclose(predicted_maps(model, one), expected[:1])


def test_what_was_not_measured_counts_as_average():
    people = [person([[1, NAN, NAN]]), person([[3, 4, NAN]])]
    mean = mean_maps(people)
    np.testing.assert_array_equal(mean, [[2, 4, 0]])
    np.testing.assert_array_equal(filled(people[0], mean), [[1, 4, 0]])


def test_values_of_dependent_rois_stay_finite():
    roi_r = np.eye(3)
    roi_r[0, 1] = roi_r[1, 0] = 1 - 1e-8
    values = np.array([[[1.0, -1.0], [0.5, -0.5], [0.0, 0.0]]], np.float16)
    maps = (np.zeros((1, 2), np.float32),)
    one = Person("01", values, (1.0,), maps, None, Form("partial"), roi_r[None], (2.0,))
    weaker = one.with_form(Form("partial", ridge=0.0)).connectomes
    assert np.isfinite(weaker).all()
    assert np.abs(weaker).max() > 60000


@pytest.mark.parametrize("other", [[[1, 2, 4]], [[1, NAN, 3]]])
def test_other_maps_have_another_fingerprint(other):
    assert person([[1, 2, 3]]).fingerprint() == person([[1, 2, 3]]).fingerprint()
    assert person(other).fingerprint() != person([[1, 2, 3]]).fingerprint()


def partial_person(seed, rois, segments, ridge, silent=False):
    """Make a person of the partial form straight from series, in 32 bits."""
    rng = np.random.default_rng(seed)
    form, values, of_rois, dof = Form("partial", ridge), [], [], []
    for _ in range(segments):
        frames = int(rng.integers(4 * rois, 8 * rois))
        series = rng.normal(size=(frames, rois)) @ rng.normal(size=(rois, rois))
        bold = series @ rng.normal(size=(rois, 5)) + rng.normal(size=(frames, 5))
        series, bold = (part / np.linalg.norm(part, axis=0) for part in (series, bold))
        if silent:
            series[:, 0] = 0
        dof.append(float(frames) / 2)
        penalty = np.sqrt(form.penalty(series.T @ series, dof[-1])) * np.eye(rois)
        # Least squares of the series with rows that stand for the penalty.
        rows, zeros = np.concatenate([series, penalty]), np.zeros((rois, 5))
        values.append(np.linalg.lstsq(rows, np.concatenate([bold, zeros]), rcond=None)[0])
        of_rois.append(series.T @ series)
    maps = (np.zeros((1, 5), np.float32),)
    weights = tuple(rng.uniform(1, 2, segments))
    connectomes = np.stack(values).astype(np.float32)
    return Person("01", connectomes, weights, maps, None, form, np.stack(of_rois), tuple(dof))


@pytest.mark.slow
@given(
    seed=st.integers(0, 2**32 - 1),
    rois=st.integers(1, 6),
    segments=st.integers(1, 3),
    ridges=st.tuples(st.floats(0.01, 5), st.floats(0.01, 5)),
    silent=st.booleans(),
)
def test_connectomes_of_another_ridge_are_those_made_from_the_series(
    seed, rois, segments, ridges, silent
):
    one, other = (partial_person(seed, rois, segments, ridge, silent) for ridge in ridges)
    found = one.with_form(other.form)
    assert found.form == other.form
    scale = max(1.0, float(np.abs(other.connectomes).max()))
    np.testing.assert_allclose(found.connectomes, other.connectomes, atol=2e-3 * scale)
    assert one.with_form(one.form) is one


def test_values_without_a_ridge_stay_finite_where_rois_are_the_same():
    roi_r = np.ones((1, 2, 2)) + 1e-9 * np.eye(2)
    values = np.array([[[1.0, 2.0], [0.9, -1.0]]], np.float16)
    maps = (np.zeros((1, 2), np.float32),)
    one = Person("01", values, (1.0,), maps, None, Form("partial", 1.0), roi_r, (2.0,))
    assert np.isfinite(one.with_form(Form("partial", 0.0)).connectomes).all()


def test_only_the_ridge_of_a_joint_form_can_be_changed():
    one = partial_person(0, 3, 1, 1.0)
    with pytest.raises(ValueError, match="of the partial form cannot be changed to the marginal"):
        one.with_form(MARGINAL)
    with pytest.raises(ValueError, match="ROIs of 01 are not known"):
        person([[1, 2, 3]]).with_form(one.form)
    with pytest.raises(ValueError, match="only the ridge of a joint form can"):
        MARGINAL.change(Form("marginal", 2.0), np.eye(3), 10.0)
