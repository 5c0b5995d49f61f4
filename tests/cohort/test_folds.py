"""Folds of people, drawn by the options of a call."""

from __future__ import annotations

import pytest

from bids_dtg.cohort.region_people import draw_folds
from bids_dtg.errors import SettingsError
from bids_dtg.inputs.participants import Families
from bids_dtg.settings import Settings

LABELS = tuple("abcdefgh")


def settings(**options: object) -> Settings:
    return Settings.of(
        bids_dir="in", output_dir="out", analysis_level="group", workflow="twin", **options
    )


def families(**of: str) -> Families:
    return Families(of, "")


def test_families_stay_in_a_fold_whatever_the_seed() -> None:
    related = families(a="1", b="1", c="2", d="2", e="3", f="3")
    for seed in range(8):
        folds = draw_folds(settings(folds=3, seed=seed), LABELS, related)
        assert sorted(label for fold in folds for label in fold) == list(LABELS)
        for pair in ("ab", "cd", "ef"):
            assert any(set(pair) <= set(fold) for fold in folds)


def test_one_family_cannot_be_divided() -> None:
    with pytest.raises(SettingsError, match=r"--folds 3: 1 families.*more people, or fewer"):
        draw_folds(settings(folds=3), "ab", families(a="1", b="1"))
