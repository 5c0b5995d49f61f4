from __future__ import annotations

import csv

import numpy as np

from bids_dtg.contrasts.contrast import hcp_contrasts
from bids_dtg.contrasts.phantom.tasks import CONTRASTS, condition_list, contrast_design


def test_contrasts_are_those_of_the_published_models_in_their_order():
    assert [(c.task, c.name, c.label) for c in CONTRASTS] == [
        (c.task, c.name, c.label) for c in hcp_contrasts()
    ]


def test_contrasts_are_those_of_the_facts(shared):
    with (shared / "facts" / "contrasts.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [f"{c.task} {c.name}" for c in CONTRASTS] == [row["hcp_name"] for row in rows]
    assert [c.label for c in CONTRASTS] == [row["label"] for row in rows]


def test_the_design_has_unit_rows_and_full_rank():
    design = contrast_design()
    assert design.shape == (47, 24)
    np.testing.assert_allclose(np.linalg.norm(design, axis=1), 1.0)
    assert np.linalg.matrix_rank(design) == 24


def test_differences_are_differences_of_conditions():
    design, columns = contrast_design(), condition_list()
    row = {c.label: design[i] for i, c in enumerate(CONTRASTS)}
    math_minus_story = row["languageMath"] - row["languageStory"]
    np.testing.assert_allclose(np.sqrt(2) * row["languageMathVsStory"], math_minus_story)
    # An average of four conditions of variance 1 has variance 1/4: z is twice the mean.
    body = [columns.index(("WM", f"{load}_BODY")) for load in ("2BK", "0BK")]
    np.testing.assert_allclose(row["wmBody"][body], np.sqrt(0.5))
    for contrast in CONTRASTS:
        within = [i for i, (task, _) in enumerate(columns) if task != contrast.task]
        assert not row[contrast.label][within].any()
        assert bool(contrast.minus) == bool(np.isclose(row[contrast.label].sum(), 0))
