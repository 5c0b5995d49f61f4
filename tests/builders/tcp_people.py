"""The open people of the Transdiagnostic Connectome Project (CC0), as arrays: from DTG_SHARED."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bids_dtg.twin.judging.behaviour import Answers

CONDITIONS = {"faces": ("shape", "face"), "stroop": ("congruent", "incongruent")}
BUTTONS = {"faces": ("left", "right"), "stroop": ("red", "green", "blue")}
LEAST_RT_SECONDS = 0.15


def tcp_folder(shared: Path) -> Path:
    folder = shared / "twin/data"
    if not (folder / "tcp_trials.tsv.gz").is_file():
        pytest.skip(f"no trial table at {folder} (set DTG_SHARED)")
    return folder


@cache
def _rows(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "tcp_trials.tsv.gz", sep="\t", na_values="n/a")


def tcp_answers(folder: Path, task: str, run: str) -> tuple[list[str], Answers, np.ndarray]:
    """Return people's labels, their answers and the half of each trial, (people, trials).

    Too early responses have no time here, and count as they were judged.
    """
    rows = _rows(folder)
    rows = rows[(rows.task == task) & (rows.run == run)]
    people, trials = rows.participant_id.nunique(), rows.trial.max()

    def table(column: pd.Series) -> np.ndarray:
        return column.to_numpy().reshape(people, trials)

    def index(column: pd.Series, names: tuple[str, ...]) -> pd.Series:
        return column.map({name: number for number, name in enumerate(names)}).fillna(-1)

    rt = table(rows.rt)
    answers = Answers(
        condition=table(index(rows.condition, CONDITIONS[task])).astype(int),
        correct_button=table(index(rows.correct_response, BUTTONS[task])).astype(int),
        button=table(index(rows.response, BUTTONS[task])).astype(int),
        rt_seconds=np.where(rt < LEAST_RT_SECONDS, np.nan, rt),
        correct=table(rows.correct == 1),
        scored=np.ones((people, trials), bool),
    )
    return rows.participant_id.iloc[::trials].tolist(), answers, table(rows.half)


def tcp_covariates(folder: Path, labels: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return age, (people, 1), and sex, site and group, (people, 3)."""
    rows = pd.read_csv(folder / "participants.tsv", sep="\t", dtype=str, index_col=0).loc[labels]
    return rows[["age"]].to_numpy(float), rows[["sex", "site", "group"]].to_numpy(str)
