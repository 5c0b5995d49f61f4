from __future__ import annotations

import numpy as np

from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.contrasts.phantom.model import CONDITIONS, contrast_design


def test_differences_are_differences_of_conditions():
    design, columns = contrast_design(), CONDITIONS
    row = {c.label: design[i] for i, c in enumerate(hcp_contrasts())}
    math_minus_story = row["languageMath"] - row["languageStory"]
    np.testing.assert_allclose(
        np.sqrt(2) * row["languageMathVsStory"], math_minus_story
    )
    # An average of four conditions of variance 1 has variance 1/4: z is twice the mean.
    body = [columns.index(("WM", f"{load}_BODY")) for load in ("2BK", "0BK")]
    np.testing.assert_allclose(row["wmBody"][body], np.sqrt(0.5))
    motor = [columns.index(("MOTOR", part)) for part in ("LF", "LH", "RF", "T")]
    rest = row["motorRhVsAvg"][motor]
    np.testing.assert_allclose(
        rest, -row["motorRhVsAvg"][columns.index(("MOTOR", "RH"))] / 4
    )
    assert row["motorAvg"][columns.index(("MOTOR", "CUE"))] == 0
    for contrast in hcp_contrasts():
        within = [i for i, (task, _) in enumerate(columns) if task != contrast.task]
        assert not row[contrast.label][within].any()
        assert ("-" in contrast.name) == bool(np.isclose(row[contrast.label].sum(), 0))
