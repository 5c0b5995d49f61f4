"""What motion does to features of the linear core where nothing goes with the phenotype.

    python studies/minutes_of_features.py [--cohorts 200] [--seed 0]

Cohorts of 60 simulated people of 10 regions. Who moves more keeps fewer minutes of rest (2 to 12),
and has more of the phenotype; connectivity has nothing to do with either. People of a cohort are
like the training people, or are all more strongly connected than these, as of another age. In
`motion` of both, moving also changes connectivity in what rest is left. A row has the share of
cohorts in which any of five components has a p of at most 0.05 / 5: of scores of covariances as
they are, and of shrunken ones, without and with the minutes kept as a covariate.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.edges import upper_edges
from bids_dtg.dynamics.components import Components, edges_of
from bids_dtg.dynamics.lag_covariances import GroupSums, LagCovariances
from bids_dtg.dynamics.linear import LinearModel, Strengths
from bids_dtg.stats.cohort.association import Association

Floats = NDArray[np.float64]

REGIONS, TRAINING, PEOPLE, TR_SECONDS = 10, 40, 60, 2.0
LEVEL = 0.05
STRENGTHS = Strengths(900.0, 180.0)  # 30 and 6 minutes
# By name: how much stronger all are connected than the training people, and what motion adds.
COHORTS = {
    "like the training people": (0.0, 0.0),
    "others than the training people": (1.5, 0.0),
    "others, and motion in connectivity": (1.5, 0.25),
}
WAYS = ("as measured", "as measured, minutes", "shrunken", "shrunken, minutes")


def person(mixing: Floats, shared: float, frames: int, rng: np.random.Generator) -> LagCovariances:
    """Return covariances of a person whose regions share a course to some extent."""
    white = rng.standard_normal((REGIONS, frames)) + shared * rng.standard_normal((1, frames))
    white[:, 1:] += 0.5 * white[:, :-1]
    own = mixing + 0.15 * rng.standard_normal((REGIONS, REGIONS))
    return LagCovariances.of(own @ white)


def p_values(features: Floats, tested: Floats, minutes: Floats | None) -> Floats:
    """Return p of the phenotype with each feature."""
    given = np.empty((len(tested), 0)) if minutes is None else minutes[:, None]
    found: Floats = Association.of(tested, given, None).test(features.astype(np.float32)).p
    return found


def found_in(stronger: float, motion: float, seed: int) -> list[bool]:
    """Return whether anything is found in a cohort, for each of `WAYS`."""
    rng = np.random.default_rng(seed)
    mixing = np.eye(REGIONS) + 0.2 * rng.standard_normal((REGIONS, REGIONS))
    training = [person(mixing, 1.0, 360, rng) for _ in range(TRAINING)]
    model = LinearModel.of(GroupSums.over(training), STRENGTHS)
    components = Components.of(np.stack([edges_of(own) for own in training]))
    moved = rng.standard_normal(PEOPLE)
    minutes = np.clip(7.0 - 2.5 * moved, 2.0, 12.0)
    phenotype = moved + rng.standard_normal(PEOPLE)
    people = [
        person(mixing, 1.0 + stronger + motion * more, round(60 * kept / TR_SECONDS), rng)
        for kept, more in zip(minutes, moved, strict=True)
    ]
    plain = components.scores(np.stack([edges_of(own) for own in people]))
    shrunk = components.scores(
        np.stack([upper_edges(model.infer(own).connectivity) for own in people])
    )
    return [
        bool((p_values(values, phenotype, given) <= LEVEL / values.shape[1]).any())
        for values in (plain, shrunk)
        for given in (None, minutes)
    ]


def main(arguments: list[str] | None = None) -> int:
    """Print a row a kind of cohort."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cohorts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    print("| cohorts | " + " | ".join(WAYS) + " |")
    print("|---" * (len(WAYS) + 1) + "|")
    for name, (stronger, motion) in COHORTS.items():
        found = [
            found_in(stronger, motion, options.seed + 1000 * number)
            for number in range(options.cohorts)
        ]
        shares = " | ".join(f"{share:.1%}" for share in np.mean(found, axis=0))
        print(f"| {name} | {shares} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
