"""The page of norms: what its first sentence says, and what its tables hold."""

from __future__ import annotations

import re

import numpy as np
import pytest

from bids_dtg.report.pages.analysis import AnalysisPageFacts, write_analysis_page
from bids_dtg.statistics.normative.page import (
    ContrastNorms,
    KindExtremes,
    NormsFound,
    answer,
    sections,
)
from bids_dtg.stats.cohort.normative import (
    add_extremes,
    compare_with_normal,
    count_extremes,
    normal_quantiles,
)

LABELS = [f"{n:02d}" for n in range(60)]


def found(r2: list[float], q_of_first: float, shift: float = 0.0) -> NormsFound:
    """Make norms of two contrasts of three regions, in which the first person deviates."""
    contrasts = []
    for number, name in enumerate(("math", "story")):
        z = np.random.default_rng(number).standard_normal((60, 3))
        z[0] += shift
        contrasts.append(
            ContrastNorms(
                "regions",
                name,
                LABELS,
                ["V1", "M1", "A1"],
                np.array(r2),
                compare_with_normal(z),
                compare_with_normal(2 * z),
                normal_quantiles(z),
                normal_quantiles(2 * z),
                count_extremes(z, draws=99, seed=0),
            )
        )
    together = add_extremes([one.extremes for one in contrasts])
    q = np.ones(60)
    q[0] = q_of_first
    kinds = [KindExtremes("regions", LABELS, together, q)]
    return NormsFound(contrasts, kinds, ["age", "site"], ["Sixty participants."])


@pytest.mark.parametrize(
    ("r2", "q", "words"),
    [
        ([0.2, 0.3, -0.1], 0.01, "1 of 60 participants has more regions far from the norm"),
        ([0.2, 0.3, -0.1], 0.4, "No participant has more regions far from the norm"),
        ([0.2, 0.3, -0.1], 0.4, "explain 20.0 % .* in 2 of them none: deviations there are plain"),
        ([0.2, 0.3, 0.1], 0.4, r"explain 20.0 % .* over contrasts\)\.$"),
        ([0.1, -0.2, -0.1], 0.4, "In 4 of 6 regions, .* explain no .* some are above 0 by chance"),
        ([0.0, -0.2, -0.1], 0.4, "In no region do the covariates age, site explain variance"),
        ([np.nan] * 3, 0.4, "No region has a norm"),
    ],
)
def test_the_first_sentence_says_who_deviates_and_what_norms_are_worth(r2, q, words):
    assert re.search(words, answer(found(r2, q)))


def test_tables_put_plain_scores_beside_and_the_farthest_first(tmp_path):
    made = found([0.2, 0.3, -0.1], 0.01, shift=5.0)
    _, normal, people, regions = sections(made)
    (contrasts,) = normal.tables
    math = contrasts.rows[0]
    assert math[:3] == ("regions: math", 3, 0.2)
    assert math[7] == pytest.approx(2 * math[4])  # plain scores are twice as wide here
    (farthest,) = people.tables
    assert farthest.rows[0][:3] == ("sub-00", "regions", 6)
    assert farthest.rows[0][-1] == "math: 3"
    assert regions.tables[0].rows[0][0].startswith("M1, regions: ")
    assert "some are above 0 where the covariates explain nothing" in regions.tables[0].notes[0]
    page = tmp_path / "page.html"
    facts = AnalysisPageFacts("Norms", answer(made), [], sections(made))
    assert write_analysis_page(page, facts) is None
    assert "Sixty participants." in page.read_text()
