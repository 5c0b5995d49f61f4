"""Choose the ridge penalty of partial connectomes on the training people, or keep the default.

The choice is made with the linear model, which is fitted quickly, and holds for all kinds of
model. Validation and test people are not used.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_dtg.connectome.form import Form
from bids_dtg.contrasts.linear import LinearSums, Parcels, fit_person, mean_features
from bids_dtg.contrasts.people import Array, Person
from bids_dtg.contrasts.site_sums import form_of_sums
from bids_dtg.notices import counted
from bids_dtg.stats.linear import mean_fits, predict_regions
from bids_dtg.stats.splits import fold_people

RIDGES = (0.0, 0.5, 1.0, 2.0)  # candidates
FEWEST_PEOPLE = 20  # to choose the ridge by
_MOST_PEOPLE = 100  # more only take time
_PLACES = 5000  # evenly from all: each ROI has one coefficient for all of them
_FOLDS = 5
BEYOND_CHANCE = 2.0  # standard errors: below this, residual r may be 0
_WHOLE = Parcels(None)


@dataclass(frozen=True)
class RidgeChoice:
    """A form with its ridge, and how the ridge was chosen.

    Examples
    --------
    >>> RidgeChoice(Form("partial"), people=12).line
    'ridge 1, the default: 12 participants are too few to choose it by'
    """

    form: Form  # chosen
    people: int  # number of people it was chosen by
    # By ridge: mean over people of residual r, and its standard error. Empty: not tried.
    residual_r: Mapping[float, tuple[float, float]] = dataclasses.field(default_factory=dict)
    of_sums: bool = False  # whether it is the ridge of other sites' sums

    @property
    def is_default(self) -> bool:
        """Whether residual r was computed and may be 0."""
        best, error = max(self.residual_r.values(), default=(0.0, 0.0))
        return best <= BEYOND_CHANCE * error

    @property
    def line(self) -> str:
        """Describe the choice in a line; empty if the form has no ridge."""
        if not self.form.row.joint or self.form.fixed is not None:
            return ""
        found = f"ridge {self.form.ridge:g}"
        people = counted(self.people, "participant")
        if self.of_sums:
            return f"{found}, that of the sums of other sites"
        if not self.residual_r:
            return f"{found}, the default: {people} are too few to choose it by"
        if self.is_default:
            return f"{found}, the default: the linear model finds nothing individual in {people}"
        figures = ", ".join(f"{ridge:g}: {r:.3f}" for ridge, (r, _) in self.residual_r.items())
        return found + (
            ", the smallest whose residual r is within a standard error of the best "
            f"({figures}; linear model, {people} each left out once)"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the key `connectome` of a card's record; nothing where the form has no ridge."""
        if not self.form.row.joint or self.form.fixed is not None:
            return {}
        found: dict[str, Any] = {"ridge": self.form.ridge, "participants": self.people}
        tried = {
            f"{ridge:g}": {"residual_r": round(r, 4), "standard_error": round(error, 4)}
            for ridge, (r, error) in self.residual_r.items()
        }
        chosen = "smallest within a standard error of the best"
        if self.is_default:
            chosen = "default: nothing individual was found" if tried else "default: few people"
        if self.of_sums:
            chosen = "that of the sums of other sites"
        return {"connectome": {**found, "chosen": chosen, **({"tried": tried} if tried else {})}}


def choose_ridge(
    people: Sequence[Person],
    *,
    seed: int,
    families: Mapping[str, str] | None = None,
    sums: Sequence[str] = (),
) -> RidgeChoice:
    """Choose the ridge of a joint form by the training people.

    The smallest ridge of `RIDGES` whose residual r, of people left out of the linear model, is
    within a standard error of the best. A weaker ridge hardly lowers residual r and identifies
    more people: the penalty first removes what differs between them.

    Parameters
    ----------
    people
        Training people; with fewer than `FEWEST_PEOPLE`, or for a form without a ridge, nothing is
        chosen.
    seed
        Seed of the groups that are left out together.
    families
        Family by label: families are left out together.
    sums
        Files of other sites' sums: their ridge is taken, as sums of different ridges cannot be
        added.
    """
    form = people[0].form
    folds = _folds([person.label for person in people], seed, families)
    # Connectomes that were made elsewhere come without the ROIs' correlations.
    known_rois = all(person.roi_r is not None for person in people) and form.fixed is None
    if sums and form.row.joint and known_rois:
        return RidgeChoice(form_of_sums(sums, form), len(people), of_sums=True)
    if not folds or not form.row.joint or not known_rois:
        return RidgeChoice(form, len(people))
    known = {person.label: person for person in people}
    groups = [[_part(known[label]) for label in fold] for fold in folds]
    found = {}
    for ridge in RIDGES:
        of_form = dataclasses.replace(form, ridge=ridge)
        r = _residual_r([[person.with_form(of_form) for person in group] for group in groups])
        if len(r) < 2:  # people do not differ
            return RidgeChoice(form, len(r))
        found[ridge] = float(r.mean()), float(r.std(ddof=1) / np.sqrt(len(r)))
    choice = RidgeChoice(form, len(r), found)
    if choice.is_default:
        return choice
    best, error = max(found.values())
    smallest = next(ridge for ridge, (mean, _) in found.items() if mean >= best - error)
    return dataclasses.replace(choice, form=dataclasses.replace(form, ridge=smallest))


def _folds(
    labels: Sequence[str], seed: int, families: Mapping[str, str] | None
) -> tuple[tuple[str, ...], ...]:
    """Draw groups of people to leave out together; none if people or families are too few."""
    if len(labels) < FEWEST_PEOPLE:
        return ()
    drawn = sorted(np.random.default_rng(seed).permutation(sorted(labels))[:_MOST_PEOPLE].tolist())
    try:
        return fold_people(drawn, _FOLDS, seed=seed, families=families)
    except ValueError:  # all of one family
        return ()


def _part(person: Person) -> Person:
    """Return a person with some of the places, in memory."""
    number = person.maps.shape[1]
    places = np.linspace(0, number - 1, min(number, _PLACES)).astype(np.intp)
    return dataclasses.replace(
        person,
        connectomes=np.stack([segment[:, places] for segment in person.connectomes]),
        sessions=(np.asarray(person.maps[:, places]),),
    )


def _residual_r(groups: Sequence[Sequence[Person]]) -> NDArray[np.float64]:
    """Return everybody's residual r, predicted by a fit to the other groups: (people,)."""
    features = [[mean_features(person, _WHOLE) for person in group] for group in groups]
    sums = []
    for group, of_group in zip(groups, features, strict=True):
        own = LinearSums(_WHOLE)
        for person, of_person in zip(group, of_group, strict=True):
            own.add(of_person, person.maps, fit_person(person, _WHOLE))
        sums.append(own)
    found = []
    for left_out, (group, of_group) in enumerate(zip(groups, features, strict=True)):
        first, *more = (own for number, own in enumerate(sums) if number != left_out)
        others = sum(more, start=first)
        mean_maps, coefficients = others.mean_maps(), mean_fits(others.fit_sum, others.fitted)
        mean_features_of_others = others.feature_sum / others.people
        for person, of_person in zip(group, of_group, strict=True):
            # The intercept is the same for all, and a correlation ignores it.
            deviation = predict_regions(
                coefficients, of_person - mean_features_of_others, _WHOLE.regions
            )
            r = _r(deviation, person.maps - mean_maps)
            if len(r):
                found.append(r.mean())
    return np.array(found)


def _r(predicted: Array, measured: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return Pearson r over measured places, of the rows that have any."""
    known = np.isfinite(measured)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    one, other = (
        np.where(known, values - np.where(known, values, 0.0).sum(1, keepdims=True) / count, 0.0)
        for values in (predicted, measured)
    )
    squares = (one**2).sum(axis=1) * (other**2).sum(axis=1)
    defined = squares > 0
    r: NDArray[np.float64] = (one * other).sum(axis=1)[defined] / np.sqrt(squares[defined])
    return r
