from __future__ import annotations

import numpy as np
import pytest

from bids_dtg.contrasts.analyses.simple_models import baselines, leave_one_out
from bids_dtg.contrasts.judging.scores import GROUP_AVERAGE, LINEAR
from bids_dtg.contrasts.people import Person
from bids_dtg.errors import DatasetError

PEOPLE = 8
SEGMENTS = 3
ROIS = 4
CONTRASTS = 2
VOXELS = 120
PARCELS = np.arange(VOXELS) // 40


def cohort(seed=0):
    rng = np.random.default_rng(seed)
    rest = rng.normal(size=(PEOPLE, SEGMENTS, ROIS, VOXELS)).astype(np.float16)
    maps = rng.normal(size=(PEOPLE, CONTRASTS, VOXELS)).astype(np.float32)
    return [
        Person(str(n), rest[n], (400.0,) * SEGMENTS, (maps[n],)) for n in range(PEOPLE)
    ]


FAMILIES = {"1": "a", "2": "a"}


def design(connectome, inside):
    x = connectome[:, inside].astype(float)
    z = (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)
    return np.column_stack([z.T, np.ones(inside.sum())])


def published(training, person, drawn):
    """The published baseline by numpy alone; `drawn` are the training people's segments."""
    predictions = np.zeros((CONTRASTS, VOXELS))
    for label in np.unique(PARCELS):
        inside = label == PARCELS
        fits = [
            np.linalg.lstsq(
                design(p.connectomes[k], inside), p.maps[:, inside].T, rcond=None
            )[0]
            for p, k in zip(training, drawn, strict=True)
        ]
        parts = [
            design(segment, inside) @ np.mean(fits, axis=0)
            for segment in person.connectomes
        ]
        predictions[:, inside] = np.mean(parts, axis=0).T
    return predictions


def drawn_segments(seed):
    rng = np.random.default_rng(seed)
    return [rng.integers(SEGMENTS) for _ in range(PEOPLE)]


def test_linear_tavor_is_the_published_model():
    people, drawn = cohort(), drawn_segments(5)
    assert len(set(drawn)) > 1
    simple = baselines(people[:6], PARCELS, 5)
    expected = published(people[:6], people[7], drawn[:6])
    np.testing.assert_allclose(simple.models[LINEAR](people[7]), expected, atol=1e-4)
    assert simple.people == 6
    reported = simple.record[LINEAR]
    assert (reported["parcels"], reported["coefficients"], reported["seed"]) == (
        3,
        5,
        5,
    )


def test_leaving_one_out_is_the_published_model_of_the_others():
    people, drawn = cohort(), drawn_segments(5)
    simple = leave_one_out(people, PARCELS, 5, FAMILIES)
    expected = published(people[:3] + people[4:], people[3], drawn[:3] + drawn[4:])
    np.testing.assert_allclose(simple.models[LINEAR](people[3]), expected, atol=1e-4)
    assert simple.people == PEOPLE - 1


def with_maps(person, maps):
    return Person(person.label, person.connectomes, person.weights, (maps,))


def test_relatives_are_left_out_with_a_person():
    """Person 1 is a relative of 2, or a copy: nothing of 1 is in what is predicted for 2."""
    people = cohort()
    changed = [people[0], with_maps(people[1], people[1].maps + 50), *people[2:]]
    before, after = (
        leave_one_out(some, PARCELS, 5, FAMILIES) for some in (people, changed)
    )
    for name in (GROUP_AVERAGE, LINEAR):
        maps = [some.models[name](people[2]) for some in (before, after)]
        np.testing.assert_allclose(*maps, atol=1e-4)
    family = {person.label: "a" for person in people}
    with pytest.raises(
        DatasetError, match="all 8 participants are of one family, or have"
    ):
        leave_one_out(people, PARCELS, 5, family)
