"""The loss of network outputs against people's responses."""

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

    def part(self, people: Tensor, segments: Tensor) -> Targets:
        """Return some segments of some people."""
        shared = len(self.inputs) == 1
        return Targets(
            self.inputs[:, segments] if shared else self.inputs[people][:, segments],
            self.action[people][:, segments],
            self.scored[people][:, segments],
        )

    def to(self, device: str | torch.device) -> Targets:
        """Return the targets on a device."""
        return Targets(self.inputs.to(device), self.action.to(device), self.scored.to(device))

    def average(self) -> Targets:
        """Average the people where all saw the same; otherwise return the targets unchanged.

        The cross-entropy is linear in its target: a shared network has the same gradient on the
        average as on everybody.
        """
        if len(self.inputs) > 1:
            return self
        return Targets(self.inputs, *_mean(self.action, self.scored))


def _mean(values: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return values (1, ...) averaged over people by weight, and the sums of the weights."""
    total = weight.to(values.dtype).sum(0, keepdim=True)
    summed = torch.einsum("pst,pstc->stc", weight.to(values.dtype), values)[None]
    return summed / total.clamp(min=1e-9)[..., None], total


def action_losses(outputs: Tensor, targets: Targets) -> Tensor:
    """Return each person's cross-entropy of buttons, (people,): a mean over steps and buttons.

    Parameters
    ----------
    outputs
        (people, segments, steps, buttons), as logits.
    targets
        Targets of the same people, segments and steps; outputs of one person serve all people.
    """
    action, weight = targets.action, targets.scored.to(outputs.dtype)
    logits = outputs.expand_as(action)
    loss = binary_cross_entropy_with_logits(logits, action, reduction="none").mean(-1)
    # 0 for people without any weight.
    return (loss * weight).sum((1, 2)) / weight.sum((1, 2)).clamp(min=1e-9)
