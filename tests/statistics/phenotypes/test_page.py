"""What the page of phenotypes says in words: it follows from the figures."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bids_dtg.report.pages.analysis import write_analysis_page
from bids_dtg.statistics.phenotypes.page import (
    Difference,
    FitScores,
    PhenotypeResults,
    Prediction,
    answer,
    judged_together,
    phenotypes_page,
)
from bids_dtg.stats.paired import Interval
from bids_dtg.stats.verdict import Verdict

NOTHING, LESS, MORE = (0.01, 0.5), (-0.2, 0.001), (0.2, 0.001)  # difference and q


def difference(value, q) -> Difference:
    return Difference("r", q, Verdict(Interval(value, value - 0.1, value + 0.1), q, 200))


def prediction(features="maps", contrast="one", *, r=0.4, q=0.01, chance=0.0, **beside):
    fit = FitScores({"r": r, "r2": r * r, "mae": 3.0}, r, 0.01, q, q, chance, 12.0)
    words = {"edges": "edges of the connectome", "maps": "predicted maps"}.get(features, features)
    compared = {key: difference(*pair) for key, pair in beside.items()}
    interval = Interval(r, r - 0.1, r + 0.1)
    return Prediction(
        features,
        words,
        contrast,
        200,
        200.0,
        150,
        1225,
        fit,
        fit,
        interval,
        np.zeros((3, 2)),
        **compared,
    )


def results(*predictions, edges=True, people=200, **changes) -> PhenotypeResults:
    own = (prediction("edges", "", r=0.5),) if edges else ()
    facts = PhenotypeResults(
        "reasoning",
        (),
        people,
        float(people),
        "r",
        {"r": "a correlation", "r2": "a share", "mae": "an error"},
        {"mean of training people": {"r": 0.0, "r2": 0.0, "mae": 4.0}},
        (*own, *predictions),
        ("200 participants.",),
    )
    return judged_together([dataclasses.replace(facts, **changes)])[0]


def test_sentences_count_what_holds_with_all_sets_and_phenotypes_as_tests():
    def asked(q):
        own = prediction("maps", "one", q=q)
        sets = [prediction(name, "", q=0.6) for name in ("regions", "deviations", "measured")]
        return results(own, *sets, edges=False)

    alone = answer(asked(0.02))
    assert alone.startswith("Nothing predicts reasoning beyond chance")  # 0.02 times 4 sets
    assert (
        "Predicted beyond chance (q \N{LESS-THAN OR EQUAL TO} 0.05) from predicted maps."
        in answer(asked(0.01))
    )
    pair = judged_together([asked(0.01), asked(0.6)])
    assert [any(own.holds for own in found.predictions) for found in pair] == [False, False]
    few = dataclasses.replace(asked(0.6), people=7)  # gets no verdict, and is no test
    pair = judged_together([asked(0.01), few])
    assert [any(own.holds for own in found.predictions) for found in pair] == [True, False]


def test_maps_that_add_nothing():
    same = prediction(over=NOTHING, over_equal=NOTHING, added=NOTHING)
    worse = prediction(contrast="two", r=0.2, over=LESS, over_equal=LESS, added=NOTHING)
    said = answer(results(same, worse))
    assert said.startswith(
        "No synthetic map predicts reasoning measurably better than the connectome it was made "
        "from (1,225 edges: r = 0.50 [0.40, 0.60]), and none adds measurably to it: 2 sets of "
        "features (predicted maps); "
        "best: predicted maps, one, r = 0.40 [0.30, 0.50]."
    )
    assert "from edges of the connectome; predicted maps (2 of 2 contrasts)." in said


def test_maps_that_are_better_are_counted_and_explained():
    better = prediction(r=0.7, over=MORE, over_equal=NOTHING, added=MORE)
    same = prediction(contrast="two", over=NOTHING, over_equal=NOTHING, added=NOTHING)
    said = answer(results(better, same))
    assert said.startswith("1 of 2 sets of features (predicted maps) predict reasoning better")
    assert "0 of these with equal degrees of freedom too, and 1 of 2 add to the edges" in said
    assert "comes from the same rest, not from a task" in said


def test_measured_maps_are_no_synthetic_ones():
    measured = prediction("measured", r=0.9, over=MORE, over_equal=MORE, added=MORE)
    same = prediction(over=NOTHING, over_equal=NOTHING, added=NOTHING)
    assert answer(results(measured, same)).startswith(
        "No synthetic map predicts reasoning measurably better"
    )


def test_nothing_beyond_chance():
    null = results(
        prediction("edges", "", r=0.02, q=0.6),
        prediction(r=0.05, q=0.4, over=MORE, over_equal=MORE, added=MORE),
        edges=False,
    )
    said = answer(null)
    assert said.startswith("Nothing predicts reasoning beyond chance: neither the connectome")
    assert "sites" not in said
    alone = answer(results(prediction("edges", "", r=0.02, q=0.6), edges=False))
    assert alone.startswith("Nothing predicts reasoning beyond chance: not the connectome")


def test_what_permuted_people_score_as_well_goes_with_sites_and_families():
    found = results(prediction("edges", "", r=0.7, q=0.6, chance=0.69), edges=False)
    assert "permuted within their sites and families score as well" in answer(found)
    assert "0.69" in answer(found)


def test_what_many_contrasts_leave_uncertain_is_not_laid_to_sites():
    """One of many contrasts has an interval above 0 and q above 0.05; permuted people score 0."""
    said = answer(results(prediction(r=0.4, q=0.3, chance=0.0), edges=False))
    assert said.startswith("Nothing predicts reasoning beyond chance")
    assert "permuted" not in said


def test_of_several_phenotypes_nothing_is_claimed_that_was_not_compared():
    same = prediction(over=NOTHING, over_equal=NOTHING, added=NOTHING)
    measured = prediction("measured", over=NOTHING, over_equal=NOTHING, added=NOTHING)
    for pair in ([results(same, people=7)] * 2, [results(measured)] * 2, [results()] * 2):
        lead = phenotypes_page(pair, lead="Ridge.", flags=(), index="").lead
        assert "Synthetic maps predict" not in lead
        assert lead.startswith("2 phenotypes; of none are there synthetic maps, edges of the")
    both = phenotypes_page([results(same), results()], lead="", flags=(), index="").lead
    assert both.startswith("Synthetic maps predict none of 1 phenotype ")
    assert "There is no verdict on" in both


def test_few_of_a_level_decide_nothing_of_maps():
    few = Difference("auc", 0.001, Verdict(Interval(0.2, 0.1, 0.3), 0.001, 200, rarer=9))
    unknown = dataclasses.replace(prediction(), over=few, over_equal=few, added=few)
    said = answer(results(unknown))
    assert (
        "Whether maps predict it better is not known. No verdict with 9 participants of the "
        "rarer level (15 are needed)."
    ) in said
    assert "measurably" not in said
    lead = phenotypes_page([results(unknown)] * 2, lead="", flags=(), index="").lead
    assert "Synthetic maps predict" not in lead


def test_few_of_a_level_are_few_people():
    many, rare = results(), results(effective_people=51.0)
    said = [phenotypes_page([own], lead="", flags=(), index="").flags for own in (many, rare)]
    assert not said[0]
    assert "Few people (51, counted as in equal levels)" in said[1][0].text


def test_few_people_get_no_verdict():
    assert answer(results(people=7)).startswith(
        "reasoning: no verdict with 7 participants (8 are needed)."
    )
    assert "no verdict" not in answer(results(people=8))


def test_without_edges_nobody_knows():
    assert "there are no edges to compare them with" in answer(results(prediction(), edges=False))


def test_edges_alone():
    assert answer(results()).startswith("reasoning was predicted from the connectome")


def test_what_was_not_permuted_was_not_tested():
    fit = FitScores({"r": 0.5, "r2": 0.2, "mae": 1.0}, *[float("nan")] * 6)
    own = dataclasses.replace(prediction("edges", ""), nested=fit)
    assert "Nothing was tested" in answer(results(own, edges=False))


@pytest.mark.parametrize("number", [1, 3])
def test_the_page_begins_with_the_answer(tmp_path, number):
    pytest.importorskip("jinja2", reason="pages need the extra [report]")
    same = prediction(over=NOTHING, over_equal=NOTHING, added=NOTHING)
    two = prediction(contrast="two", over=NOTHING, over_equal=NOTHING, added=MORE)
    of_each = [
        results(same, two, name=f"score {n}", people=90 if n else 200) for n in range(number)
    ]
    page = phenotypes_page(of_each, lead="Ridge regression.", flags=(), index="")
    assert write_analysis_page(tmp_path / "page.html", page) is None
    text = (tmp_path / "page.html").read_text()
    if number == 1:
        assert (
            "was made from (1,225 edges: r = 0.50 [0.40, 0.60]), but 1 of 2 add to it" in page.lead
        )
        assert "Few people" not in text
    else:
        assert page.lead.startswith(
            "Synthetic maps predict 3 of 3 phenotypes better than the edges of the connectome, or "
            "add to these: score 0, score 1, score 2."
        )
        assert "Few people (90)" in text
        assert "predicted maps, median of 2" in text
    assert "How to read the figures" in text
    assert "mean of training people" in text
