"""What columns of tables mean."""

from __future__ import annotations

import pytest

from bids_dtg.dynamics.analyses.columns import meanings


def test_a_column_of_a_number_or_a_session_is_explained_with_it() -> None:
    found = meanings(["theta3", "fit_REST2-LR_low", "fit_of_mean_REST2-LR", "beta_theta1_pairs"])
    texts = [row["Description"] for row in found.values()]
    assert "parameter 3" in texts[0]
    assert "interval" in texts[1]
    assert "REST2-LR with the mean" in texts[2]
    assert "parameter 1" in texts[3]


def test_a_column_that_nobody_explains_is_an_error() -> None:
    with pytest.raises(KeyError, match="no meaning of the column mystery"):
        meanings(["mystery"])
