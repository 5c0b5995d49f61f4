"""Which runs are unusual."""

from __future__ import annotations

import numpy as np

from bids_dtg.cohort.run_table import OUTLIER_Z, quality_of, robust_z
from bids_dtg.contrasts.panels.group_page import MeanMapFiles, write_group_page
from bids_dtg.contrasts.panels.presentation import PRESENTATION
from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.provenance import Failure


def test_robust_z_is_the_distance_from_the_median_in_scaled_mad():
    values = np.array([1.0, 2, 3, 4, 5, 100])
    z = robust_z(values)
    np.testing.assert_allclose(z, (values - 3.5) / (1.4826 * 1.5))
    assert z[-1] > 40


def test_where_most_are_equal_one_that_is_not_is_still_found():
    z = robust_z(np.array([1.0] * 30 + [0.2]))
    assert abs(z[-1]) > 3.5
    assert not z[:-1].any()


def test_few_or_equal_values_have_no_z():
    assert np.isnan(robust_z(np.array([1.0, 2, 3, 4]))).all()
    assert np.isnan(robust_z(np.ones(10))).all()
    equal_but_rounded = np.array([0.3, 0.1 + 0.2] * 5)
    assert np.ptp(equal_but_rounded) > 0
    assert np.isnan(robust_z(equal_but_rounded)).all()


def test_columns_are_those_that_any_run_has():
    rows = [{"fd_mean": f"{0.1 + i / 100}"} for i in range(6)] + [
        {"fd_mean": "3"},
        {"fd_mean": "n/a"},
    ]
    quality = quality_of(rows, PRESENTATION.quality_columns)
    assert [measure.name for measure in quality.measures] == ["fd_mean"]
    assert quality.is_outlier[:, 0].tolist() == [False] * 6 + [True, False]
    assert np.isnan(quality.values[:, 0]).tolist() == [False] * 7 + [True]


def test_marks_need_a_distance_that_matters_on_the_side_that_is_bad():
    similar = [0.9995 + number * 1e-6 for number in range(6)]
    still = [0.1, 0.1, 0.11, 0.1, 0.1, 0.1]
    for last, marked in (((0.9996, 0.02), [False, False]), ((0.9, 0.3), [True, True])):
        rows = [
            {"similarity": str(r), "fd_mean": str(fd)}
            for r, fd in zip([*similar, last[0]], [*still, last[1]], strict=True)
        ]
        columns = (*PRESENTATION.quality_columns, *PRESENTATION.group_columns)
        quality = quality_of(rows, columns)
        assert [measure.name for measure in quality.measures] == [
            "fd_mean",
            "similarity",
        ]
        assert quality.is_outlier[:-1].sum() == 0
        assert quality.is_outlier[-1].tolist() == marked


def test_the_page_of_very_many_runs_has_no_more_rows_than_a_browser_opens(tmp_path):
    (tmp_path / "dataset_description.json").write_text("{}")
    names = [f"{number:04d}" for number in range(2080)]
    rng = np.random.default_rng(0)
    rows = [
        {
            "participant_id": f"sub-{name[:3]}",  # ten runs each
            "task_id": "rest",
            "fd_mean": f"{rng.gamma(4, 0.04)}",
        }
        for name in names
    ]
    failures = [Failure(name, "reading", "cut short") for name in names]
    output = DerivativeDataset(tmp_path)
    page = write_group_page(output, rows, {}, failures, {}, MeanMapFiles()).read_text()
    assert ", 2080 runs of rest</p>" in page  # without maps of voxels, none are counted
    assert page.count("cut short") == 2000
    assert "and the other 80 runs" in page
    assert "And 80 more: logs/*/failures.tsv has all" in page


def test_runs_are_compared_with_those_that_were_cleaned_alike():
    def rows(strategy, values):
        return [{"tsnr_median": str(v), "denoise_strategy": strategy} for v in values]

    usual = [50.0, 51, 49, 50.5, 49.5, 50.2, 49.8]
    halves = [value / 2 for value in usual[:5]]
    quality = quality_of(
        [*rows("simple", 2 * usual), *rows("none", halves)],
        PRESENTATION.quality_columns,
    )
    assert quality.z.shape == (19, 1)
    assert (np.abs(quality.z) < OUTLIER_Z).all()
