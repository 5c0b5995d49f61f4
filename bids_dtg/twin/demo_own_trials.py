"""The demo's unseen people with known first trials: how well the remaining trials are predicted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bids_dtg.twin.judging.behaviour import Answers, means
from bids_dtg.twin.judging.cohort import Cohort
from bids_dtg.twin.judging.scores import people_fit, response_crps
from bids_dtg.twin.own_trials.first_trials import first_trials

if TYPE_CHECKING:
    from bids_dtg.twin.distribution import Distribution
    from bids_dtg.twin.fitting import Fitted

Values = NDArray[np.float64]

KNOWN = 20  # first trials of each person
CONNECTOME, TRIALS, BOTH, CLOSED_FORM = (
    "connectome",
    "own trials",
    "both",
    "own trials, no network",
)
_MS = 1000.0


@dataclass(frozen=True, eq=False)
class DemoOwnTrials:
    """Mean response times of people over the trials after the known ones, in seconds."""

    trials: int  # how many come after the known ones
    observed: Values  # (people,)
    predicted: Mapping[str, Values]  # (people,), by what the prediction is made from
    crps: Mapping[str, float]  # of single responses, mean over people, likewise

    def words(self) -> Iterator[str]:
        """Yield the results as lines."""
        yield (
            f"the first {KNOWN} trials of each unseen person known, the other {self.trials} "
            "predicted (--own-trials):"
        )
        for name, predicted in self.predicted.items():
            fit = people_fit(predicted, self.observed)
            known = np.isfinite(fit.r.mean)
            r = f"{fit.r.mean:.2f} ({fit.r.low:.2f} to {fit.r.high:.2f})" if known else "none"
            yield (
                f"  from {name:24}mean rt: r {r:21} error {_MS * fit.error.mean:3.0f} ms   "
                f"CRPS {_MS * self.crps[name]:.1f} ms"
            )
        yield "In real people, own trials without a network do as well as with one."


def predict_rest(fitted: Fitted, unseen: Cohort, training: Cohort) -> DemoOwnTrials:
    """Predict the later trials of unseen people from their first ones and their connectomes."""
    # Imported here, so that a missing package is reported at once.
    from bids_dtg.twin.few_shot.prior import FewShot, codes_of, nothing_known

    (prior,) = FewShot.learn(fitted, training.segments).tasks
    people = first_trials(unseen.segments, 0, KNOWN)
    assert unseen.connectomes is not None
    codes = codes_of(fitted, unseen.connectomes)
    found: dict[str, Distribution] = {}
    if codes is not None and prior.connectome is not None:
        nothing = nothing_known(people)
        found[CONNECTOME] = prior.predict(fitted, nothing, unseen.segments, codes).distribution
    found[TRIALS] = prior.predict(fitted, people, unseen.segments, None).distribution
    if CONNECTOME in found:
        found[BOTH] = prior.predict(fitted, people, unseen.segments, codes).distribution
    found[CLOSED_FORM] = prior.predict_without_network(people)
    rest = people.rest
    later = people.later & (people.answers.condition >= 0)
    return DemoOwnTrials(
        trials=int(later.sum(axis=1).max()),
        observed=means(rest.rt_seconds, rest.scored & later & np.isfinite(rest.rt_seconds)),
        predicted={name: means(each.mean_seconds, later) for name, each in found.items()},
        crps={
            name: float(np.nanmean(means(_crps(each, rest), rest.scored & later)))
            for name, each in found.items()
        },
    )


def _crps(predicted: Distribution, rest: Answers) -> Values:
    return np.asarray(response_crps(predicted.answered, predicted.seconds, rest), np.float64)
