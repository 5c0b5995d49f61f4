from __future__ import annotations

import numpy as np

from bids_dtg.contrasts.phantom.phenotype import phenotype
from bids_dtg.phantom.streams import Cohort


def test_traits_explain_the_scores_in_part(phantom):
    people = [phantom.person(Cohort.TRAINING, n) for n in range(400)]
    known = [phenotype(person) for person in people]
    traits = np.array([person.traits[:4] for person in people])
    values = [
        [p.age for p in known],
        [p.sex == "F" for p in known],
        [p.reasoning for p in known],
        [p.vigilance for p in known],
    ]
    r = [np.corrcoef(v, t)[0, 1] for v, t in zip(values, traits.T, strict=True)]
    assert 0.6 < r[0] < 0.8
    assert 0.45 < r[1] < 0.7
    assert abs(r[2] - np.sqrt(0.6)) < 0.08
    assert abs(r[3] - np.sqrt(0.3)) < 0.12
    assert abs(np.mean(values[2]) - 100) < 3
    assert all(22 <= p.age <= 37 and p.sex in "FM" for p in known)
    assert phenotype(people[0]) == phenotype(phantom.person(Cohort.TRAINING, 0))
