"""Decoding of network outputs: each trial's response time, button and probability of a miss.

A network is deterministic. Trained on held targets (1 from the press to the window's end), it
outputs the cumulative distribution of a person's response times, one curve for each button, rather
than the responses in single trials. The paper does not state its decoding rule (Takahashi et al.,
2026, doi:10.34133/bmef.0231); this one is exact for held targets, and differentiable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bids_dtg.array_types import Codes, Floats, Indices, Integers, Values
from bids_dtg.twin.trial_series import STEP_SECONDS, Segments

_TIED = 1e-6  # buttons are equally likely if their curves end closer than this
_SMALLEST = 1e-6  # probability of a response; smaller ones are set to it


@dataclass(frozen=True, eq=False)
class Windows:
    """Positions of trials' curves in outputs; the leading axis is people who saw different things.

    A curve has w steps; beyond the end of its window, the window's last step is repeated.
    """

    place: Tensor  # (..., trials, w): of a step, counted through all segments
    is_button: Tensor  # (..., trials, buttons): whether the button is one of the task's
    seconds: Tensor  # (..., trials, w): time since the trial's onset

    @classmethod
    def of(cls, segments: Segments) -> Windows:
        """Find the windows of all trials in segments of one person or several."""
        rows, tasks = segments.trials, segments.tasks
        task = _each(rows.task)
        first, last, onset, window, segment = (
            _each(values)[..., None]
            for values in (
                rows.first_step,
                rows.last_step,
                rows.onset_step,
                rows.window_seconds,
                rows.segment,
            )
        )
        step = first + np.arange(tasks.window_steps)
        # At the last step targets hold all responses of the window: it stands for the end.
        seconds = np.where(step < last, (step - onset) * STEP_SECONDS, window)
        place = segment * segments.action.shape[-2] + np.minimum(step, last)
        has_window = (task >= 0)[..., None] & (last >= first)
        buttons = tasks.own_buttons[task] & has_window
        return cls(*(torch.from_numpy(values) for values in (place, buttons, seconds)))

    def curves(self, outputs: Tensor) -> Tensor:
        """Return the curve of each of a trial's buttons, (..., trials, w, buttons).

        Parameters
        ----------
        outputs
            (..., segments, steps, buttons or more): probabilities; of the same people, where
            these saw different things.
        """
        flat = outputs[..., : self.is_button.shape[-1]].flatten(-3, -2)
        if self.place.ndim == 2:
            curves = flat[..., self.place, :]
        else:
            curves = flat[torch.arange(len(flat))[:, None, None], self.place]
        nothing = torch.zeros((), dtype=curves.dtype)
        return torch.where(self.is_button[..., None, :], curves, nothing)

    def mean_seconds(self, answered: Tensor) -> Tensor:
        """Return the mean response time of the responses within the window, (..., trials).

        Parameters
        ----------
        answered
            From `answered_of`; taken as linear between steps, and as 0 at the onset.
        """
        _, steps, before, later = self._steps(answered)
        return (steps * (before + later) / 2).sum(-1)

    def mean_squares(self, answered: Tensor) -> Tensor:
        """Return the mean squared response time, (..., trials); `answered` as in `mean_seconds`."""
        start, steps, before, later = self._steps(answered)
        end = start + steps
        areas = start * (2 * before + later) + end * (before + 2 * later)
        return (steps * areas / 3).sum(-1)

    def _steps(self, answered: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return start and length of each step, and the share of later responses at both ends."""
        later = 1 - answered / answered[..., -1:].clamp(min=_SMALLEST)
        before = torch.cat([torch.ones_like(later[..., :1]), later[..., :-1]], -1)
        seconds = self.seconds.to(answered.dtype)
        zero = torch.zeros_like(seconds[..., :1])
        steps = torch.diff(seconds, dim=-1, prepend=zero).clamp(min=0)
        return torch.cat([zero, seconds[..., :-1]], -1), steps, before, later


def answered_of(curves: Tensor) -> Tensor:
    """Return the probability that any button has been pressed by each step, (..., trials, w).

    It never falls: a press cannot be undone, and networks release buttons before a window ends.
    """
    return curves.sum(-1).cummax(-1).values.clamp(0, 1)


@dataclass(frozen=True, eq=False)
class Decoded:
    """Predicted response of each trial; leading axes are those of the outputs.

    A curve has w steps, from the first one after the trial's onset. The last step in the response
    window stands for its end; beyond it the curve is constant.
    """

    seconds: Floats  # (..., trials, w): time of each step of the curves since the trial's onset
    curve: Floats  # (..., trials, w, buttons): probability that it has been pressed by then
    answered: Floats  # (..., trials, w): probability that any has been: F(t), which never falls
    # (..., trials): mean time of responses in the window, however few
    given_seconds: Floats
    rt_seconds: Floats  # (..., trials): when F crosses 0.5; NaN: it never does
    # (..., trials): likeliest at the window's end; -1: none stands out
    button: Codes

    def correct(self, correct_button: Integers) -> Floats:
        """Return the probability of a correct press by each step, (..., trials, w).

        A press counts from its time on, although networks release a button before a window ends.

        Parameters
        ----------
        correct_button
            (..., trials): index of each trial's correct button; -1: none, treated as 0.
        """
        button = np.clip(correct_button, 0, None).astype(np.intp)[..., None, None]
        curve = np.take_along_axis(self.curve, button, axis=-1)[..., 0]
        rising = np.maximum.accumulate(curve, axis=-1)
        return np.asarray(np.minimum(rising, self.answered))

    @property
    def miss(self) -> Floats:
        """Probability of no response within the window: (..., trials)."""
        return 1.0 - self.answered[..., -1]

    @property
    def mean_seconds(self) -> Floats:
        """Mean response time of the responses within the window; NaN where `rt_seconds` is."""
        is_given = np.isfinite(self.rt_seconds)
        return np.asarray(np.where(is_given, self.given_seconds, np.nan))

    @property
    def ends(self) -> Floats:
        """Probability that each button is pressed within the window, (..., trials, buttons).

        The probability of any response is split by the shares at the window's end. Networks learn
        that held buttons are released there, and begin to release them a little early.
        """
        end = self.curve[..., -1, :]
        total, shares = end.sum(axis=-1, keepdims=True), np.zeros_like(end)
        np.divide(end, total, out=shares, where=total > 0)
        return np.asarray(shares * self.answered[..., -1:])

    def quantile(self, share: float) -> Floats:
        """Return the time by which a share of the responses within the window is given.

        Misses do not count here; they do in `rt_seconds`, which is the median of all trials.

        Parameters
        ----------
        share
            Share of the responses, above 0 and at most 1.

        Returns
        -------
        numpy.ndarray
            (..., trials), seconds; NaN where there is no response.
        """
        end = self.answered[..., -1:]
        shares = np.zeros_like(self.answered)
        np.divide(self.answered, end, out=shares, where=end > 0)
        return _crossing(shares, self.seconds, share)


@torch.no_grad()
def decode(outputs: Floats, segments: Segments) -> Decoded:
    """Decode each trial's response from network outputs.

    The response time is where the total over the task's own buttons first crosses 0.5, in seconds
    from the onset, linear between steps and from 0 at the onset. The button is the one with the
    largest output at the end of the response window. From the segments' own targets, decoding
    recovers the person's response time within one step, and the button (-1 where there was none, or
    an unknown one).

    Parameters
    ----------
    outputs
        (..., s, steps, buttons or more): probability that each button is down, from 0 to 1, of
        networks that performed `segments`. With segments of several people who saw different
        things, (people, s, steps, buttons); otherwise the leading axes are free.
    segments
        Segments that the networks performed.

    Returns
    -------
    Decoded
        The trials of `segments.trials`, in that order; padding rows and trials whose window has no
        step have no response time and no button.

    Examples
    --------
    `bids_dtg.twin.trial_series.stack_people` shows a run of two trials: one response after 0.64 s,
    and a miss.
    """
    windows = Windows.of(segments)
    curves = windows.curves(torch.from_numpy(np.ascontiguousarray(outputs)))
    answered = answered_of(curves)
    curve, seconds = curves.numpy(), windows.seconds.numpy()
    rising = answered.numpy()
    end = curve[..., -1, :]
    best = np.sort(end, axis=-1)[..., -2:]
    stands_out = best[..., -1] - (best[..., 0] if end.shape[-1] > 1 else 0.0) > _TIED
    return Decoded(
        seconds=seconds,
        curve=curve,
        answered=rising,
        given_seconds=windows.mean_seconds(answered).numpy(),
        rt_seconds=_crossing(rising, seconds, 0.5),
        button=np.where(stands_out, end.argmax(axis=-1), -1).astype(np.int8),
    )


def _each(shown: Values) -> Values:
    """Drop the axis of people if its length is 1, that is, if all saw the same."""
    return shown[0] if shown.ndim == 2 and len(shown) == 1 else shown


def _crossing(rising: Floats, seconds: Floats, level: float) -> Floats:
    """Return when curves that never fall, (..., trials, w), first reach a level; NaN: never."""
    over = rising >= level
    place = over.argmax(axis=-1)[..., None]
    seconds = np.broadcast_to(seconds, rising.shape)

    def at(values: Floats, places: Indices) -> Floats:
        # Before the first step are the onset, and no response.
        chosen = np.take_along_axis(values, np.maximum(places, 0), axis=-1)
        return np.asarray(np.where(places < 0, 0.0, chosen)[..., 0])

    low, high = at(rising, place - 1), at(rising, place)
    before, after = at(seconds, place - 1), at(seconds, place)
    gain = np.where(over.any(axis=-1), high - low, np.nan)
    return before + (after - before) * (level - low) / gain
