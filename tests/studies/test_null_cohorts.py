"""Cohorts of fixed seeds in which there is nothing: their p and q stay what they are."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "studies"))

import numpy as np
from null_cohorts import (
    SHAPES,
    STATS,
    Noise,
    Record,
    associations,
    found_by_associate,
    found_by_phenotypes,
    found_by_stats,
    predictions,
    shares_found,
)

from bids_dtg.stats.prediction.phenotypes import Target

# Smallest q and p of a cohort: counted rate, rate by p of t, family-wise.
OF_STATS = {
    "40 unrelated, regression": (1, 0.993886, 0.84),
    "12 unrelated, mean": (0.045, 0.0479752, 0.06),
    "40, group of 2, people of unequal scales": (1, 0.999435, 0.59),
    "20 families of 2 (ICC .3), mean": (0.399, 0.0886775, 0.21),
    "20 families of 2 (ICC .5), mean": (0.09, 0.00433941, 0.08),
    "14 families of 3 (ICC .4), two groups": (0.679167, 0.0126945, 0.42),
    "12 families of 4 (ICC .8), mean": (0.07, 2.42399e-09, 0.065),
    "40 of 3 sites with means and scales, regression": (0.765, 0.968744, 0.265),
    "40, 10 patients with doubled maps": (1, 0.00162661, 1),
}
OF_ASSOCIATE = {
    "40, normal": (0.2, 0.316849, 0.08),
    "40, heavy tails": (0.155, 0.151933, 0.065),
    "40, skewed phenotype": (1, 0.885483, 0.695),
    "40, phenotype of 5 levels": (1, 0.92778, 0.78),
    "40, two groups": (1, 0.897826, 0.88),
    "40, group of 5 %": (0.37, 0.347498, 0.14),
    "40, group of 5 %, people of unequal scales": (1, 0.999037, 0.8),
    "40, people of unequal scales": (1, 0.980838, 0.925),
    "40, families of 2 (ICC .5)": (1, 0.807547, 0.9),
    "40, 3 sites": (1, 0.940843, 0.455),
    "40, motion in maps and phenotype, as covariate": (0.85875, 0.847757, 0.435),
    "40, 3 covariates": (1, 0.804544, 0.515),
    "40, 25 % patients with doubled maps": (1, 0.128562, 1),
}
# Of phenotypes 0 where a sentence says that anything is predicted, and the smallest q and p.
OF_PHENOTYPES = {
    "48, a number": (1, 0.08, 0.08),
    "48, 3 patients": (1, 0.18, 0.16),
    "48, 15 patients, and a number": (1, 0.53, 0.41),
    "48, people of unequal scales, a number": (1, 0.06, 0.05),
    "48, families of 2 (ICC .5), a number": (1, 0.58, 0.29),
    "48, 3 sites with means and scales, a number": (1, 0.23, 0.14),
}


def drawn(draw, analysis):
    return draw(np.random.default_rng(3), Noise(SHAPES[analysis]))


@pytest.mark.parametrize("name", STATS)
def test_group_maps_have_their_stored_p(name):
    found = found_by_stats(drawn(STATS[name], "stats"), 199, 0)
    assert found == pytest.approx(OF_STATS[name], rel=1e-3)


@pytest.mark.parametrize("name", associations(40))
def test_associations_have_their_stored_p(name):
    found = found_by_associate(drawn(associations(40)[name], "associate"), 199, 0)
    assert found == pytest.approx(OF_ASSOCIATE[name], rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", predictions(48))
def test_predictions_have_their_stored_p(name):
    found = found_by_phenotypes(drawn(predictions(48)[name], "phenotypes"), 99, 0)
    assert found == pytest.approx(OF_PHENOTYPES[name], rel=1e-3)


@pytest.mark.slow
def test_a_phenotype_that_is_in_the_edges_is_predicted_in_a_sentence():
    cohort = drawn(predictions(48)["48, a number"], "phenotypes")
    edges = cohort.features[0][2]
    known = replace(cohort, phenotypes={"x": Target.numbers(edges.sum(axis=1))})
    assert found_by_phenotypes(known, 199, 0)[0] == 0


def test_shares_count_cohorts_in_which_anything_is_found():
    """The mean of the smallest q and p was printed in place of shares."""
    assert shares_found([(0.05, 0.5, 1.0), (0.01, 0.06, 0.0)]) == pytest.approx([1, 0, 0.5])


def test_a_call_that_was_ended_goes_on(tmp_path):
    kept = tmp_path / "record"
    assert Record(kept).once(["a", 1], lambda: (0.5, 1.0)) == [0.5, 1.0]
    again = Record(kept)
    assert again.once(["a", 1], lambda: (0.0, 0.0)) == [0.5, 1.0]
    assert again.once(["a", 2], lambda: (0.0, 0.0)) == [0.0, 0.0]
