"""The training task of an amortised model: windows of people's sessions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from bids_dtg.dynamics.amortised import AmortisedModel, Sessions, lagged_covariances
from bids_dtg.dynamics.networks import Networks
from bids_dtg.dynamics.objective import loss_of
from bids_dtg.dynamics.recipe import Recipe
from bids_dtg.dynamics.session_objective import (
    draw_terms,
    elbo_of_sessions,
    forecast_loss,
    generation_loss,
)
from bids_dtg.dynamics.task import BATCHES, BatchFigures, NetworkTask, loader_of

_LARGEST_GRADIENT = 5.0  # norm of all gradients
_GENERATED_EVERY = 2  # steps


def bounded(error: Tensor) -> Tensor:
    """Return an error that stays below 1, whose gradient keeps its direction.

    A simulation that begins to diverge has an error of hundreds, whose gradient would drown those
    of all other terms, and training does not come back from it. Small errors are left alone.

    Examples
    --------
    >>> bounded(torch.tensor([0.01, 99.0]))
    tensor([0.0099, 0.9900])
    """
    return error / (1.0 + error.detach().abs())


class SessionTask(NetworkTask):
    """One training of an amortised model: as `NetworkTask`, with people in place of single series.

    Parameters
    ----------
    networks, trained, recipe, seed, identity, report
        As for `NetworkTask`; a person is trained on if the person's first series is.
    """

    weights: Tensor  # (people, regions, regions)
    covariances: Tensor  # (people, lags + 1, regions, regions)
    model: AmortisedModel

    def __init__(
        self,
        networks: Networks,
        trained: NDArray[np.bool_],
        recipe: Recipe,
        *,
        seed: int,
        identity: Mapping[str, Any],
        report: Callable[[str], None],
    ) -> None:
        super().__init__(networks, trained, recipe, seed=seed, identity=identity, report=report)
        self._people = np.flatnonzero(trained[:, 0])
        self.register_buffer("weights", torch.as_tensor(networks.weights), persistent=False)
        covariances = lagged_covariances(self.series)
        self.register_buffer("covariances", covariances, persistent=False)
        self.model.begin_at(covariances[self._people, 0].mean(0))
        later = recipe.forecast_frames if recipe.forecast_weight else 0
        self._window = min(recipe.window, max(1, networks.frames - later))

    def sessions(self, people: Tensor, first: int = 0, frames: int | None = None) -> Sessions:
        """Return sessions of people by their numbers, or windows that start at a frame."""
        series, end = self.series, None if frames is None else first + frames
        return Sessions(
            series[people, :, first:end],
            self.weights[people],
            self.covariances[people],
            series.shape[-1],
        )

    def train_dataloader(self) -> DataLoader[Tensor]:
        rng = np.random.default_rng((self.seed, BATCHES, self.current_epoch))
        frames = self.series.shape[-1]
        times = max(1, frames // self._window)
        order = np.concatenate([rng.permutation(self._people) for _ in range(times)])
        later = self.recipe.forecast_frames if self.recipe.forecast_weight else 0
        batches = [
            torch.as_tensor([rng.integers(0, max(1, frames - self._window - later + 1)), *people])
            for people in np.split(
                order, range(self.recipe.batch_size, len(order), self.recipe.batch_size)
            )
        ]
        return loader_of(batches)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), _LARGEST_GRADIENT)
        if not torch.isfinite(norm):  # a diverging simulation has no useful gradient
            for parameter in self.model.parameters():
                parameter.grad = None

    def _step(self, batch: Tensor, index: int) -> BatchFigures:
        first, people = int(batch[0]), batch[1:].to(self.series.device)
        recipe, sessions = self.recipe, self.sessions(people, first, self._window)
        drawn = draw_terms(self.model, sessions)
        weights = recipe.term_weights(self.current_epoch)
        loss = loss_of(self.model, drawn.terms, *weights) / self._window
        if recipe.forecast_weight:
            end = first + self._window
            later = self.series[people, :, end : end + recipe.forecast_frames]
            loss = loss + recipe.forecast_weight * weights[0] * forecast_loss(
                self.model, sessions, drawn, later
            )
        if recipe.generation_weight and index % _GENERATED_EVERY == 0:
            generated = bounded(generation_loss(self.model, sessions, drawn))
            loss = loss + recipe.generation_weight * weights[0] * generated
        with torch.no_grad():
            whole = self.series.shape[-1] / self._window
            return BatchFigures(
                loss, whole * drawn.terms.elbo().mean(), whole * drawn.terms.region_kl.mean()
            )

    def _judged_together(self) -> int:
        return self.series.shape[1]  # all regions of a person, who is drawn as a whole

    def _elbo(self, pairs: Tensor, samples: int) -> Tensor:
        people, which = torch.unique(pairs[:, 0], return_inverse=True)
        found = elbo_of_sessions(self.model, self.sessions(people), samples)
        return found[which.to(found.device), pairs[:, 1].to(found.device)]
