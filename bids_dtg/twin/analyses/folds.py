"""Fits of an evaluation by folds: twins are fitted to all folds of people but one, in turn."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bids_dtg.cohort.column import Column
from bids_dtg.cohort.folds import draw_folds
from bids_dtg.cohort.result_table import ResultTable
from bids_dtg.engine.gpu import training_device
from bids_dtg.errors import SettingsError
from bids_dtg.notices import counted, say
from bids_dtg.report.flags import Flag
from bids_dtg.settings import Settings
from bids_dtg.training.loop import Workplace
from bids_dtg.twin.analyses.analysis import TwinAnalysis
from bids_dtg.twin.analyses.train import chosen_architecture, chosen_recipe
from bids_dtg.twin.fitting import Fitted, fit
from bids_dtg.twin.judging.cohort import Cohort
from bids_dtg.twin.judging.evaluation import fold_of
from bids_dtg.twin.judging.folds import Fold
from bids_dtg.twin.participant.covariates import read_covariates
from bids_dtg.twin.participant.source import connectome_notes
from bids_dtg.twin.recipe import find_architecture

_FEWEST = 3  # people that a fold's baselines are fitted to
_COLUMNS = (
    Column("fold", "Number of the fold"),
    Column("judged", "Participants of the fold, who are judged"),
    Column(
        "trained_on", "Participants of the other folds, on which twins and baselines are fitted"
    ),
    Column("epochs", "Epochs of the fit"),
    Column(
        "z",
        "How well mean times of people left out of the fit's own regressions go with what their "
        "connectomes predict, as z",
    ),
    Column("twins_differ", "Whether twins differ; else all of the fold are the group's network"),
)


@dataclass(frozen=True, eq=False)
class FoldFit:
    """What was fitted without a fold."""

    fitted: Fitted
    fold: Fold


@dataclass(frozen=True, eq=False)
class FoldPlan:
    """The folds, and how twins are fitted without each."""

    settings: Settings
    labels: tuple[str, ...]  # of everybody
    groups: tuple[tuple[str, ...], ...]  # labels of each fold
    architecture: str

    @classmethod
    def of(cls, analysis: TwinAnalysis) -> FoldPlan:
        """Draw the folds.

        Raises
        ------
        SettingsError
            There are too few people.
        """
        people, settings = analysis.people, analysis.settings
        labels = people.split.everybody
        groups = draw_folds(settings, labels, people.families)
        fewest = len(labels) - max(map(len, groups))
        if fewest < _FEWEST:
            raise SettingsError(
                f"{counted(fewest, 'participant')} would be trained on beside a fold "
                f"({len(groups)} folds of {counted(len(labels), 'participant')})",
                expected=f"{_FEWEST} or more with a connectome and events",
            )
        return cls(settings, labels, groups, chosen_architecture(settings))

    @property
    def words(self) -> str:
        """The folds in words."""
        return f"{len(self.groups)} folds of {counted(len(self.labels), 'participant')}"

    def gather(self, analysis: TwinAnalysis) -> Cohort:
        """Read everybody's connectomes and trials.

        Raises
        ------
        DatasetError
            Values cannot be used, or all connectomes are the same.
        """
        people = analysis.people
        connectomes = people.connectomes(self.labels)
        for line in connectome_notes(connectomes, self.labels, people.families):
            say(f"bids_dtg: warning: {line}")
        segments = people.segments(self.labels)
        given = read_covariates(self.settings, self.labels)
        return Cohort(
            self.labels,
            segments,
            connectomes,
            numbers=given.numbers,
            categories=given.categories,
            families=people.families.by_label,
        )

    def fit(self, people: Cohort, folder: Path) -> list[FoldFit]:
        """Fit twins and baselines without each fold; a stopped call goes on from checkpoints.

        Parameters
        ----------
        people
            Everybody (`gather`).
        folder
            Folder of checkpoints.
        """
        settings, found = self.settings, []
        device = training_device(settings.resources.device, say)
        for number, group in enumerate(self.groups, 1):
            inside = np.isin(people.labels, group)
            rows, others = np.flatnonzero(inside), people.of(np.flatnonzero(~inside))
            say(
                f"fold {number} of {len(self.groups)}: {counted(len(rows), 'participant')} left "
                f"out, {others.people} fitted"
            )
            assert others.connectomes is not None
            fitted = fit(
                others.connectomes,
                others.segments,
                people=others.labels,
                families=others.families,
                architecture=find_architecture(self.architecture, chosen_recipe(settings)),
                seed=settings.modelling.seed,
                workplace=Workplace(
                    folder / f"fold-{number}",
                    device=device,
                    progress=sys.stderr.isatty(),
                ),
                report=say,
            )
            found.append(FoldFit(fitted, fold_of(fitted, people, rows)))
        return found


def fold_table(fits: Sequence[FoldFit]) -> ResultTable:
    """Return the table of fits, a row a fold."""
    rows = [
        {
            "fold": number,
            "judged": len(own.fold.rows),
            "trained_on": len(own.fitted.people),
            "epochs": sum(map(len, own.fitted.history.values())),
            "z": own.fitted.z,
            "twins_differ": own.fitted.twins_differ,
        }
        for number, own in enumerate(fits, 1)
    ]
    return ResultTable(_COLUMNS, rows, "Fits of an evaluation by folds: a row a fold")


def fold_flags(fits: Sequence[FoldFit]) -> list[Flag]:
    """Warn of folds of which all twins are the group's network."""
    same = [str(number) for number, own in enumerate(fits, 1) if not own.fitted.twins_differ]
    if not same:
        return []
    return [
        Flag(
            "warning",
            f"In {counted(len(same), 'fold')} of {len(fits)} ({', '.join(same)}) connectomes are "
            "not shown to predict left-out people: all twins there are the group's network",
        )
    ]
