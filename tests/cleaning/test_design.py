"""Frequencies to remove, against SciPy's cosine transform and nilearn's cosines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nilearn.glm.first_level.design_matrix import create_cosine_drift
from scipy.fft import dct, idct

from bids_dtg.cleaning.design import stop_band
from bids_dtg.connectome.design import TemporalDesign


def test_slow_columns_are_nilearn_s_cosines():
    for frames, tr in ((110, 1.16), (490, 0.735), (12, 2.0)):
        band = stop_band(frames, tr, high_pass_hz=0.01)
        drift = create_cosine_drift(0.01, np.arange(frames) * tr)[:, :-1]
        np.testing.assert_allclose(band, drift, atol=1e-12)


@given(st.integers(20, 150), st.floats(0.5, 3.0), st.integers(0, 10**6))
def test_to_regress_out_is_to_blank_coefficients_of_the_cosine_transform(
    frames, tr, seed
):
    series = np.random.default_rng(seed).standard_normal(frames)
    band = stop_band(frames, tr, high_pass_hz=0.01, low_pass_hz=0.08)
    frequencies = np.arange(frames) / (2 * frames * tr)
    wanted = (frequencies > 0.01) & (frequencies <= 0.08)
    wanted[0] = True
    expected = idct(np.where(wanted, dct(series, norm="ortho"), 0), norm="ortho")
    np.testing.assert_allclose(series - band @ (band.T @ series), expected, atol=1e-10)


def test_the_design_spans_stop_band_and_confounds_over_the_kept_frames():
    rng = np.random.default_rng(0)
    band = stop_band(120, 2.0, high_pass_hz=0.01, low_pass_hz=0.1)
    table, keep = rng.standard_normal((120, 3)), rng.random(120) < 0.9
    table = np.hstack([table, band[:, :1]])
    design = TemporalDesign.build(table, list("abcd"), keep, 2.0, stop_band=band)
    columns = np.hstack([np.ones((120, 1)), band, table])[keep]
    np.testing.assert_allclose(
        design.basis @ design.basis.T,
        columns @ np.linalg.pinv(columns, rcond=1e-9),
        atol=1e-8,
    )
    np.testing.assert_allclose(
        design.basis.T @ design.basis, np.eye(design.rank), atol=1e-12
    )
    assert design.columns["dependent"] == ("d",)
    assert design.decisions["columns_filtering"] == band.shape[1]


def test_a_band_that_leaves_no_frame_free_is_told_with_its_numbers():
    keep = np.arange(120) % 2 == 0
    band = stop_band(120, 2.0, low_pass_hz=0.1)
    with pytest.raises(ValueError, match=r"60 frames are kept.* 59 columns"):
        TemporalDesign.build(
            np.random.default_rng(0).standard_normal((120, 2)),
            ["a", "b"],
            keep,
            2.0,
            stop_band=band,
        )
