"""Cohorts of fixed seeds in which there is nothing: their p and q stay what they are."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "studies"))

import numpy as np
from null_cohorts import (
    SHAPES,
    STATS,
    Noise,
    associations,
    found_by_associate,
    found_by_stats,
)

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
