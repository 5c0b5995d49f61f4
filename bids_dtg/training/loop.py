"""Train any network for some epochs: resume, keep the best epoch, stop early.

Only code that trains imports this module (extra ``train``).
"""

from __future__ import annotations

import hashlib
import io
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import lightning
import numpy as np
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import Callback, Checkpoint, Timer
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from bids_dtg.array_types import Values
from bids_dtg.errors import RunError
from bids_dtg.files.atomic import write_atomic
from bids_dtg.files.paths import temporary_folder

_BEST = "best.ckpt"
_LAST = "last.ckpt"
IDENTITY = "identity"  # key of checkpoints
_DIGEST_BYTES = hashlib.sha256().digest_size  # at the end of a checkpoint
Report = Callable[[str], None]  # gets a line of text after each epoch
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]  # as Lightning names it


class Task(lightning.LightningModule):
    """What the loop trains: a Lightning module that appends a record to `history` each epoch."""

    # Digest of everything that past epochs depend on; empty: the folder's name has such a digest.
    identity = ""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.history: list[dict[str, float]] = []
        self.report = report
        self._losses: list[Tensor] = []
        self._started = 0.0

    def on_train_epoch_start(self) -> None:
        self._losses = []
        self._started = time.perf_counter()

    def logged(self, loss: Tensor, items: int) -> Tensor:
        """Return the loss of a batch of some items, which now counts in the epoch's."""
        self._losses.append(loss.detach())
        self.log("loss", loss.detach(), prog_bar=True, batch_size=items)
        return loss

    @property
    def epoch_loss(self) -> float:
        """Mean loss of the epoch's batches."""
        return float(torch.stack(self._losses).mean())

    @property
    def epoch_seconds(self) -> float:
        """Time since the epoch began."""
        return time.perf_counter() - self._started

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["history"] = self.history
        if self.identity:
            checkpoint[IDENTITY] = self.identity

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = checkpoint["history"]


MakeTask = Callable[..., Task]  # its only argument is `report`


@dataclass(frozen=True)
class Schedule:
    """How long training lasts, and which epoch is kept."""

    epochs: int  # at most
    monitor: str  # key of the epochs' records that decides which epoch is the best
    better: Literal["min", "max"]  # whether low or high values of it are better
    # Stop after so many epochs without improvement; None: never.
    stop_after: int | None = None
    minutes: float | None = None  # at most, earlier runs included; epochs are completed
    precision: Precision = "32-true"


@dataclass(frozen=True)
class Workplace:
    """Where training runs, and where it leaves its checkpoints."""

    folder: Path  # holds the checkpoints of the last and the best epoch
    device: str = "cpu"  # cpu, cuda or cuda:N
    progress: bool = False  # whether to draw a progress bar


@dataclass(frozen=True, eq=False)
class Best:
    """The best epoch, and the records of all epochs."""

    state: Mapping[str, Tensor]  # parameters and buffers of the task, on the CPU
    history: Sequence[Mapping[str, float]]  # one record per epoch
    epoch: int  # number of the best epoch
    updates: int  # weight updates up to then

    def state_of(self, module: str) -> dict[str, Tensor]:
        """Return parameters and buffers of one of the task's modules, by their names in it."""
        prefix = f"{module}."
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in self.state.items()
            if name.startswith(prefix)
        }


@contextmanager
def place_of(workplace: Workplace | None) -> Iterator[Workplace]:
    """Yield where to train; without a workplace, on the CPU and in a folder that is removed."""
    if workplace is not None:
        yield workplace
        return
    with temporary_folder() as folder:
        yield Workplace(folder)


def identity_of(options: str, arrays: Iterable[Values]) -> str:
    """Return a digest of everything that a training depends on: its options and its data."""
    digest = hashlib.sha256(options.encode())
    for array in arrays:
        digest.update(repr(array.shape).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def torch_seed(seed: int, *purpose: int) -> int:
    """Return a seed of torch for one purpose, independent of those for others."""
    return int(np.random.SeedSequence((seed, *purpose)).generate_state(1)[0])


def run_epochs(
    make_task: MakeTask, schedule: Schedule, workplace: Workplace, report: Report
) -> Best:
    """Train, or continue an earlier training in the same folder.

    torch's random state is restored at the end.

    Parameters
    ----------
    make_task
        Makes the task, given `report`.
    schedule
        Number of epochs, early stopping, and which epoch is kept.
    workplace
        Folder of checkpoints, and device.
    report
        Gets a line of text after each epoch.

    Raises
    ------
    RunError
        The folder's checkpoint has more epochs than asked for, or cannot be read.
    OutputError
        A checkpoint cannot be written.
    """
    past = past_epochs(workplace.folder, schedule.epochs)
    if past["history"]:
        _read(workplace.folder / _BEST)  # damage is found before further epochs
    with restored_random_state(workplace.device), _without_denormals():
        if not _is_finished(past["history"], schedule):
            _fit(make_task, schedule, workplace, report)
        else:  # let the task refuse a checkpoint that is not its own
            make_task(report=report).on_load_checkpoint(dict(past))
    best = _read(workplace.folder / _BEST)
    return Best(
        state=best["state_dict"],
        history=past_epochs(workplace.folder, schedule.epochs)["history"],
        epoch=best["history"][-1]["epoch"],
        updates=best["global_step"],
    )


def past_epochs(folder: Path, epochs: int) -> Mapping[str, Any]:
    """Return the last checkpoint of an earlier run; its `history` is empty if there is none.

    Parameters
    ----------
    folder
        Folder of the checkpoints.
    epochs
        Number of epochs asked for.

    Raises
    ------
    RunError
        The checkpoint cannot be read, or has more epochs.
    """
    last = folder / _LAST
    if not last.exists():
        return {"history": []}
    content = _read(last)
    done = len(content["history"])
    if done > epochs:
        raise RunError(
            f"{folder} holds a training of {done} epochs, and {epochs} are asked for",
            expected=f"{done} epochs or more",
            remedy="remove the folder to start again",
        )
    return content


def _fit(
    make_task: MakeTask, schedule: Schedule, workplace: Workplace, report: Report
) -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    task = make_task(report=report)
    kind, _, number = workplace.device.partition(":")
    callbacks: list[Callback] = [_BestAndLast(schedule, workplace.folder)]
    if schedule.minutes is not None:
        limit = timedelta(minutes=schedule.minutes)
        callbacks.append(Timer(limit, interval="epoch", verbose=False))
    trainer = lightning.Trainer(
        accelerator="gpu" if kind == "cuda" else "cpu",
        devices=[int(number)] if number else 1,
        # Ignore the cluster's scheduler: SLURM_NTASKS is not the number of training processes.
        plugins=[LightningEnvironment(), _CheckpointFiles()],
        precision=schedule.precision,
        max_epochs=schedule.epochs,
        callbacks=callbacks,
        logger=False,
        enable_model_summary=False,
        enable_progress_bar=workplace.progress,
        reload_dataloaders_every_n_epochs=1,  # each epoch draws its own batches
        num_sanity_val_steps=0,
    )
    last = workplace.folder / _LAST
    try:
        trainer.fit(task, ckpt_path=last if last.exists() else None, weights_only=True)
    except (KeyboardInterrupt, SystemExit) as err:
        done = len(past_epochs(workplace.folder, schedule.epochs)["history"])
        report(f"the same command continues from epoch {done + 1}")
        # At Ctrl-C, Lightning ends the process silently with code 1.
        if isinstance(err, SystemExit) and trainer.interrupted and err.code == 1:
            raise KeyboardInterrupt from None
        raise


def _best(history: Sequence[Mapping[str, float]], schedule: Schedule) -> int:
    """Return the index of the best epoch, the first if several tie; NaN counts as worst."""
    values = np.array([epoch[schedule.monitor] for epoch in history])
    scores = values if schedule.better == "max" else -values
    return int(np.argmax(np.where(np.isfinite(scores), scores, -np.inf)))


def _is_finished(history: Sequence[Mapping[str, float]], schedule: Schedule) -> bool:
    """Return whether all epochs are done, or early stopping applies."""
    done = len(history)
    if not done or schedule.stop_after is None:
        return done >= schedule.epochs
    since_best = done - 1 - _best(history, schedule)
    return done >= schedule.epochs or since_best >= schedule.stop_after


class _BestAndLast(Checkpoint):
    """Saves the last and the best epoch, a file each, and stops training that is finished."""

    def __init__(self, schedule: Schedule, folder: Path) -> None:
        self._schedule = schedule
        self._folder = folder

    def on_train_epoch_end(self, trainer: lightning.Trainer, task: Any) -> None:
        """Write the checkpoints to resume from; `task` has already recorded the epoch."""
        if _best(task.history, self._schedule) == len(task.history) - 1:
            trainer.save_checkpoint(self._folder / _BEST)
        trainer.save_checkpoint(self._folder / _LAST)
        trainer.should_stop |= _is_finished(task.history, self._schedule)


class _CheckpointFiles(TorchCheckpointIO):
    """Writes a checkpoint and its digest in the folder of the one it replaces, then renames it.

    torch reads most damaged checkpoints without an error. Lightning writes to the system's
    temporary folder first. If that is on another file system, the checkpoint is copied, and a run
    killed during the copy leaves half a checkpoint.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        content = io.BytesIO()
        torch.save(checkpoint, content)
        stored = content.getbuffer()
        write_atomic(Path(path), stored, hashlib.sha256(stored).digest())

    def load_checkpoint(self, path: str | Path, *_: Any, **__: Any) -> dict[str, Any]:
        return _read(Path(path))


def _read(path: Path) -> dict[str, Any]:
    """Read a checkpoint that `_CheckpointFiles` wrote, if not a byte of it has changed."""
    try:
        content = memoryview(path.read_bytes())
        stored, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
        if hashlib.sha256(stored).digest() != digest:
            raise ValueError("its digest is another one")
        checkpoint: dict[str, Any] = torch.load(
            io.BytesIO(stored), map_location="cpu", weights_only=True
        )
    except Exception as err:
        raise RunError(
            f"{path} cannot be read",
            expected="a checkpoint of this training, as it was written",
            remedy=f"remove {path.parent}, the training starts again",
        ) from err
    return checkpoint


@contextmanager
def _without_denormals() -> Iterator[None]:
    """Replace denormal numbers by 0 within a block: a processor computes with them far slower.

    Gradients of long recurrent networks decay to such numbers, which are below any rounding error
    of a weight. The setting is the calling thread's; threads of torch's pool that start within
    the block take it over, and keep it afterwards.
    """
    # torch cannot say whether it is set: a smallest normal number is halved to see.
    smallest = torch.finfo(torch.float32).tiny
    was_set = not torch.tensor([smallest]).div(2.0).item()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(was_set)


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Let torch compute on a number of threads of the CPU within a block."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def restored_random_state(device: str = "cpu") -> Iterator[None]:
    """Restore torch's random state after a block, on the CPU and on the GPU in use.

    By default, `torch.random.fork_rng` initialises every GPU of the machine, even those that
    other programs use, and fails in a process that was forked after the GPU was in use.

    Parameters
    ----------
    device
        Device of the block: cpu, cuda or cuda:N. No other GPU is touched.

    Examples
    --------
    >>> before = torch.get_rng_state()
    >>> with restored_random_state():
    ...     _ = torch.manual_seed(1), torch.rand(3)
    >>> bool((torch.get_rng_state() == before).all())
    True
    """
    kind, _, number = device.partition(":")
    gpus = [int(number or 0)] if kind == "cuda" else []
    with torch.random.fork_rng(gpus, device_type="cuda"):
        yield
