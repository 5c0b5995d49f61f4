from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.contrasts.phantom.model import CONDITIONS, condition_parts, contrast_design
from bids_dtg.contrasts.phantom.parameters import DIFFERENCES


def test_the_design_has_unit_rows_and_full_rank():
    design = contrast_design()
    assert design.shape == (47, 24)
    np.testing.assert_allclose(np.linalg.norm(design, axis=1), 1.0)
    assert np.linalg.matrix_rank(design) == 24


def test_differences_are_differences_of_conditions():
    design, columns = contrast_design(), CONDITIONS
    row = {c.label: design[i] for i, c in enumerate(hcp_contrasts())}
    math_minus_story = row["languageMath"] - row["languageStory"]
    np.testing.assert_allclose(np.sqrt(2) * row["languageMathVsStory"], math_minus_story)
    # An average of four conditions of variance 1 has variance 1/4: z is twice the mean.
    body = [columns.index(("WM", f"{load}_BODY")) for load in ("2BK", "0BK")]
    np.testing.assert_allclose(row["wmBody"][body], np.sqrt(0.5))
    motor = [columns.index(("MOTOR", part)) for part in ("LF", "LH", "RF", "T")]
    rest = row["motorRhVsAvg"][motor]
    np.testing.assert_allclose(rest, -row["motorRhVsAvg"][columns.index(("MOTOR", "RH"))] / 4)
    assert row["motorAvg"][columns.index(("MOTOR", "CUE"))] == 0
    for contrast in hcp_contrasts():
        within = [i for i, (task, _) in enumerate(columns) if task != contrast.task]
        assert not row[contrast.label][within].any()
        assert ("-" in contrast.name) == bool(np.isclose(row[contrast.label].sum(), 0))


def test_conditions_share_what_the_parameters_say():
    parts, density = condition_parts()
    column = {key: n for n, key in enumerate(CONDITIONS)}
    assert parts.shape == (24, len(density))

    def shared(one, other):
        return float(parts[column[one]] @ parts[column[other]])

    common, task, own = 0.8**2, 0.6**2, 0.7**2
    math = ("LANGUAGE", "MATH")
    assert shared(math, math) == pytest.approx(common + task + own)
    assert shared(math, ("LANGUAGE", "STORY")) == pytest.approx(common + task)
    assert shared(math, ("SOCIAL", "TOM")) == pytest.approx(common)
    assert shared(math, ("MOTOR", "T")) == pytest.approx(0.35 * common)
    two_back = ("WM", "2BK_FACE")
    assert shared(two_back, ("WM", "0BK_FACE")) == pytest.approx(common + task + own / 2)
    assert shared(two_back, ("WM", "0BK_BODY")) == pytest.approx(common + task)
    same = 1 - DIFFERENCES["GAMBLING"] ** 2
    reward = shared(("GAMBLING", "PUNISH"), ("GAMBLING", "REWARD"))
    assert reward == pytest.approx(common + task + own * same)
