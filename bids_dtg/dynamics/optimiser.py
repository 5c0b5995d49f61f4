"""Adam as Keras steps it, which the original was trained with."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

_EPSILON = 1e-7


class KerasAdam(torch.optim.Adam):
    """Adam with Keras' place of epsilon: beside the square root before its bias is corrected.

    PyTorch adds epsilon after the correction; both are the same where it shrinks with the steps.
    """

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Take a step."""
        for group in self.param_groups:
            taken = [self.state[p]["step"] for p in group["params"] if self.state.get(p)]
            number = 1 + int(max(taken, default=0))
            group["eps"] = _EPSILON / math.sqrt(1.0 - group["betas"][1] ** number)
        return super().step(closure)
