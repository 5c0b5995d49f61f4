"""One phenotype of certain people, asked of one set of features after another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.stats.prediction.comparison import compare_outcomes
from bids_dtg.stats.prediction.folds import Folds
from bids_dtg.stats.prediction.phenotypes import (
    Outcome,
    Target,
    predict_equally,
    predict_phenotype,
)
from bids_dtg.stats.prediction.ridge import Features, join_features
from bids_dtg.stats.verdict import Verdict

Index = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Question:
    """What all sets of features are asked: the same people, folds, confounds and permutations.

    Examples
    --------
    >>> from bids_dtg.stats.prediction.folds import repeated_folds
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((60, 4))
    >>> target, folds = Target.numbers(x[:, 0] + rng.standard_normal(60)), repeated_folds(range(60))
    >>> question = Question(target, folds, baseline=Features.of(x[:, 1:]))
    >>> beside = question.beside_baseline(Features.of(x), question.predict(Features.of(x))[1])
    >>> beside["added"].word
    'better'
    """

    target: Target
    folds: Folds
    confounds: NDArray[np.float64] | None = None  # (people, columns)
    orders: Index | None = None  # (permutations, people)
    seed: int = 0  # of the inner folds, and of samples of people
    baseline: Features | None = None  # what all other features are compared with
    _kept: dict[str, Outcome] = field(default_factory=dict)

    def predict(self, features: Features) -> tuple[Outcome, Outcome]:
        """Predict with the published and with the nested penalty, in permuted people too."""
        found = predict_phenotype(
            features,
            self.target,
            self.folds,
            confounds=self.confounds,
            permutations=self.orders,
            seed=self.seed,
        )
        return found["published"], found["nested"]

    def beside_baseline(self, features: Features, own: Outcome) -> Mapping[str, Verdict]:
        """Compare features with the baseline, by the headline of the target.

        Parameters
        ----------
        features
            Features of the same people, (people, features).
        own
            What they predict with the nested penalty.

        Returns
        -------
        Mapping
            ``over``: features less baseline, both with nested penalties; ``over_equal``: the same
            with equal degrees of freedom; ``added``: both together (the sum of their kernels,
            each of the same total variance) less the baseline alone. Empty without a baseline.
        """
        if self.baseline is None:
            return {}
        alone = self._baseline_alone(self.baseline)
        equal = predict_equally(
            {"own": features, "baseline": self.baseline},
            self.target,
            self.folds,
            confounds=self.confounds,
            seed=self.seed,
        )
        together = self._nested(join_features([self.baseline, features]))
        return {
            "over": self._compare(own, alone),
            "over_equal": self._compare(equal["own"], equal["baseline"]),
            "added": self._compare(together, alone),
        }

    def points(self, outcome: Outcome) -> NDArray[np.float64]:
        """Return measured and predicted values, the mean over repeats, (people, 2)."""
        predicted = (outcome.baseline + outcome.predicted).mean(axis=0)
        return np.column_stack([self.target.values, predicted])

    def _baseline_alone(self, baseline: Features) -> Outcome:
        if "baseline" not in self._kept:
            self._kept["baseline"] = self._nested(baseline)
        return self._kept["baseline"]

    def _nested(self, features: Features) -> Outcome:
        found = predict_phenotype(
            features,
            self.target,
            self.folds,
            confounds=self.confounds,
            penalties=("nested",),
            seed=self.seed,
        )
        return found["nested"]

    def _compare(self, own: Outcome, other: Outcome) -> Verdict:
        return compare_outcomes(own, other, self.target, self.folds, seed=self.seed)
