"""People whose maps follow from what is their own in connectomes of several sets of ROIs."""

from __future__ import annotations

import dataclasses

import numpy as np

from bids_dtg.connectome.form import Form
from bids_dtg.contrasts.people import Person

SETS, PLACES, CONTRASTS = (3, 5), 60, 4
MINUTES = 14.0


def simulated(
    people: int = 8, seed: int = 0, noise: float = 0.4, share: float = 0.5
) -> list[Person]:
    """Make people whose maps follow from a share of what is their own in their connectomes."""
    rng = np.random.default_rng(seed)
    # Each set has the same three networks in it.
    group, weights = rng.normal(size=(3, PLACES)), rng.normal(size=(CONTRASTS, 3))
    mixing = rng.normal(size=(sum(SETS), 3))
    made = []
    for number in range(people):
        networks = (group + 0.5 * rng.normal(size=group.shape)) * rng.uniform(0.7, 1.3)
        own = mixing @ networks + 0.3 * rng.normal(size=(sum(SETS), PLACES))
        maps = weights @ (group + share * (networks - group))
        maps += noise * rng.normal(size=maps.shape)
        made.append(
            Person(
                label=f"{number:02d}",
                connectomes=own[None].astype(np.float16),
                weights=(840.0,),
                sessions=(maps.astype(np.float32),),
                form=Form("partial", SETS),
                minutes=MINUTES,
            )
        )
    return made


def lacking(people: list[Person], number: int, contrast: int) -> list[Person]:
    """Return people of whom one lacks a contrast."""
    maps = people[number].maps.copy()
    maps[contrast] = np.nan
    changed = dataclasses.replace(people[number], sessions=(maps,))
    return [*people[:number], changed, *people[number + 1 :]]
