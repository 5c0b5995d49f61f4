"""How a twin's figures depend on its connectome: gradients averaged over noisy copies.

SmoothGrad: Smilkov et al., 2017, arXiv:1706.03825; Takahashi et al., 2026,
doi:10.34133/bmef.0231. The gradient is that of the decoded figure itself: of the time at which a
trial's curve crosses 0.5, averaged over trials.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bids_dtg.twin.decoding import Windows
from bids_dtg.twin.judging.cohort import EFFECT, Target, answers_of, targets_of
from bids_dtg.twin.network.main import MainWeights, perform
from bids_dtg.twin.trial_series import Segments

_AT_ONCE = 20  # people in a batch: states of all steps are kept for the gradient
COPIES = 10  # noisy copies of each person's connectome
NOISE = 0.1  # of a copy, in standard deviations of all edges of all people, as published

MakeWeights = Callable[[Tensor], MainWeights]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Gradients:
    """Gradients of figures by edge, averaged over people and noisy copies."""

    targets: tuple[str, ...]  # names of the figures
    edges: Floats  # (targets, edges): seconds a unit of Fisher z

    def of(self, target: str) -> Floats:
        """Return the gradient of one of `targets`, (edges,)."""
        return np.asarray(self.edges[self.targets.index(target)])


def smooth_gradients(
    make: MakeWeights,
    connectomes: NDArray[np.floating],
    segments: Segments,
    *,
    copies: int = COPIES,
    noise: float = NOISE,
    seed: int = 0,
) -> Gradients:
    """Compute the SmoothGrad attribution of the figures of all tasks to edges.

    Parameters
    ----------
    make
        Differentiable function from connectomes (people, edges) to networks: `Twin.weights`.
    connectomes
        (people, edges), Fisher z, of the people to average over.
    segments
        What they see: the same for all, or of the same people.
    copies
        Number of noisy copies of each connectome.
    noise
        SD of a copy's noise, in standard deviations of all edges of all people.
    seed
        Seed of the noise's random numbers.

    Returns
    -------
    Gradients
        Gradients of the figures that `targets_of` lists. A trial whose curve never crosses 0.5 is
        left out, and so is a person without any other trial.
    """
    values = torch.as_tensor(np.asarray(connectomes), dtype=torch.float32)
    targets = targets_of(segments.tasks)
    sums = np.zeros((len(targets), values.shape[1]))
    counts = np.zeros(len(targets))
    generator = torch.Generator().manual_seed(seed)
    spread = noise * float(values.std(correction=0))
    for _ in range(copies):
        copy = values + spread * torch.randn(values.shape, generator=generator)
        for some in torch.split(torch.arange(len(values)), _AT_ONCE):
            part = segments.people(some.numpy())
            found = _gradients(make, copy[some], part, targets)
            known = np.asarray(np.isfinite(found).all(axis=2))
            sums += np.where(known[..., None], found, 0.0).sum(axis=1)
            counts += known.sum(axis=1)
    mean = sums / np.maximum(counts, 1)[:, None]
    return Gradients(tuple(target.name for target in targets), mean)


def _gradients(
    make: MakeWeights, connectomes: Tensor, segments: Segments, targets: Sequence[Target]
) -> Floats:
    """Return each person's gradients, (targets, people, edges); NaN where a figure is not known."""
    edges = connectomes.clone().requires_grad_()
    with torch.enable_grad():
        outputs = perform(make(edges), torch.from_numpy(segments.inputs))
        buttons = torch.sigmoid(outputs)
        seconds = figure_seconds(buttons, segments)
        found = []
        for number in range(len(targets)):
            figure = seconds[:, number]
            known = torch.isfinite(figure)
            total = torch.where(known, figure, 0.0).sum()
            (slope,) = torch.autograd.grad(total, edges, retain_graph=True)
            found.append(torch.where(known[:, None], slope, torch.nan).double().numpy())
    return np.stack(found)


def figure_seconds(buttons: Tensor, segments: Segments) -> Tensor:
    """Return the figures of networks as differentiable tensors.

    They equal the figures of `bids_dtg.twin.interventions.outcomes.outcomes_of`.

    Parameters
    ----------
    buttons
        (people, segments, steps, buttons): probabilities.
    segments
        What the people saw, with an axis of people.

    Returns
    -------
    torch.Tensor
        (people, targets), seconds; NaN where a person has no answered trial.
    """
    crossing, answered = _crossings(buttons, segments)
    columns = []
    for target in targets_of(segments.tasks):
        number = segments.tasks.names.index(target.task)
        answers = answers_of(segments, number)
        scored = torch.zeros(answered.shape, dtype=torch.bool)
        scored[:, answers.columns] = torch.from_numpy(answers.answers.scored.copy())
        condition = torch.full(answered.shape, -1)
        condition[:, answers.columns] = torch.from_numpy(answers.answers.condition.copy()).long()
        used = scored & answered
        if target.what == EFFECT:
            columns.append(
                _mean(crossing, used & (condition == 1)) - _mean(crossing, used & (condition == 0))
            )
        else:
            columns.append(_mean(crossing, used))
    return torch.stack(columns, dim=1)


def _mean(values: Tensor, used: Tensor) -> Tensor:
    """Return the mean of each row's used values; NaN where none is used."""
    count = used.sum(dim=1)
    total = torch.where(used, values, 0.0).sum(dim=1)
    return torch.where(count > 0, total / count.clamp(min=1), torch.nan)


def _crossings(buttons: Tensor, segments: Segments) -> tuple[Tensor, Tensor]:
    """Return when each trial's curve crosses 0.5, and whether it does: (people, trials)."""
    windows = Windows.of(segments)
    flat = buttons.flatten(1, 2)  # (people, segments and steps, buttons)
    place, own = torch.from_numpy(windows.place), torch.from_numpy(windows.own)
    if place.ndim == 2:
        curve = flat[:, place]
    else:
        curve = flat[torch.arange(len(flat))[:, None, None], place]
    curve = torch.where(own[..., None, :], curve, 0.0)
    rising = curve.sum(dim=-1).cummax(dim=-1).values.clamp(0.0, 1.0)
    seconds = torch.from_numpy(windows.seconds).float().expand(rising.shape)
    over = rising >= 0.5
    at = over.int().argmax(dim=-1, keepdim=True)
    low = torch.where(at > 0, rising.gather(-1, (at - 1).clamp(min=0)), 0.0)
    before = torch.where(at > 0, seconds.gather(-1, (at - 1).clamp(min=0)), 0.0)
    high, after = rising.gather(-1, at), seconds.gather(-1, at)
    answered = over.any(dim=-1)
    # Where nothing crosses, a gain of 1 keeps the unused gradient finite.
    gain = torch.where(answered[..., None], high - low, 1.0)
    crossing = before + (after - before) * (0.5 - low) / gain
    return crossing[..., 0], answered
