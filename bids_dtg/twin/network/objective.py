"""The loss of network outputs against people's responses and measured BOLD."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


@dataclass(frozen=True, eq=False)
class Targets:
    """Targets of outputs; an axis of one person may stand for the average person."""

    inputs: Tensor  # (1 or people, segments, steps, inputs)
    action: Tensor  # (people, segments, steps, buttons), from 0 to 1
    scored: Tensor  # (people, segments, steps): weight of each step
    bold: Tensor | None = None  # (people, segments, steps, regions), z-scores
    bold_scored: Tensor | None = None  # (people, segments, steps): weight of each step

    def part(self, people: Tensor, segments: Tensor) -> Targets:
        """Return some segments of some people."""

        def some(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor[people][:, segments]

        shared = len(self.inputs) == 1
        return Targets(
            self.inputs[:, segments] if shared else self.inputs[people][:, segments],
            self.action[people][:, segments],
            self.scored[people][:, segments],
            some(self.bold),
            some(self.bold_scored),
        )

    def to(self, device: str | torch.device) -> Targets:
        """Return the targets on a device."""

        def there(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(device)

        return Targets(
            self.inputs.to(device),
            self.action.to(device),
            self.scored.to(device),
            there(self.bold),
            there(self.bold_scored),
        )

    def average(self) -> Targets:
        """Average the people where all saw the same; otherwise return the targets unchanged.

        The cross-entropy is linear in its target and the squared error quadratic: a shared network
        has the same gradient on the average as on everybody.
        """
        if len(self.inputs) > 1:
            return self
        return Targets(
            self.inputs,
            *_mean(self.action, self.scored),
            *((None, None) if self.bold is None else _mean(self.bold, self.bold_scored)),
        )


def _mean(values: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return values (1, ...) averaged over people by weight, and the sums of the weights."""
    assert weight is not None
    total = weight.to(values.dtype).sum(0, keepdim=True)
    summed = torch.einsum("pst,pstc->stc", weight.to(values.dtype), values)[None]
    return summed / total.clamp(min=1e-9)[..., None], total


@dataclass(frozen=True)
class Weights:
    """Weight of each loss; published: 1 and 1."""

    action: float = 10.0  # of the cross-entropy of buttons
    bold: float = 1.0  # of the squared error of BOLD


def action_losses(outputs: Tensor, targets: Targets) -> Tensor:
    """Return each person's cross-entropy of buttons, (people,): a mean over steps and buttons.

    Parameters
    ----------
    outputs
        (people, segments, steps, outputs), buttons first, as logits.
    targets
        Targets of the same people, segments and steps; outputs of one person serve all people.
    """
    logits = outputs[..., : targets.action.shape[-1]].expand_as(targets.action)
    action = targets.action
    loss = binary_cross_entropy_with_logits(logits, action, reduction="none").mean(-1)
    return _weighted(loss, targets.scored)


def bold_losses(outputs: Tensor, targets: Targets) -> Tensor:
    """Return each person's squared error of BOLD, (people,): a mean over steps and regions."""
    assert targets.bold is not None
    assert targets.bold_scored is not None
    error = outputs[..., targets.action.shape[-1] :] - targets.bold
    return _weighted(error.square().mean(-1), targets.bold_scored)


def total_loss(outputs: Tensor, targets: Targets, weights: Weights) -> Tensor:
    """Return the training loss: the weighted sum of both losses, each a mean over people."""
    loss = weights.action * action_losses(outputs, targets).mean()
    if targets.bold is not None:
        loss = loss + weights.bold * bold_losses(outputs, targets).mean()
    return loss


def _weighted(loss: Tensor, weight: Tensor) -> Tensor:
    """Return weighted means over segments and steps; 0 for people without any weight."""
    weight = weight.to(loss.dtype)
    return (loss * weight).sum((1, 2)) / weight.sum((1, 2)).clamp(min=1e-9)
