"""How well responses are predicted: as sidecars have it, and what is damaged."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_dtg.report.contents import RunFiles
from bids_dtg.twin.panels import fitted
from bids_dtg.twin.panels.fit import FIT, TaskFit, fit_facts, read_fits

_value = st.floats(0, 10)
_maybe = st.none() | _value
_fits = st.lists(
    st.builds(TaskFit, st.text(min_size=1), st.integers(1, 500), _value, *[_maybe] * 4), max_size=3
)


@pytest.mark.slow
@given(_fits)
def test_what_is_written_is_read(fits):
    assert read_fits(json.loads(json.dumps(fit_facts(fits)))) == tuple(fits)


def test_damaged_facts_are_as_if_absent():
    whole = fit_facts([TaskFit("go", 9, 0.1, None, None, None, None)])[FIT][0]
    broken = ["text", {"Task": "go"}, {**whole, "CrossEntropy": "low"}, {**whole, "Trials": "9"}]
    assert [fit.task for fit in read_fits({FIT: [*broken, whole]})] == ["go"]
    assert read_fits({FIT: "text"}) == ()


def figure_of(*fits: TaskFit):
    return fitted.draw(RunFiles("sub-01", {}, {}, fit_facts(fits)), canvas=None)


def test_the_sentence_counts_the_tasks_that_the_twin_predicts_better():
    better = TaskFit("stroop", 78, 0.10, 0.12, 0.4, 0.08, 0.09)
    worse = TaskFit("faces", 108, 0.13, 0.12, 0.4, 0.08, None)
    figure = figure_of(better, worse)
    assert "in 1 of 2 tasks (stroop)" in figure.caption
    assert "group --analysis evaluate" in figure.caption
    assert [row[0] for row in figure.pieces[0].rows] == ["stroop", "faces"]
    assert figure.pieces[0].rows[1][-1] == "n/a"


def test_without_a_network_of_the_group_none_is_compared():
    figure = figure_of(TaskFit("go", 9, 0.1, None, 0.4, None, None))
    assert figure.caption.startswith("The model has no network of the group.")
    assert figure_of() is None
