"""The study of TCP's behaviour: people of a table are read as those of event files, and judged."""

from __future__ import annotations

import gzip
import sys
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tcp_people import tcp_folder

sys.path.insert(0, str(Path(__file__).parents[2] / "studies"))

import twin_tcp


@pytest.fixture(scope="module")
def cohorts(shared, tmp_path_factory):
    """Return some people by their event files, and by the same rows of the table."""
    folder = tcp_folder(shared)
    some = sorted(path.name for path in (folder / "bids").glob("sub-*"))[:12]
    place = tmp_path_factory.mktemp("tcp")
    (place / "bids").mkdir()
    for name in some:
        (place / "bids" / name).symlink_to(folder / "bids" / name)
    with gzip.open(folder / "tcp_trials.tsv.gz", "rt") as file:
        header, *rows = file.read().splitlines()
    kept = [row for row in rows if row.split("\t")[0] in some]
    table = place / "people.tsv"
    table.write_text("\n".join([header, *reversed(kept)]) + "\n")
    return (
        twin_tcp.read_cohort(twin_tcp.runs_of_files(place)),
        twin_tcp.read_cohort(twin_tcp.runs_of_table(table)),
        table,
    )


def test_a_table_gives_the_runs_of_the_event_files(cohorts):
    of_files, of_table, _ = cohorts
    assert of_table.labels == of_files.labels
    assert of_table.left_out == of_files.left_out
    for mine, theirs in zip(of_table.runs, of_files.runs, strict=True):
        assert mine.keys() == theirs.keys()
        for name, run in mine.items():
            for field in fields(run):
                one, other = getattr(run, field.name), getattr(theirs[name], field.name)
                if isinstance(one, np.ndarray) and one.dtype.kind == "f":
                    np.testing.assert_allclose(one, other, atol=2e-4, err_msg=field.name)
                elif isinstance(one, np.ndarray):
                    np.testing.assert_array_equal(one, other, err_msg=field.name)


def study_of(cohort, known):
    """Return a study of the first people, without a fit."""
    trained = replace(cohort, labels=cohort.labels[:known], runs=cohort.runs[:known])
    folds = tuple(np.arange(known)[n::2] for n in range(2))
    training = tuple(np.setdiff1d(np.arange(known), rows) for rows in folds)
    fits = tuple(
        SimpleNamespace(people=tuple(trained.labels[row] for row in rows)) for rows in training
    )
    return twin_tcp.Study(trained, folds, fits, twin_tcp.tables_of(trained), {}, training)


def test_other_people_are_judged_by_fits_that_have_not_seen_them(cohorts):
    cohort = cohorts[1]
    study = study_of(cohort, 7)
    new = replace(cohort, labels=cohort.labels[7:], runs=cohort.runs[7:])
    found = twin_tcp.with_people(study, new)
    assert [found.cohort.labels[row] for row in found.who] == [*new.labels]
    for rows, training, fitted in zip(found.folds, found.training, found.fits, strict=True):
        assert {found.cohort.labels[row] for row in training} == {*fitted.people}
        assert not set(rows) & set(training)
    own = twin_tcp.rows_of(found.own("stroopAP"), found.who)
    alone = twin_tcp.answers_of(twin_tcp.tables_of(new)["hammerAP"], 1)
    np.testing.assert_array_equal(own.rt_seconds, alone.rt_seconds)


def test_people_of_the_training_are_refused(cohorts):
    cohort = cohorts[1]
    again = replace(cohort, labels=cohort.labels[6:], runs=cohort.runs[6:])
    with pytest.raises(SystemExit, match=r"1 of \d+ people are in the training of a fit: NDARINV"):
        twin_tcp.with_people(study_of(cohort, 7), again)


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        (lambda text: text.replace("\trt\t", "\tseconds\t"), "lacks the columns rt"),
        (lambda text: text.replace("\tPA\t", "\tAP\t"), "has no trials of stroopPA"),
    ],
)
def test_another_table_is_refused(cohorts, tmp_path, change, fact):
    table = tmp_path / "other.tsv"
    table.write_text(change(cohorts[2].read_text()))
    with pytest.raises(SystemExit, match=fact):
        list(twin_tcp.runs_of_table(table))
