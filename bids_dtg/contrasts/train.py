"""Train the attention U-Net on people, as a Lightning module (extra ``train``)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader, IterableDataset

from bids_dtg.array_types import Float32, Indices, Integers, Mask, Values
from bids_dtg.contrasts.losses import crr_loss
from bids_dtg.contrasts.network.unet import AttentionUNet, on_grid
from bids_dtg.contrasts.plan import TrainingPlan
from bids_dtg.engine.ahead import run_ahead
from bids_dtg.training.loop import (
    Report,
    Schedule,
    Task,
    Workplace,
    restored_random_state,
    run_epochs,
)

# Indices of a mask's voxels, in C order; a slice of all of them avoids a copy.
Voxels = Indices | slice

_LINE = (
    "epoch {number}: loss {loss:.4f}, validation {validation_loss:.4f}, r {validation_r:.4f}, "
    "residual r {validation_residual_r:.4f}, rate {learning_rate:.0e}, {seconds:.0f} s"
)
# Streams of random numbers, added to the seed.
_TRAINING, _VALIDATION = 0, 1


class Batch(NamedTuple):
    """Some people on a grid, which may be a box of the model's grid.

    It holds only voxels of the mask, about a third of the grid; training puts them on the grid.
    """

    connectomes: Tensor  # (people, rois, voxels inside)
    maps: Tensor  # (people, contrasts, voxels that count)
    inside: Tensor  # voxels of the mask, as indices of the grid's voxels in C order
    counted: Tensor  # voxels that count in the loss, likewise
    shape: tuple[int, ...]  # of the grid


class PersonSamples:
    """People's arrays, in memory or memory-mapped.

    If a person has fewer segments than others, each is drawn more often. Maps are NaN everywhere
    for a contrast that was not measured, and outside the measured brain. Losses ignore NaN.

    Parameters
    ----------
    connectomes
        One array per person, (segments, rois, voxels), of any real type; or one array for all.
    maps
        One array per person, (contrasts, voxels); or one array for all.
    mask
        (i, j, k); voxels are in C order.
    zero_for_nan
        Whether NaN in maps become 0, for a loss that cannot ignore values.
    """

    def __init__(
        self,
        connectomes: Sequence[Values] | Values,
        maps: Sequence[Values] | Values,
        mask: Mask,
        *,
        zero_for_nan: bool = False,
    ) -> None:
        self.people = len(maps)
        self.segments = max(map(len, connectomes))  # of the person who has most
        self.rois, self.contrasts = connectomes[0].shape[1], len(maps[0])
        self.mask = mask
        self._zero_for_nan = zero_for_nan
        self._connectomes, self._maps = connectomes, maps

    def segment(
        self, person: int, segment: int, voxels: Voxels = slice(None)
    ) -> Float32:
        """Return a connectome at voxels of the mask, (rois, voxels)."""
        segments = self._connectomes[person]
        rows = segments[segment % len(segments)][:, voxels]
        return np.asarray(rows.astype(np.float32, copy=False))

    def maps(self, person: int, voxels: Voxels = slice(None)) -> Float32:
        """Return the measured maps at voxels of the mask, (contrasts, voxels)."""
        maps: Float32 = self._maps[person][:, voxels].astype(np.float32)
        if self._zero_for_nan:
            maps[np.isnan(maps)] = 0
        return maps

    def read(
        self,
        people: Integers,
        segments: Integers,
        rng: np.random.Generator,
        pinned: bool,
    ) -> list[Batch]:
        """Read one segment of each of some people, and their maps, on the whole grid.

        Parameters
        ----------
        people, segments
            Indices of people, and of one segment for each.
        rng
            For classes that draw boxes of the grid.
        pinned
            Whether to use pinned memory, from which a GPU copies while this process continues.
        """
        number = len(people)
        rows = map(self.segment, people.tolist(), segments.tolist())
        connectomes = stacked(rows, number, pinned)
        maps = stacked(map(self.maps, people.tolist()), number, pinned)
        voxels = torch.from_numpy(np.flatnonzero(self.mask))
        return [Batch(connectomes, maps, voxels, voxels, self.mask.shape)]


def training_batches(
    samples: PersonSamples,
    size: int,
    seed: Sequence[int],
    *,
    number: int | None = None,
    pinned: bool = False,
) -> Iterator[list[Batch]]:
    """Yield the batches of an epoch: different people, each with a random segment of rest.

    Parameters
    ----------
    samples
        People to draw from.
    size
        Number of people in a batch, at most as many as there are.
    seed
        The same numbers give the same batches; include the epoch's number.
    number
        Number of batches; None: until each person was in one.
    pinned
        As for `PersonSamples.read`.
    """
    rng = np.random.default_rng(list(seed))
    full = samples.people // size
    for batch in range(full if number is None else number):
        if batch % full == 0:
            order = rng.permutation(samples.people)
        start = batch % full * size
        people = order[start : start + size]
        segments = rng.integers(samples.segments, size=size)
        yield samples.read(people, segments, rng, pinned)


def validation_batches(
    samples: PersonSamples, size: int, seed: Sequence[int], *, pinned: bool = False
) -> Iterator[list[Batch]]:
    """Yield batches that are the same in every epoch; each person is in one of them."""
    rng = np.random.default_rng(list(seed))
    parts = -(-samples.people // size)
    # Batches of nearly equal size, because a loss that compares people needs more than one.
    for people in np.array_split(np.arange(samples.people), parts):
        segments = rng.integers(samples.segments, size=len(people))
        yield samples.read(people, segments, rng, pinned)


def stacked(arrays: Iterator[Float32], number: int, pinned: bool) -> Tensor:
    """Stack arrays in one tensor, each as soon as it is read."""
    first = next(arrays)
    stack = torch.empty((number, *first.shape), pin_memory=pinned)
    for row, array in zip(stack.numpy(), chain([first], arrays), strict=True):
        row[:] = array
    return stack


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """The weights of the best epoch, and a record of the training."""

    # Parameters and buffers under the published names, on the CPU.
    state: Mapping[str, Tensor]
    card: Mapping[str, Any]  # how it was trained, for JSON


def train(
    training: PersonSamples,
    validation: PersonSamples,
    plan: TrainingPlan,
    workplace: Workplace,
    *,
    start: Mapping[str, Tensor] | None = None,
    report: Report = lambda line: None,
) -> TrainedNetwork:
    """Train a network, or continue an earlier training in the same folder.

    Parameters
    ----------
    training, validation
        People to train on; and others, whose scores decide on the best epoch (`plan.choose_by`) and
        whose loss decides when the learning rate is lowered.
    plan
        Settings of the training.
    workplace
        Device and folder.
    start
        Weights to start from, such as those of a network trained on a coarser grid; None: random.
    report
        Receives a line after each epoch.

    Raises
    ------
    RunError
        The folder's checkpoint has more epochs than asked for.

    Notes
    -----
    As in Serin et al. 2025, Communications Biology: Adam, rate 1e-3, reduced on plateaus of the
    validation loss, batches of 10 people with a random segment of rest each.
    """
    schedule = Schedule(
        epochs=plan.epochs,
        monitor=f"validation_{plan.choose_by}",
        better="max",
        minutes=plan.minutes,
        precision=plan.precision,
    )
    task = partial(TrainingTask, training, validation, plan, start=start)
    best = run_epochs(task, schedule, workplace, report)
    state = {
        name: tensor.contiguous() for name, tensor in best.state_of("network").items()
    }
    card = {
        **dataclasses.asdict(plan),
        "optimiser": "Adam",
        "people": training.people,
        "segments": training.segments,
        "validation_people": validation.people,
        "best_epoch": best.epoch,
        "updates": best.updates,
        "history": list(best.history),
        "seconds": round(sum(epoch["seconds"] for epoch in best.history), 1),
        "torch": torch.__version__,
        "lightning": lightning.__version__,
    }
    return TrainedNetwork(state, card)


class TrainingTask(Task):
    """One training: a network, its people and its plan."""

    def __init__(
        self,
        training: PersonSamples,
        validation: PersonSamples,
        plan: TrainingPlan,
        *,
        start: Mapping[str, Tensor] | None,
        report: Report,
    ) -> None:
        super().__init__(report)
        self.plan = plan
        self.training_people, self.validation_people = training, validation
        self._plateau_state: dict[str, Any] | None = None
        with restored_random_state():
            torch.manual_seed(plan.seed)
            self.network = AttentionUNet(
                training.rois, training.contrasts, plan.features, plan.levels
            )
        if start is not None:
            self.network.load_state_dict(start)
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(not name.startswith(plan.frozen))
        # Channels last is faster; the results are the same.
        self.network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def train_dataloader(self) -> DataLoader[list[Batch]]:
        plan = self.plan
        seed = (plan.seed, _TRAINING, self.current_epoch)
        batches = partial(training_batches, number=plan.batches)
        return self._loader(partial(batches, self.training_people, plan.batch, seed))

    def val_dataloader(self) -> DataLoader[list[Batch]]:
        plan = self.plan
        seed = (plan.seed, _VALIDATION)
        batches = validation_batches
        return self._loader(partial(batches, self.validation_people, plan.batch, seed))

    def _loader(
        self, batches: Callable[..., Iterator[list[Batch]]]
    ) -> DataLoader[list[Batch]]:
        pinned_batches = partial(batches, pinned=self.device.type == "cuda")
        epoch = _Batches(pinned_batches, ahead=self.device.type != "cpu")
        return DataLoader(epoch, batch_size=None)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        optimiser = torch.optim.Adam(self.network.parameters(), self.plan.learning_rate)
        # Stepped and saved here: Lightning would step it after the epoch's checkpoint.
        self._plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimiser, factor=self.plan.factor, patience=self.plan.patience
        )
        if self._plateau_state is not None:
            self._plateau.load_state_dict(self._plateau_state)
        return optimiser

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        if not self.plan.fixed_statistics:
            return
        for layer in self.network.modules():
            if isinstance(layer, _BatchNorm):
                layer.eval()

    def training_step(self, batch: list[Batch], index: int) -> Tensor:
        loss = torch.stack([self._loss(*self._whole(box)) for box in batch]).mean()
        return self.logged(loss, 1)

    def validation_step(self, batch: list[Batch], index: int) -> None:
        for box in batch:
            predicted, maps = self._whole(box)
            scores = validation_scores(predicted, maps)
            scores["loss"] = self._loss(predicted, maps)
            named = {f"validation_{name}": score for name, score in scores.items()}
            self.log_dict(named, prog_bar=True, batch_size=len(maps))

    def on_train_epoch_end(self) -> None:
        metrics = self.trainer.callback_metrics
        validation = {
            name: float(value)
            for name, value in metrics.items()
            if "validation" in name
        }
        epoch = {
            "epoch": self.current_epoch,
            "loss": self.epoch_loss,
            **validation,
            "learning_rate": self._plateau.optimizer.param_groups[0]["lr"],
            "seconds": round(self.epoch_seconds, 1),
        }
        self._plateau.step(epoch["validation_loss"])
        self.history.append(epoch)
        number = f"{self.current_epoch + 1}/{self.plan.epochs}"
        self.report(_LINE.format(number=number, **epoch))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["plateau"] = self._plateau.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self._plateau_state = checkpoint["plateau"]

    def _whole(self, box: Batch) -> tuple[Tensor, Tensor]:
        """Return predicted and measured maps of a batch, (people, contrasts, voxels)."""
        connectomes, maps, inside, counted, shape = box
        # Index by numbers, because indexing by a mask waits for the device and sorts in backward.
        grids = self.network(on_grid(connectomes, inside, shape))
        predicted = grids.permute(0, 2, 3, 4, 1).flatten(1, 3).index_select(1, counted)
        return predicted.mT.contiguous(), maps

    def _loss(self, predicted: Tensor, measured: Tensor) -> Tensor:
        if self.plan.loss == "crr":
            # The loss takes grids; here the voxels are one axis.
            boxes = predicted[..., None, None], measured[..., None, None]
            return crr_loss(*boxes, alpha=self.plan.alpha, margin=self.plan.margin)
        return masked_error(predicted, measured)


class _Batches(IterableDataset[list[Batch]]):
    """The batches of an epoch.

    For a GPU, the next batches are read ahead in a thread. Other processes would send them through
    /dev/shm, which is small in containers, while a batch may have gigabytes.
    """

    def __init__(
        self, batches: Callable[[], Iterator[list[Batch]]], *, ahead: bool
    ) -> None:
        self._batches, self._ahead = batches, ahead

    def __iter__(self) -> Iterator[list[Batch]]:
        if not self._ahead:
            yield from self._batches()
            return
        with closing(run_ahead(self._read, forked=False)) as batches:
            yield from batches

    def _read(self, send: Callable[[list[Batch]], None]) -> None:
        for batch in self._batches():
            send(batch)


def validation_scores(predicted: Tensor, measured: Tensor) -> dict[str, Tensor]:
    """Score predictions of people outside the network's training set.

    Parameters
    ----------
    predicted, measured
        (people, contrasts, voxels); NaN where nothing was measured.

    Returns
    -------
    dict
        `r`: correlation over voxels. `residual_r`: the same after subtracting the people's mean
        from predictions and from measured maps, as re-centring does; it measures individual
        differences and does not reward the mean map. Both are means over people and contrasts.
    """
    r = mean_correlation(predicted, measured)
    predicted_residual = predicted - predicted.mean(0)
    measured_residual = measured - measured.nanmean(0)
    residual_r = mean_correlation(predicted_residual, measured_residual)
    if len(predicted) < 2:  # a single person has no deviation from the mean
        residual_r = torch.zeros_like(residual_r)
    return {"r": r, "residual_r": residual_r}


def masked_error(predicted: Tensor, measured: Tensor) -> Tensor:
    """Return the mean squared error where a value was measured (is not NaN); 0 where none was.

    Examples
    --------
    >>> import torch
    >>> measured = torch.tensor([1.0, float("nan")])
    >>> float(masked_error(torch.zeros(2), measured))
    1.0
    """
    is_measured = measured.isfinite()
    differences = predicted.float() - torch.where(is_measured, measured, 0.0)
    errors = torch.where(is_measured, differences, 0.0)
    return errors.square().sum() / is_measured.sum().clamp_min(1)


def mean_correlation(predicted: Tensor, measured: Tensor) -> Tensor:
    """Return Pearson r over voxels, averaged over people and contrasts.

    Parameters
    ----------
    predicted, measured
        (people, contrasts, voxels). A constant map counts as r 0. Voxels that are NaN in `measured`
        are left out, and so are maps with no other voxels.

    Examples
    --------
    >>> import torch
    >>> maps = torch.tensor([[[1.0, 2.0, 3.0, float("nan")]]])
    >>> round(float(mean_correlation(2 * maps.nan_to_num(), maps)), 3)
    1.0
    """
    is_measured = measured.isfinite()
    voxels = is_measured.sum(dim=-1, keepdim=True)

    def centred(maps: Tensor) -> Tensor:
        values = torch.where(is_measured, maps.float(), 0.0)
        mean = values.sum(dim=-1, keepdim=True) / voxels.clamp_min(1)
        return torch.where(is_measured, values - mean, 0.0)

    p, m = centred(predicted), centred(measured)
    size = (p.square().sum(dim=-1) * m.square().sum(dim=-1)).sqrt()
    r = (p * m).sum(dim=-1) / size.clamp_min(torch.finfo(torch.float32).tiny)
    has_voxels = voxels.squeeze(-1) > 0
    return torch.where(has_voxels, r, 0.0).sum() / has_voxels.sum().clamp_min(1)
