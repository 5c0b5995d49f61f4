"""What networks do in the tasks of a set: the twin of its connectome, and the group's network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bids_dtg.errors import RunError
from bids_dtg.twin.bundle.bundle import TwinBundle
from bids_dtg.twin.participant.events import PerformedRun
from bids_dtg.twin.recipe import find_architecture
from bids_dtg.twin.tasks import Task
from bids_dtg.twin.trials import Trials

if TYPE_CHECKING:
    from bids_dtg.twin.decoding import Decoded
    from bids_dtg.twin.fitting import Fitted
    from bids_dtg.twin.traces import Segments, TaskSet, TrialRows

Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SeenTrials:
    """The trials of a set's runs, as networks see them, and what the person did in their own."""

    runs: tuple[PerformedRun, ...]
    segments: Segments  # with an axis of people, which is 1

    @classmethod
    def of(
        cls, runs: Sequence[PerformedRun], tasks: Sequence[Task], *, held: bool = True
    ) -> SeenTrials:
        """Make segments of runs; responses of somebody else are taken away.

        Parameters
        ----------
        runs
            Of the tasks; one at least.
        tasks
            Those of the model; without a model those of the runs.
        held
            As for `bids_dtg.twin.traces.stack_people`.

        Raises
        ------
        RunError
            No trial fits.
        """
        from bids_dtg.twin.traces import TaskSet, stack_people

        shown = [run.trials if run.own else without_responses(run.trials) for run in runs]
        try:
            segments = stack_people([shown], tasks=TaskSet(tuple(tasks)), held=held)
        except ValueError as err:
            names = ", ".join(run.file.path.name for run in runs)
            raise RunError(f"the trials of {names} cannot be performed: {err}") from err
        return cls(tuple(runs), segments)

    @property
    def tasks(self) -> TaskSet:
        """That the trials are of."""
        return self.segments.tasks

    @cached_property
    def rows(self) -> TrialRows:
        """The trials, (trials,) each."""
        return self.segments.person(0).trials

    @cached_property
    def run(self) -> NDArray[np.intp]:
        """Number of the run of each trial, (trials,)."""
        return np.asarray(self.segments.person(0).run[self.rows.segment], np.intp)

    @cached_property
    def own(self) -> Flags:
        """Which trials are of the person's own runs, (trials,)."""
        return np.array([run.own for run in self.runs])[self.run]

    @cached_property
    def used(self) -> Flags:
        """Which trials figures are of, (trials,): those scored; of others' runs all."""
        there = (self.rows.task >= 0) & (self.rows.last_step >= self.rows.first_step)
        return np.asarray(np.where(self.own, self.rows.scored, there), bool)


@dataclass(frozen=True, eq=False)
class Answers:
    """What a network does in the trials of a set."""

    buttons: NDArray[np.float32]  # (1, segments, steps, buttons): probabilities
    decoded: Decoded  # of each trial: (trials, ...)


@dataclass(frozen=True, eq=False)
class Performed:
    """What the twin of a connectome does, and the group's network."""

    twin: Answers
    group: Answers | None  # None: the architecture has none


class TwinInference:
    """Performs tasks by a model that may never have seen the participant.

    Parameters
    ----------
    bundle
        The model; it is read when it is first needed.
    threads
        To compute with.
    """

    def __init__(self, bundle: TwinBundle, *, threads: int) -> None:
        self._bundle, self._threads = bundle, threads

    @cached_property
    def _fitted(self) -> Fitted:
        import torch

        torch.set_num_threads(self._threads)
        return self._bundle.fitted()

    def of(self, edges: NDArray[np.float32], seen: SeenTrials) -> Performed:
        """Let the twin of a connectome perform, and the group's network.

        Parameters
        ----------
        edges
            (edges,), Fisher z: the upper triangle row by row.
        seen
            The trials.

        Raises
        ------
        RunError
            An edge has no value, or what the twin puts out is not finite.
        """
        if not np.isfinite(edges).all():
            raise RunError(
                f"{int((~np.isfinite(edges)).sum())} of {len(edges)} edges have no value",
                expected=f"all of them, as {self._bundle.card.name} reads them together",
                remedy="use another atlas, or leave out --model",
            )
        buttons = self._fitted.perform(edges[None], seen.segments).buttons
        if not np.isfinite(buttons).all():
            raise RunError(
                f"the answers by {self._bundle.card.name} are not finite",
                remedy="use another model, or leave out --model",
            )
        group = None
        if not find_architecture(self._bundle.part.architecture).generates_all:
            group = _answers(self._fitted.perform_group(seen.segments).buttons, seen)
        return Performed(_answers(buttons, seen), group)


def without_responses(trials: Trials) -> Trials:
    """Return what somebody was shown, as if nobody had answered.

    Parameters
    ----------
    trials
        Of a run.
    """
    nobody = np.full(len(trials.onset_seconds), -1, np.int8)
    return replace(
        trials,
        button=nobody,
        rt_seconds=np.full(len(nobody), np.nan),
        correct=nobody >= 0,
        unscored=tuple(range(len(nobody))),
    )


def _answers(buttons: NDArray[np.float32], seen: SeenTrials) -> Answers:
    from bids_dtg.twin.decoding import decode

    return Answers(buttons, decode(buttons[0], seen.segments.person(0)))
