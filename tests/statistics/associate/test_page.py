"""What the page of associations says in words and shows in tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bids_dtg.report.pages.page import load_template
from bids_dtg.statistics.associate.page import (
    ContrastAssociations,
    FeatureAssociations,
    PhenotypeAssociations,
    answer,
    judged_together,
    lead,
    overview,
    section,
)
from bids_dtg.stats.cohort.association import ColumnTests, CorrectedTests
from bids_dtg.stats.cohort.pooled_fdr import PooledCounts


def contrast(label, r, q, people=40):
    r, q = np.array(r), np.array(q)
    largest, counts = np.array([0.3, 0.4, 0.5]), PooledCounts(3)
    tests = ColumnTests(r, 6 * r, q / 2, q / 2, largest, people - 2, counts)
    names = [f"place {n}" for n in range(len(r))]
    return ContrastAssociations(label, people, names, tests, CorrectedTests(q, q * 2, np.nanmin(q)))


def features(kind, *contrasts):
    words = {"edges": "edges of the connectome", "regions": "means of regions"}[kind]
    return FeatureAssociations(kind, words, kind[:-1], contrasts)


def phenotype(name, found):
    (judged,) = judged_together([PhenotypeAssociations(name, found)])
    return judged


FOUND = features("regions", contrast("a", [0.1, -0.6], [0.9, 0.01]), contrast("b", [0.5], [0.04]))
NOT_FOUND = features("regions", contrast("a", [0.1, -0.2], [0.9, 0.8]), contrast("b", [0], [0.9]))
EDGES_FOUND = features("edges", contrast("", [0.7, 0.1], [0.02, 0.9]))
EDGES_NOT = features("edges", contrast("", [0.3, np.nan], [0.2, np.nan]))


def test_sentences_count_what_holds_with_all_phenotypes_as_tests():
    many = [PhenotypeAssociations(f"noise{n}", [NOT_FOUND]) for n in range(5)]
    alone, among = phenotype("iq", [FOUND]), judged_together([*many, phenotype("iq", [FOUND])])[-1]
    assert "2 of 3 tests" in answer(alone)
    assert "none of 3 tests" in answer(among)
    assert lead([*many, among], 40).startswith("Nothing is associated with any of 6 phenotypes")


def test_without_a_false_discovery_rate_there_is_none_in_words():
    no_q = replace(FOUND, no_q="no permutation was asked for")
    found = phenotype("iq", [no_q])
    assert answer(found) == (
        "iq: means of regions: 3 tests in 2 contrasts without a false discovery rate, "
        "strongest r \N{MINUS SIGN}0.60."
    )
    assert lead([found], 40).startswith(
        "There is no false discovery rate: no permutation was asked for."
    )


def test_the_answer_is_beside_that_of_the_edges():
    assert answer(phenotype("iq", [EDGES_NOT, FOUND])) == (
        "iq: means of regions: 2 of 3 tests in 2 contrasts at q \N{LESS-THAN OR EQUAL TO} 0.05, "
        "strongest r \N{MINUS SIGN}0.60; edges of the connectome: none of 1 test at q "
        "\N{LESS-THAN OR EQUAL TO} 0.05, strongest r 0.30."
    )


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([FOUND, EDGES_FOUND], "whose edges are associated with iq, too: the maps add no"),
        ([FOUND, EDGES_NOT], "and hold nothing that the connectome does not"),
        ([NOT_FOUND, EDGES_FOUND], "no association is shown at this rate, which is no proof of a"),
        ([NOT_FOUND, EDGES_NOT], "Nothing is associated with iq"),
        ([FOUND], "There are no edges of the connectome to compare these associations with"),
    ],
)
def test_words_say_what_maps_add_to_the_edges(found, words):
    pytest.importorskip("jinja2", reason="reports need the extra [report]")
    shown = section(phenotype("iq", found))
    assert words in load_template(shown.template).render(facts=shown.facts)


def test_the_strongest_of_all_contrasts_come_first():
    shown = section(phenotype("iq", [FOUND, EDGES_NOT]))
    beside, strongest, edges, counts = shown.tables
    assert [row[0] for row in strongest.rows] == ["a: place 1", "b: place 0", "a: place 0"]
    assert strongest.rows[0][2] == -0.6
    assert [row[0] for row in edges.rows] == ["place 0"]  # the other could not be tested
    assert [row[:2] for row in counts.rows] == [["a", 1], ["b", 1]]
    # No row is drawn as the best by its place.
    assert (beside.highlight, beside.model, beside.better) == ((), "", ())
    assert beside.rows[0][2:] == [3, pytest.approx(200 / 3), 1, 0.6, 0.4]
    assert shown.scatters[0].groups[0] == "means of regions"
    assert "a whole curve lies above or below the line without" in shown.scatters[0].caption
    assert len(shown.scatters[0].points) == 4


def test_what_is_outlined_on_a_brain_is_counted_beside_it():
    known = contrast("a", [0.1, 0.9, np.nan], [0.9, 0.01, np.nan])
    few = contrast("a", [0.1, 0.9, np.nan], [0.9, 0.01, np.nan], 7)
    certain, words = known.certainty("region")
    assert (certain == [False, True, False]).all()
    assert words == "1 region with family-wise p of 0.05 or less"
    assert contrast("a", [0.1], [0.9]).certainty("voxel")[1].startswith("no voxel with")
    assert few.certainty("region")[1] == "no verdict, so nothing is outlined"
    assert not few.certainty("region")[0].any()


def test_few_people_get_no_verdict():
    few = phenotype("iq", [features("regions", contrast("a", [0.9], [0.01], 7))])
    assert answer(few) == "iq: no verdict with 7 participants (8 are needed)."
    assert lead([few], 7).startswith("No verdict with 7 participants (8 are needed).")
    shown = section(few)
    assert len(shown.tables) == 2
    assert shown.tables[0].rows[0][3] is None


def test_the_lead_names_what_is_associated():
    some, none = phenotype("iq", [FOUND]), phenotype("age", [NOT_FOUND])
    assert lead([some, none], 40).startswith("Something is associated with 1 of 2 phenotypes")
    assert "rate of 5 %: iq. 40 participants" in lead([some, none], 40)
    assert lead([none], 40).startswith("Nothing is associated with any of 1 phenotype")
    assert overview([some], ["sub-01_task-rest"]).text[1] == (
        "Left out: 1 average of maps (sub-01_task-rest)."
    )
