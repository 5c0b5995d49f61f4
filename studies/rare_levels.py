"""How often `phenotypes` calls features better or worse than edges where both are noise.

    python studies/rare_levels.py [--cohorts 400] [--repeats 10] [--seed 5]

A phenotype of two levels, few people of one; features and edges of 200 columns each that say
nothing. A row a kind of cohort and a kind of comparison: the share of cohorts with each verdict
(95 % interval by Wilson), and what interval and p alone would have called so, without the rule that
a verdict needs 15 people of the rarer level.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import astuple, replace

import numpy as np
from scipy.special import ndtri, stdtrit

from bids_dtg.stats.paired import Interval, wilson_interval
from bids_dtg.stats.prediction.folds import repeated_folds
from bids_dtg.stats.prediction.phenotypes import Target
from bids_dtg.stats.prediction.question import Question
from bids_dtg.stats.prediction.ridge import Features
from bids_dtg.stats.verdict import BETTER, WORSE, Verdict

COHORTS = ((8, 100), (10, 100), (15, 100), (15, 48))  # people of the rarer level, people
COLUMNS = 200
COMPARISONS = ("over", "over_equal", "added")


def judge(rare: int, people: int, repeats: int, seed: int) -> dict[str, Verdict]:
    """Return the verdicts of one cohort in which there is nothing."""
    rng = np.random.default_rng([seed, rare, people])
    level = np.where(rng.permutation(people) < rare, "patient", "control")
    target = Target.two_levels(level.tolist())
    folds = repeated_folds(
        np.arange(people),
        repeats=repeats,
        seed=seed,
        levels=(target.values > 0).astype(np.intp),
    )
    features, edges = (Features.of(rng.standard_normal((people, COLUMNS))) for _ in range(2))
    question = Question(target, folds, seed=seed, baseline=edges)
    return dict(question.beside_baseline(features, question.predict(features)[1]))


def rows(found: dict[str, list[Verdict]]) -> Iterator[str]:
    """Yield a line for each comparison."""
    for name, verdicts in found.items():
        any_number = [replace(verdict, rarer=None) for verdict in verdicts]
        # By the interval alone: p is of the wider flips.
        given = [replace(own, difference=_given(own), p=0.0, rarer=None) for own in verdicts]
        cells = [
            f"{_share(own, BETTER)} | {_share(own, WORSE)}" for own in (verdicts, any_number, given)
        ]
        yield f"{name} | {' | '.join(cells)} |"


def _given(verdict: Verdict) -> Interval:
    """Return the interval that takes predictions as given."""
    mean, low, high = astuple(verdict.difference)
    rarer = verdict.rarer or 0
    wider = 2**0.5 * stdtrit(rarer - 1, 0.975) / ndtri(0.975) * np.sqrt(rarer / (rarer - 1))
    return Interval(mean, mean - (mean - low) / wider, mean + (high - mean) / wider)


def _share(verdicts: list[Verdict], word: str) -> str:
    share = wilson_interval(float(np.mean([own.word == word for own in verdicts])), len(verdicts))
    return f"{100 * share.mean:.1f} [{100 * share.low:.1f}, {100 * share.high:.1f}]"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    titles = "verdict: better, %", "worse", "any number: better", "worse", "given: better", "worse"
    print(f"| rarer | cohorts | comparison | {' | '.join(titles)} |\n|{'---|' * 9}")
    for rare, people in COHORTS:
        found: dict[str, list[Verdict]] = {name: [] for name in COMPARISONS}
        for cohort in range(options.cohorts):
            verdicts = judge(rare, people, options.repeats, options.seed * 10_000 + cohort)
            for name in COMPARISONS:
                found[name].append(verdicts[name])
        for row in rows(found):
            print(f"| {rare} of {people} | {options.cohorts} | {row}", flush=True)


if __name__ == "__main__":
    main()
