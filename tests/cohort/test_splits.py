"""Splits of participants that are given as a table, and folds that are drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from bids_dtg.cohort.splits import draw_folds, outside_split, read_split
from bids_dtg.errors import SettingsError
from bids_dtg.inputs.participants import Families, write_sets
from bids_dtg.settings import Settings

LABELS = ("01", "02", "03", "04")


def table(folder: Path, **sets: list[str]) -> Path:
    write_sets(folder / "split.tsv", sets)
    return folder / "split.tsv"


def test_sets_have_the_order_of_the_data_and_only_people_who_can_be_used(tmp_path):
    path = table(tmp_path, training=["03", "01", "09"], test=["02"])
    split = read_split(path, LABELS[::-1], {})
    assert (split.training, split.test) == (("03", "01"), ("02",))
    assert outside_split(split, LABELS) == (
        "not in the split, left out: 1 participant (04)",
    )
    assert outside_split(split, LABELS[:3]) == ()


def test_a_divided_family_and_a_table_of_others_are_refused(tmp_path):
    path = table(tmp_path, training=["01"], test=["02"])
    with pytest.raises(SettingsError, match=r"split\.tsv: .*: smith"):
        read_split(path, LABELS, {"01": "smith", "02": "smith"})
    with pytest.raises(
        SettingsError, match=r"has no usable participant\. Expected: labels such as 03"
    ):
        read_split(path, LABELS[2:], {})


def settings_of(folds: int) -> Settings:
    return Settings.of(
        bids_dir="in",
        output_dir="out",
        analysis_level="group",
        folds=folds,
        workflow="dynamics",
        analysis="evaluate",
    )


def test_one_family_cannot_be_divided():
    with pytest.raises(
        SettingsError, match=r"--folds 3: 1 families.*more people, or fewer"
    ):
        draw_folds(settings_of(3), "ab", Families({"a": "1", "b": "1"}, ""))


def test_fewer_folds_than_asked_for_are_said(capsys):
    assert len(draw_folds(settings_of(3), "abc", Families({}, ""))) == 3
    assert capsys.readouterr().err == ""
    assert len(draw_folds(settings_of(50), "abc", Families({}, ""))) == 3
    draw_folds(settings_of(3), "abc", Families({"a": "1", "b": "1"}, ""))
    assert capsys.readouterr().err.splitlines() == [
        "--folds 50: 3 folds, as there are no more participants",
        "--folds 3: 2 folds, as there are no more families",
    ]
