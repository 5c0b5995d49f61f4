"""Intervals around parcel means in a bundle: written, read, added to, and refused where damaged."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.numpy
from tiny_bundle import forge, write_tiny_bundle

from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.bundle.parcel_intervals import PARCEL_INTERVALS_FILE
from bids_dtg.contrasts.bundle.writer import extend_bundle
from bids_dtg.errors import BundleError
from bids_dtg.stats.parcel_intervals import ParcelIntervals

KEY, OTHER = "Schaefer2018_seg-7n_scale-400", "Own"


def intervals(parcels: int, digest: str = "0a1b", seed: int = 0) -> ParcelIntervals:
    errors = np.random.default_rng(seed).normal(size=(12, 3, parcels))
    errors[:, 1, 0] = np.nan
    return ParcelIntervals.fit(errors, segments=4, digest=digest)


@pytest.fixture
def bundle(tmp_path):
    return write_tiny_bundle(tmp_path / "tiny")


@pytest.fixture
def made(bundle, tmp_path):
    given = {KEY: intervals(7), OTHER: intervals(3, "ff")}
    return extend_bundle(bundle, tmp_path / "made", parcel_intervals=given)


def test_they_come_back_as_they_were(made):
    back = load_bundle(made.path).parcel_intervals
    for key, given in ((KEY, intervals(7)), (OTHER, intervals(3, "ff"))):
        np.testing.assert_array_equal(back[key].half_widths(90), given.half_widths(90))
        assert np.isnan(back[key].half_widths(90)[1, 0])
        assert (back[key].digest, back[key].levels) == (given.digest, given.levels)
        assert (back[key].participants, back[key].segments) == (12, 4)
    assert set(back) == {KEY, OTHER}
    # Older programs would refuse the field: they are to ask for a newer one.
    assert json.loads((made.path / "model.json").read_text())["format_version"] == 4


def test_those_of_other_atlases_stay(made, tmp_path):
    new = {OTHER: intervals(4, "aa", seed=1)}
    both = extend_bundle(made, tmp_path / "both", parcel_intervals=new).parcel_intervals
    assert {key: one.digest for key, one in both.items()} == {KEY: "0a1b", OTHER: "aa"}
    kept = extend_bundle(made, tmp_path / "kept", parcel_intervals={})
    assert set(kept.parcel_intervals) == {KEY, OTHER}


def test_a_bundle_without_them_says_nothing(bundle):
    assert bundle.parcel_intervals == {}
    assert "parcel_intervals" not in json.loads((bundle.path / "model.json").read_text())


def change_card(made, change) -> None:
    path = made.path / "model.json"
    card = json.loads(path.read_text())
    change(card)
    path.write_text(json.dumps(card))


@pytest.mark.parametrize(
    ("key", "value", "fact"),
    [
        ("levels", [90, 50, 68, 80, 95], "Own: levels rise"),
        ("levels", ["90"], "Own.levels .*whole numbers of percent"),
        ("levels", [50, 90], "holds"),
        ("parcels", 4, "holds"),
        ("parcels", 2**40, "Own.parcels .*at most"),
        ("parcels", -1, "Own.parcels"),
        ("participants", 0, "Own.participants"),
        ("segments", 1.5, "Own.segments"),
        ("digest", "../x", "Own.digest .*hexadecimal"),
        ("more", 1, "unknown field parcel_intervals.Own.more"),
    ],
)
def test_a_card_that_does_not_fit_its_file_is_refused(made, key, value, fact):
    change_card(made, lambda card: card["parcel_intervals"][OTHER].update({key: value}))
    with pytest.raises(BundleError, match=fact):
        load_bundle(made.path)


@pytest.mark.parametrize("name", ["", "../Own", "Own/..", "a b", "_Own", "x" * 9 + "\n"])
def test_keys_of_atlases_are_names(made, name):
    def rename(card):
        card["parcel_intervals"][name] = card["parcel_intervals"].pop(OTHER)

    change_card(made, rename)
    with pytest.raises(BundleError, match="letters and digits, joined"):
        load_bundle(made.path)


@pytest.mark.parametrize("field", [7, [], {OTHER: 7}])
def test_a_field_of_another_form_is_refused(made, field):
    change_card(made, lambda card: card.update(parcel_intervals=field))
    with pytest.raises(BundleError, match=r"parcel_intervals.* an object"):
        load_bundle(made.path)


def test_the_field_needs_its_file(made):
    change_card(made, lambda card: card["files"].pop(PARCEL_INTERVALS_FILE))
    with pytest.raises(BundleError, match="has parcel_intervals, but lists no parcel_intervals"):
        load_bundle(made.path)


@pytest.mark.parametrize(
    ("tensor", "value", "fact"),
    [
        ("usual", np.nan, "not finite in Own.usual"),
        ("usual", 0.0, "Own: pooled errors are above 0"),
        ("usual", -1.0, "Own: pooled errors are above 0"),
        ("quantiles", np.inf, "not finite in Own.quantiles"),
        ("quantiles", -1.0, "Own: quantiles are 0 or more"),
        ("quantiles", 3e38, "Own: quantiles are 0 or more, and finite when"),
    ],
)
def test_values_that_are_no_widths_are_refused(made, tensor, value, fact):
    tensors = safetensors.numpy.load((made.path / PARCEL_INTERVALS_FILE).read_bytes())
    name = f"{OTHER}.{tensor}"
    larger = {f"{OTHER}.usual": tensors[f"{OTHER}.usual"] * 100} if value == 3e38 else {}
    changed = tensors | larger | {name: np.full_like(tensors[name], value)}
    forge(made, PARCEL_INTERVALS_FILE, safetensors.numpy.save(changed))
    with pytest.raises(BundleError, match=rf"{PARCEL_INTERVALS_FILE}.*{fact}"):
        load_bundle(made.path)


def test_other_tensors_are_refused(made):
    tensors = safetensors.numpy.load((made.path / PARCEL_INTERVALS_FILE).read_bytes())
    more = tensors | {"More.usual": np.ones((3, 3), np.float32)}
    forge(made, PARCEL_INTERVALS_FILE, safetensors.numpy.save(more))
    with pytest.raises(BundleError, match="holds"):
        load_bundle(made.path)
