"""Training of twins: batches of people and segments, losses and the record of epochs."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss
from torch.utils.data import DataLoader

from bids_dtg.array_types import Float32, Mask
from bids_dtg.errors import RunError
from bids_dtg.training.loop import IDENTITY, torch_seed
from bids_dtg.training.loop import Task as TrainingTask
from bids_dtg.twin.decoding import Windows, answered_of
from bids_dtg.twin.network import HyperNetwork, MainWeights, ModulatedNetwork, perform
from bids_dtg.twin.recipe import Recipe
from bids_dtg.twin.times import all_measures, targets_of
from bids_dtg.twin.trial_series import Segments

_BATCHES, _DROPOUT = 0, 1  # streams of random numbers of a seed
_WARM_UP = 20  # updates in which the rate rises
_JUDGED_PEOPLE = 50  # in a batch of validation
_SMALLEST = 1e-6  # probability of a response; smaller ones are set to it


@dataclass(frozen=True, eq=False)
class Targets:
    """Targets of outputs; an axis of one person may stand for the average person."""

    inputs: Tensor  # (1 or people, segments, steps, inputs)
    action: Tensor  # (people, segments, steps, buttons), from 0 to 1
    scored: Tensor  # (people, segments, steps): weight of each step
    bold: Tensor | None = None  # (people, segments, steps, regions); NaN: not measured

    @classmethod
    def of(cls, segments: Segments, bold: Float32 | None = None) -> Targets:
        """Return the responses of several people as tensors, and their BOLD if any."""
        arrays = segments.inputs, segments.action, segments.scored
        targets = cls(*map(torch.from_numpy, arrays))
        return (
            targets if bold is None else replace(targets, bold=torch.from_numpy(bold))
        )

    def part(self, people: Tensor, segments: Tensor) -> Targets:
        """Return some segments of some people."""
        return self._each(
            lambda tensor: (tensor if len(tensor) == 1 else tensor[people])[:, segments]
        )

    def to(self, device: str | torch.device) -> Targets:
        """Return the targets on a device."""
        return self._each(lambda tensor: tensor.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Targets:
        """Return the targets with each tensor changed."""
        tensors: dict[str, Any] = {
            name: tensor if tensor is None else change(tensor)
            for name, tensor in vars(self).items()
        }
        return Targets(**tensors)

    def average(self) -> Targets:
        """Average the people where all saw the same; otherwise return the targets unchanged.

        As the cross-entropy is linear in its target, a shared network has the same gradient on
        the average as on everybody.
        """
        if len(self.inputs) > 1:
            return self
        weight = self.scored.to(self.action.dtype)
        total = weight.sum(0, keepdim=True)
        summed = torch.einsum("pst,pstc->stc", weight, self.action)[None]
        return Targets(self.inputs, summed / total.clamp(min=1e-9)[..., None], total)


def action_losses(outputs: Tensor, targets: Targets) -> Tensor:
    """Return each person's cross-entropy of buttons, (people,): a mean over steps and buttons.

    Parameters
    ----------
    outputs
        (people, segments, steps, buttons or more), as logits.
    targets
        Targets of the same people, segments and steps; outputs of one person serve all people.
    """
    action, weight = targets.action, targets.scored.to(outputs.dtype)
    logits = outputs[..., : action.shape[-1]].expand_as(action)
    loss = binary_cross_entropy_with_logits(logits, action, reduction="none").mean(-1)
    # 0 for people without any weight.
    return (loss * weight).sum((1, 2)) / weight.sum((1, 2)).clamp(min=1e-9)


def bold_loss(outputs: Tensor, targets: Targets) -> Tensor:
    """Return the squared error of BOLD, a mean over what was measured; 0 where nothing was.

    Parameters
    ----------
    outputs
        (people, segments, steps, buttons and regions).
    targets
        Targets of the same people, segments and steps.
    """
    if targets.bold is None:
        return outputs.new_zeros(())
    measured = targets.bold.isfinite()
    predicted = outputs[..., targets.action.shape[-1] :]
    return mse_loss(
        predicted[measured], targets.bold[measured], reduction="sum"
    ) / measured.sum().clamp(min=1)


class TwinTask(TrainingTask):
    """One training; subclasses choose the weights that learn and the networks of a batch.

    The best epoch is the one with the lowest loss on the validation data. A training resumes only
    where `identity` is the same. `report` gets a line of text after each epoch. `length` is the
    number of epochs, over which the rate falls, and of updates in each.
    """

    def __init__(
        self,
        training: Targets,
        validation: Targets,
        recipe: Recipe,
        *,
        length: tuple[int, int],
        seed: int,
        identity: str,
        report: Callable[[str], None],
    ) -> None:
        super().__init__(report)
        self.training_data, self.validation_data = training, validation
        self.recipe, (self.epochs, self.updates) = recipe, length
        self.seed = seed
        self.identity = identity
        self._skipped = 0

    @abstractmethod
    def networks(self, data: str, people: Tensor) -> MainWeights:
        """Return the networks of some people of ``training`` or ``validation``."""

    def rates(self) -> list[dict[str, Any]]:
        """Return groups of parameters with their learning rates, as optimisers take them."""
        return [{"params": list(self.parameters()), "lr": self.recipe.group_rate}]

    def batch_size(self, people: int, segments: int) -> tuple[int, int]:
        """Return the numbers of people and of segments in a batch, given how many there are."""
        return min(people, self.recipe.batch_people), min(
            segments, self.recipe.batch_segments
        )

    def train_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        rng = np.random.default_rng((self.seed, _BATCHES, self.current_epoch))
        available = self.training_data.action.shape[:2]
        size = self.batch_size(*available)
        batches = [
            tuple(_chosen(rng, *sizes) for sizes in zip(available, size, strict=True))
            for _ in range(self.updates)
        ]
        return DataLoader(batches, batch_size=None, generator=torch.Generator())  # type: ignore[arg-type]

    def configure_optimizers(self) -> Any:
        optimiser = torch.optim.Adam(self.rates())
        total = self.epochs * self.updates

        def share(update: int) -> float:
            return (
                min(1.0, (update + 1) / _WARM_UP)
                * 0.5
                * (1 + math.cos(math.pi * update / total))
            )

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, share)
        return {
            "optimizer": optimiser,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        self._skipped = 0
        torch.manual_seed(torch_seed(self.seed, _DROPOUT, self.current_epoch))

    def transfer_batch_to_device(
        self, batch: tuple[Tensor, Tensor], device: torch.device, dataloader_idx: int
    ) -> tuple[Tensor, Tensor]:
        """Keep the batch's indices on the CPU, where the indexed data are."""
        return batch

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        people, segments = batch
        data = self.training_data.part(people, segments).to(self.device)
        outputs = perform(self.networks("training", people), data.inputs)
        loss = self.loss("training", people, segments, outputs, data)
        return self.logged(loss, len(people))

    def loss(
        self,
        data: str,
        people: Tensor,
        segments: Tensor,
        outputs: Tensor,
        targets: Targets,
    ) -> Tensor:
        """Return the loss of some people, of ``training`` or ``validation``, in some segments."""
        action_loss = self.recipe.action_weight * action_losses(outputs, targets).mean()
        return action_loss + bold_loss(outputs, targets)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        norm = nn.utils.clip_grad_norm_(self.parameters(), self.recipe.gradient_norm)
        if not torch.isfinite(norm):  # for example if a network has become unstable
            self._skipped += 1
            self.zero_grad(set_to_none=True)

    @torch.no_grad()
    def validation_loss(self) -> float:
        """Return the loss of the validation people, by which the best epoch is chosen."""
        data = self.validation_data
        people, segments = data.action.shape[:2]
        everything = torch.arange(segments)
        total = 0.0
        for some in torch.split(torch.arange(people), _JUDGED_PEOPLE):
            part = data.part(some, everything).to(self.device)
            outputs = perform(self.networks("validation", some), part.inputs)
            loss = self.loss("validation", some, everything, outputs, part)
            total += len(some) * float(loss)
        return total / people

    def on_train_epoch_end(self) -> None:
        self.eval()
        epoch = {
            "epoch": self.current_epoch,
            "loss": self.epoch_loss,
            "validation_loss": self.validation_loss(),
            "skipped": self._skipped,
            "seconds": round(self.epoch_seconds, 2),
        }
        self.train()
        self.history.append(epoch)
        self.report(
            f"epoch {self.current_epoch + 1} of at most {self.epochs}: "
            f"loss {epoch['loss']:.4f}, "
            f"validation loss {epoch['validation_loss']:.4f} ({epoch['seconds']:.1f} s)"
        )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        if checkpoint.get(IDENTITY) != self.identity:
            raise RunError(
                "the training begun here has other people, another recipe or another seed",
                expected="the same as when it began",
                remedy="repeat the options of that run, or choose another folder",
            )


def _chosen(rng: np.random.Generator, available: int, wanted: int) -> Tensor:
    """Draw as many of the available indices as are wanted; all are returned in order."""
    if wanted == available:
        return torch.arange(available)
    return torch.as_tensor(rng.permutation(available)[:wanted])


class GroupTask(TwinTask):
    """Trains one network for everybody."""

    def __init__(self, network: ModulatedNetwork, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.network = network

    def networks(self, data: str, people: Tensor) -> MainWeights:
        return self.network.group_weights()

    def batch_size(self, people: int, segments: int) -> tuple[int, int]:
        """Take twice as many segments, as the data are one average person if all saw the same."""
        batch_people, _ = super().batch_size(people, segments)
        return batch_people, min(segments, 2 * self.recipe.batch_segments)


class MeasuresTask(TwinTask):
    """Adds the squared errors of performed measures, in SD over people, to the loss.

    The cross-entropy is insensitive to condition effects, and teaches differences between people
    slowly. A performed measure counts as its difference from the group's network. Errors are summed
    over measures, and divided by the number of mean times and effects.

    Parameters
    ----------
    group
        The group's network, with an axis of one person; None: the loss has no measures.
    segments
        What people saw and did, by ``training`` and ``validation``.
    observed
        (people, measures), by the same names: minus the training people's mean; NaN: unknown.
    """

    def __init__(
        self,
        group: MainWeights | None,
        segments: Mapping[str, Segments],
        observed: Mapping[str, Tensor],
        *args: Any,
        **keywords: Any,
    ) -> None:
        super().__init__(*args, **keywords)
        self.segments, self.observed = segments, observed
        self.spread = spread_of(observed["training"])
        self.group_buttons: dict[str, Tensor] = {}
        if group is not None:
            with torch.no_grad():
                for name, shown in segments.items():
                    outputs = perform(group, torch.from_numpy(shown.inputs))
                    self.group_buttons[name] = torch.sigmoid(outputs)

    def loss(
        self,
        data: str,
        people: Tensor,
        segments: Tensor,
        outputs: Tensor,
        targets: Targets,
    ) -> Tensor:
        plain = super().loss(data, people, segments, outputs, targets)
        if data not in self.group_buttons:
            return plain
        shown = self.segments[data].people(people.numpy())
        group = self.group_buttons[data]
        group = group if len(group) == 1 else group[people]
        buttons = torch.sigmoid(outputs[..., : group.shape[-1]].cpu())
        shape = len(people), *group.shape[1:]
        buttons = buttons.new_zeros(shape).index_copy(1, segments, buttons)
        used = shown.trials.scored & np.isin(shown.trials.segment, segments.numpy())
        change = performed_measures(buttons, shown, used) - performed_measures(
            group, shown, used
        )
        missed = (change - self.observed[data][people]) / self.spread
        squared = torch.where(missed.isfinite(), missed, 0.0).square().mean(0).sum()
        times = len(targets_of(shown.tasks))
        return plain + self.recipe.times_weight / times * squared.to(self.device)


class HyperTask(MeasuresTask):
    """Trains a hypernetwork."""

    def __init__(
        self,
        network: HyperNetwork,
        connectomes: Mapping[str, Tensor],
        *args: Any,
        **keywords: Any,
    ) -> None:
        super().__init__(network.group(), *args, **keywords)
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

    def batch_size(self, people: int, segments: int) -> tuple[int, int]:
        return min(people, self.recipe.hyper_people), min(
            segments, self.recipe.hyper_segments
        )

    def networks(self, data: str, people: Tensor) -> MainWeights:
        return self.network(
            getattr(self, f"{data}_connectomes")[people.to(self.device)]
        )


class TimesTask(MeasuresTask):
    """Trains the matrix that turns people's observed measures into modulations.

    The group's network stays fixed, and connectomes are not used.

    Parameters
    ----------
    network
        The group's network.
    start
        (modulations, measures): initial matrix.
    """

    def __init__(
        self,
        network: ModulatedNetwork,
        start: Tensor,
        *args: Any,
        rate: float,
        **keywords: Any,
    ) -> None:
        super().__init__(network.group_weights(), *args, **keywords)
        # In a list, so that its weights are neither trained nor saved.
        self.group = [network]
        self.rate = rate
        self.matrix = nn.Parameter(start * self.spread)

    def networks(self, data: str, people: Tensor) -> MainWeights:
        measures = self.observed[data][people].nan_to_num() / self.spread
        return (
            self.group[0]
            .to(self.device)
            .weights(measures.to(self.device) @ self.matrix.T)
        )

    def rates(self) -> list[dict[str, Any]]:
        decay = self.recipe.times_decay
        return [{"params": [self.matrix], "lr": self.rate, "weight_decay": decay}]

    def batch_size(self, people: int, segments: int) -> tuple[int, int]:
        """Take all segments, as a mean time needs all trials."""
        return min(people, self.recipe.times_people), segments


def performed_measures(
    buttons: Tensor, segments: Segments, used: Mask | None = None
) -> Tensor:
    """Return the measures of networks, (people, measures), in seconds or shares; differentiable.

    Parameters
    ----------
    buttons
        (1 or people, segments, steps, buttons or more): probabilities of presses, of networks that
        performed the segments.
    segments
        What the people saw, and which of their trials are scored.
    used
        As in `bids_dtg.twin.times.mean_times`.
    """
    windows = Windows.of(segments)
    curves = windows.curves(buttons)
    answered = answered_of(curves)
    right = np.clip(segments.trials.correct_button, 0, None).astype(np.int64)
    ends = curves[..., -1, :]
    button = torch.from_numpy(right).expand(ends.shape[:-1])[..., None]
    share = ends.gather(-1, button)[..., 0] / ends.sum(-1).clamp(min=_SMALLEST)
    return all_measures(
        windows.mean_seconds(answered),
        windows.mean_squares(answered),
        answered[..., -1] * share,
        segments,
        used,
    )


def spread_of(values: Tensor) -> Tensor:
    """Return the SD of the known values of each column; 1 where they do not vary."""
    finite = values.isfinite()
    centred = torch.where(finite, values - values.nanmean(0), 0.0)
    spread = (centred.square().sum(0) / finite.sum(0).clamp(min=1)).sqrt()
    return torch.where(spread > 0, spread, 1.0)
