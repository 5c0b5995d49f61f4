"""Age, sex and scores of simulated people, which their traits explain in part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bids_dtg.contrasts.phantom.model import Person
from bids_dtg.phantom.streams import Purpose

_AGE_MEAN, _AGE_SD, _AGE_RANGE = 28.8, 3.7, (22, 37)  # years, as young adults of HCP
_SCORE_MEAN, _SCORE_SD = 100.0, 15.0
# Share of variance that a trait explains.
_SHARES = {"age": 0.5, "sex": 0.5, "reasoning": 0.6, "vigilance": 0.3}


@dataclass(frozen=True)
class Phenotype:
    """Phenotype of a person."""

    age: int  # years
    sex: str  # "F" or "M"
    reasoning: float  # a score that traits explain well; mean 100, sd 15
    vigilance: float  # a score that they explain less; mean 100, sd 15


def phenotype(person: Person) -> Phenotype:
    """Draw a person's phenotype: each score from one trait, and noise."""
    chance = person.stream(Purpose.PHENOTYPE).standard_normal(len(_SHARES))
    age, sex, reasoning, vigilance = (
        np.sqrt(share) * trait + np.sqrt(1.0 - share) * luck
        for share, trait, luck in zip(_SHARES.values(), person.traits, chance, strict=False)
    )
    return Phenotype(
        age=int(np.clip(round(_AGE_MEAN + _AGE_SD * age), *_AGE_RANGE)),
        sex="F" if sex > 0 else "M",
        reasoning=round(_SCORE_MEAN + _SCORE_SD * float(reasoning), 1),
        vigilance=round(_SCORE_MEAN + _SCORE_SD * float(vigilance), 1),
    )
