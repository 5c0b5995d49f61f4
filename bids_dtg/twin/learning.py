"""Trainings of twins for the training loop: batches of people and segments, loss, record."""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from bids_dtg.errors import RunError
from bids_dtg.training.loop import Task as TrainingTask
from bids_dtg.twin.network.hypernetwork import HyperNetwork
from bids_dtg.twin.network.main import MainWeights, perform
from bids_dtg.twin.network.modulated import ModulatedNetwork
from bids_dtg.twin.network.objective import Targets, action_losses
from bids_dtg.twin.recipe import Recipe

_BATCHES, _DROPOUT = 0, 1  # streams of random numbers of a seed
_WARM_UP = 20  # updates in which the rate rises
_JUDGED_PEOPLE = 50  # at once


@dataclass(frozen=True)
class Length:
    """How long a training is."""

    epochs: int  # at most; the rate falls until the last one
    updates: int  # of the weights, in an epoch


class _Twins(TrainingTask):
    """One training; subclasses choose the weights that learn and the networks of a batch.

    The best epoch is the one with the lowest loss on the validation data. A training resumes only
    where `identity` is the same. `report` gets a line of text after each epoch.
    """

    def __init__(
        self,
        training: Targets,
        validation: Targets,
        recipe: Recipe,
        *,
        length: Length,
        seed: int,
        identity: str,
        report: Callable[[str], None],
    ) -> None:
        super().__init__()
        self.training_data, self.validation_data = training, validation
        self.recipe, self.length = recipe, length
        self.seed, self.identity, self._report = seed, identity, report
        self._losses: list[Tensor] = []
        self._skipped = 0
        self._started = 0.0

    @abstractmethod
    def networks(self, data: str, people: Tensor) -> MainWeights:
        """Return the networks of some people of ``training`` or ``validation``."""

    def rates(self) -> list[dict[str, Any]]:
        """Return groups of parameters with their learning rates, as optimisers take them."""
        return [{"params": list(self.parameters()), "lr": self.recipe.group_rate}]

    def train_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        rng = np.random.default_rng((self.seed, _BATCHES, self.current_epoch))
        data = self.training_data
        people, segments = data.action.shape[:2]
        batches = [
            (
                torch.as_tensor(rng.permutation(people)[: self.recipe.batch_people]),
                torch.as_tensor(rng.permutation(segments)[: self._segments(segments)]),
            )
            for _ in range(self.length.updates)
        ]
        return DataLoader(batches, batch_size=None, generator=torch.Generator())  # type: ignore[arg-type]

    def _segments(self, there: int) -> int:
        return min(there, self.recipe.batch_segments)

    def configure_optimizers(self) -> Any:
        optimiser = torch.optim.Adam(self.rates())
        total = self.length.epochs * self.length.updates

        def share(update: int) -> float:
            return (
                min(1.0, (update + 1) / _WARM_UP) * 0.5 * (1 + math.cos(math.pi * update / total))
            )

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, share)
        return {
            "optimizer": optimiser,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def on_train_epoch_start(self) -> None:
        self._losses, self._skipped, self._started = [], 0, time.perf_counter()
        seeds = np.random.SeedSequence((self.seed, _DROPOUT, self.current_epoch))
        torch.manual_seed(int(seeds.generate_state(1)[0]))

    def transfer_batch_to_device(
        self, batch: tuple[Tensor, Tensor], device: torch.device, dataloader_idx: int
    ) -> tuple[Tensor, Tensor]:
        """Keep the batch's indices on the CPU, where the data are that they index."""
        return batch

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        people, segments = batch
        data = self.training_data.part(people, segments).to(self.device)
        outputs = perform(self.networks("training", people), data.inputs)
        loss = self._loss(outputs, data)
        self._losses.append(loss.detach())
        self.log("loss", loss.detach(), prog_bar=True, batch_size=len(people))
        return loss

    def _loss(self, outputs: Tensor, data: Targets) -> Tensor:
        return self.recipe.action_weight * action_losses(outputs, data).mean()

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        norm = nn.utils.clip_grad_norm_(self.parameters(), self.recipe.gradient_norm)
        if not torch.isfinite(norm):  # as when a network has just become unstable
            self._skipped += 1
            self.zero_grad(set_to_none=True)

    @torch.no_grad()
    def validation_loss(self) -> float:
        """Return the loss of the validation people, by which the best epoch is chosen."""
        data = self.validation_data
        people, segments = data.action.shape[:2]
        everything = torch.arange(segments)
        losses = [
            len(some)
            * float(self._loss(perform(self.networks("validation", some), part.inputs), part))
            for some in torch.split(torch.arange(people), _JUDGED_PEOPLE)
            if (part := data.part(some, everything).to(self.device))
        ]
        return sum(losses) / people

    def on_train_epoch_end(self) -> None:
        self.eval()
        epoch = {
            "epoch": self.current_epoch,
            "loss": float(torch.stack(self._losses).mean()),
            "validation_loss": self.validation_loss(),
            "skipped": self._skipped,
            "seconds": round(time.perf_counter() - self._started, 2),
        }
        self.train()
        self.history.append(epoch)
        # The best epoch needs a finite loss: one that is not finite counts as the worst.
        shown = epoch["validation_loss"] if math.isfinite(epoch["validation_loss"]) else 1e9
        self.log("validation_loss", shown)
        self._report(
            f"epoch {self.current_epoch + 1} of at most {self.length.epochs}: "
            f"loss {epoch['loss']:.4f}, "
            f"of people left out {epoch['validation_loss']:.4f} ({epoch['seconds']:.1f} s)"
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["identity"] = self.identity

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        if checkpoint.get("identity") != self.identity:
            raise RunError(
                "the training that was begun here has other people, another recipe or another seed",
                expected="the same as when it began",
                remedy="give the options of that call, or choose another folder",
            )


class GroupTask(_Twins):
    """Trains one network for everybody."""

    def __init__(self, network: ModulatedNetwork, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.network = network

    def networks(self, data: str, people: Tensor) -> MainWeights:
        return self.network.group_weights()

    def _segments(self, there: int) -> int:
        """Take twice as many segments: where all saw the same, the data are one average person."""
        return min(there, 2 * self.recipe.batch_segments)


class HyperTask(_Twins):
    """Trains a hypernetwork."""

    def __init__(
        self,
        network: HyperNetwork,
        connectomes: Mapping[str, Tensor],
        *args: Any,
        **keywords: Any,
    ) -> None:
        super().__init__(*args, **keywords)
        self.network = network
        for name, values in connectomes.items():
            self.register_buffer(f"{name}_connectomes", values, persistent=False)

    def rates(self) -> list[dict[str, Any]]:
        first = list(self.network.first.parameters())
        rest = [*self.network.middle.parameters(), *self.network.last.parameters()]
        return [
            {"params": first, "lr": self.recipe.first_layer_rate},
            {"params": rest, "lr": self.recipe.hyper_rate},
        ]

    def networks(self, data: str, people: Tensor) -> MainWeights:
        weights: MainWeights = self.network(
            getattr(self, f"{data}_connectomes")[people.to(self.device)]
        )
        return weights
