"""A person's later trials, predicted from the first ones in closed form: no network is fitted.

Each row of `rows.ROWS` is learnt from training people alone and sees no trial that it predicts.

- `first_trials`: people's answers to a task, split into those that are known and those to come
- `group`: what training people share: the mean of each trial, of log response times
- `curves`: distributions of response times, by location, scale and shape
- `rates`: misses and errors, one model for all rows
- `shares`: the distribution of a trial's condition, or of the trial: nothing of the person
- `shifted`: the group's distribution, stretched by the person's mean log ratio to the group
- `spread`: a person's own spread about predicted log response times, and its shape
- `shifted_scale`: the same level, and the person's own spread in place of the group's
- `person_effects`: a person's level, condition effect and practice
- `lognormal`: a hierarchical shifted log-normal
- `diffusion`: drift diffusion by moments of own trials (EZ)
- `rows`: the table of predictions, and the predictions of a cohort
- `closed_form`: what a model keeps of `person_effects` to predict new people
"""

from __future__ import annotations

from bids_dtg.twin.own_trials.first_trials import FirstTrials, Own
from bids_dtg.twin.own_trials.rows import BEST, RIVAL, ROWS, Row, predictions

__all__ = ["BEST", "RIVAL", "ROWS", "FirstTrials", "Own", "Row", "predictions"]
