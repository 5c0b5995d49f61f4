"""Behaviour of the connectome's twin, and of the group's network, in the tasks of an average."""

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
from bids_dtg.twin.tasks import Task
from bids_dtg.twin.trials import Trials

if TYPE_CHECKING:
    from bids_dtg.twin.decoding import Decoded
    from bids_dtg.twin.fitting import Fitted, Outputs
    from bids_dtg.twin.trial_series import Segments, TaskSet, TrialRows

Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SeenTrials:
    """The trials of an average's runs as networks see them, with the person's own responses."""

    runs: tuple[PerformedRun, ...]
    segments: Segments  # with an axis of people, which is 1

    @classmethod
    def of(cls, runs: Sequence[PerformedRun], tasks: Sequence[Task]) -> SeenTrials:
        """Make segments of one or more runs, without the responses of other participants.

        Raises
        ------
        RunError
            There is no trial, or a response window does not fit into a segment.
        """
        from bids_dtg.twin.trial_series import TaskSet, stack_people

        shown = [run.trials if run.own else without_responses(run.trials) for run in runs]
        try:
            segments = stack_people([shown], tasks=TaskSet(tuple(tasks)))
        except ValueError as err:
            names = ", ".join(run.file.path.name for run in runs)
            raise RunError(f"the trials of {names} cannot be performed: {err}") from err
        return cls(tuple(runs), segments)

    @property
    def tasks(self) -> TaskSet:
        """Tasks of the trials."""
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
        """Which trials belong to the person's own runs, (trials,)."""
        return np.array([run.own for run in self.runs])[self.run]

    @cached_property
    def used(self) -> Flags:
        """Which trials enter figures, (trials,): own scored trials; all trials of others' runs."""
        there = (self.rows.task >= 0) & (self.rows.last_step >= self.rows.first_step)
        return np.asarray(np.where(self.own, self.rows.scored, there), bool)


@dataclass(frozen=True, eq=False)
class Performed:
    """Decoded answers of the twin of a connectome and of the group's network, (trials, ...)."""

    twin: Decoded
    group: Decoded | None  # None: the architecture has none


class TwinInference:
    """Runs a model's twins in tasks; the model is read at first use."""

    def __init__(self, bundle: TwinBundle, *, threads: int) -> None:
        self._bundle, self._threads = bundle, threads

    @cached_property
    def fitted(self) -> Fitted:
        """The model's twins."""
        import torch

        torch.set_num_threads(self._threads)
        return self._bundle.fitted()

    def of(self, edges: NDArray[np.float32], seen: SeenTrials) -> Performed:
        """Run the twin of a connectome (edges,), Fisher z, and the group's network on trials.

        Raises
        ------
        RunError
            An edge has no value, or an output of the twin is not finite.
        """
        if not np.isfinite(edges).all():
            raise RunError(
                f"{int((~np.isfinite(edges)).sum())} of {len(edges)} edges have no value",
                expected=f"values of all edges, which {self._bundle.card.name} needs",
                remedy="use another atlas, or leave out --model",
            )
        twin = self.fitted.perform(edges[None], seen.segments)
        if not np.isfinite(twin).all():
            raise RunError(
                f"the answers by {self._bundle.card.name} are not finite",
                remedy="use another model, or leave out --model",
            )
        group = self.fitted.perform_group(seen.segments)
        return Performed(_decoded(twin, seen), None if group is None else _decoded(group, seen))


def without_responses(trials: Trials) -> Trials:
    """Return a run's trials without responses."""
    nobody = np.full(len(trials.onset_seconds), -1, np.int8)
    return replace(
        trials,
        button=nobody,
        rt_seconds=np.full(len(nobody), np.nan),
        correct=nobody >= 0,
        unscored=tuple(range(len(nobody))),
    )


def _decoded(performed: Outputs, seen: SeenTrials) -> Decoded:
    from bids_dtg.twin.decoding import decode

    return decode(performed[0], seen.segments.person(0))
