from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.contrasts.contrast import Contrast
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.workflows.modelling.baselines import GROUP_AVERAGE, KERNEL_RIDGE
from bids_dtg.workflows.modelling.person_arrays import Person
from bids_dtg.workflows.modelling.score import (
    contrast_rows,
    paired_rows,
    score_models,
    summary_row,
)

PEOPLE, CONTRASTS, VOXELS = 12, 2, 400
RNG = np.random.default_rng(3)
MEAN = RNG.normal(2, 1, (CONTRASTS, VOXELS)).astype(np.float32)
MAPS = MEAN + RNG.normal(size=(PEOPLE, CONTRASTS, VOXELS)).astype(np.float32)
LABELS = tuple(Contrast(n, f"c{n}", "", "", "") for n in range(CONTRASTS))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    nothing = np.zeros((1, 1, VOXELS), np.float16)
    people = [Person(str(n), nothing, (1.0,), (maps,)) for n, maps in enumerate(MAPS)]
    noise = RNG.normal(size=MAPS.shape).astype(np.float32)

    def half(person: Person) -> np.ndarray:
        """Know people in the first contrast only."""
        maps = person.maps + 0.5 * noise[int(person.label)]
        maps[1] = 7.0
        return maps

    models = {
        GROUP_AVERAGE: lambda person: MEAN,
        KERNEL_RIDGE: lambda person: MEAN,
        "model": half,
        "mean": lambda person: MEAN,
        "known": lambda person: person.maps,
        "another's": None,
    }
    store = ArrayStore(tmp_path_factory.mktemp("store"))
    scored = score_models(
        models,
        people,
        LABELS,
        mean_maps=MEAN,
        store=store,
        report=lambda line: None,
        r_only=[KERNEL_RIDGE],
    )
    return {one.name: one for one in scored}


def test_a_constant_map_counts_as_knowing_nothing(found):
    row = summary_row(found["model"], found[GROUP_AVERAGE])
    first = found["model"].scores["r"][0].mean()
    assert first > 0.8
    assert row["r"][0] == pytest.approx(first / 2, abs=1e-3)
    # Who predicts the mean map deviates from it for nobody.
    row = summary_row(found["mean"], found[GROUP_AVERAGE])
    assert row["residual_r"] == [0.0, 0.0, 0.0]


def test_what_knows_everybody_else_has_r_and_no_score_of_individuality(found):
    row = summary_row(found[KERNEL_RIDGE], found[GROUP_AVERAGE])
    assert "r_minus_group_average" in row
    assert not {"residual_r", "index", "ratio", "identification"} & set(row)
    assert not found[KERNEL_RIDGE].matrices
    rows = contrast_rows(list(found.values()), found[GROUP_AVERAGE], LABELS)
    told = {(one["model"], one["contrast"]): one["residual_r"] for one in rows}
    assert told[KERNEL_RIDGE, "c0"] is None
    assert told["known", "c0"] == 1.0


def test_a_model_is_paired_with_simple_ones_only_and_its_interval_is_of_differences(found):
    first, second = paired_rows(list(found.values()), "known")
    assert [first["model"], second["model"]] == [GROUP_AVERAGE, KERNEL_RIDGE]
    difference = (found["known"].scores["r"] - found[GROUP_AVERAGE].scores["r"]).mean()
    assert first["r"][0] == pytest.approx(difference, abs=1e-4)
    assert first["r"][1] <= first["r"][0] <= first["r"][2]
    assert set(second) == {"model", "r"}


def test_maps_of_another_participant_are_those_of_the_model_before(found):
    own, another = found["known"].matrices, found["another's"].matrices
    for q in range(CONTRASTS):
        np.testing.assert_allclose(another[q], np.roll(own[q], -1, axis=1), atol=1e-6)
    assert not found["another's"].scores["identified"].any()
