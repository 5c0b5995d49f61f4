"""Columns of the table of participants, as baselines of twins read them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bids_dtg.errors import SettingsError
from bids_dtg.settings import Settings
from bids_dtg.twin.adjustment import Covariates
from bids_dtg.twin.participant.people import read_covariates

TABLE = """participant_id\tage\tsex\tsite\tempty
sub-01\t20\tF\t1\tn/a
sub-02\t31.5\tM\t2\tn/a
sub-03\tn/a\tF\t2\tn/a
sub-04\t40\tn/a\t1\tn/a
"""
LABELS = ("02", "01", "04", "03")


@pytest.fixture
def settings(tmp_path: Path):
    (tmp_path / "participants.tsv").write_text(TABLE)

    def of(*names: str, **options: object) -> Settings:
        return Settings.of(
            bids_dir=tmp_path,
            output_dir="out",
            analysis_level="group",
            workflow="twin",
            covariates=names,
            **options,
        )

    return of


def test_numbers_and_categories_are_in_the_order_of_the_people(settings, capsys) -> None:
    found = read_covariates(settings("site", "age", "SEX"), LABELS)
    assert (found.number_names, found.category_names) == (("age",), ("site", "sex"))
    np.testing.assert_array_equal(found.numbers, [[31.5], [20.0], [40.0], [np.nan]])
    # A site is a name, also where it is written as a number.
    assert found.categories.tolist() == [["2", "M"], ["1", "F"], ["1", ""], ["2", "F"]]
    said = capsys.readouterr().err
    assert "age: 1 participant without a value (sub-03)" in said
    assert "sex: 1 participant without a value (sub-04)" in said


def test_nothing_is_read_where_nothing_is_asked_for(settings, tmp_path: Path) -> None:
    (tmp_path / "participants.tsv").write_bytes(b"\xff")
    found = read_covariates(settings(), LABELS)
    assert vars(found) == vars(Covariates())


def test_another_table_is_read_where_it_is_given(settings, tmp_path: Path) -> None:
    other = tmp_path / "other.tsv"
    other.write_text("participant_id\tage\nsub-01\t5\n")
    found = read_covariates(settings("age", participants_file=other), ["01"])
    assert (found.numbers.tolist(), found.categories) == ([[5.0]], None)


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("ages", "has no column ages.*did you mean age"),
        ("empty", "--covariates empty: none of 4 participants has a value"),
    ],
)
def test_a_column_that_says_nothing_is_refused(settings, name: str, refused: str) -> None:
    with pytest.raises(SettingsError, match=refused):
        read_covariates(settings(name), LABELS)


def test_a_table_that_is_not_there_is_missed(settings, tmp_path: Path) -> None:
    (tmp_path / "participants.tsv").unlink()
    with pytest.raises(SettingsError, match="there is no table of participants with a column age"):
        read_covariates(settings("age"), LABELS)
