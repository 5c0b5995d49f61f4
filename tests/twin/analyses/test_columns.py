"""What columns of tables mean."""

from __future__ import annotations

import pytest

from bids_dtg.twin.analyses.columns import meanings


def test_a_column_of_a_task_is_explained_with_it() -> None:
    found = meanings(["unscored_faces", "below_chance_stroop"])
    assert "of the task faces that are not scored" in found["unscored_faces"]["Description"]


def test_a_column_that_nobody_explains_is_an_error() -> None:
    with pytest.raises(KeyError, match="no meaning of the column mystery"):
        meanings(["mystery"])
