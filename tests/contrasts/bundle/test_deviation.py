"""The bundle's part of deviations: written, read back, kept small, and refused where damaged."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy
from tiny_bundle import forge, write_tiny_bundle

from bids_dtg.contrasts.bundle.bundle import ModelBundle, load_bundle
from bids_dtg.contrasts.bundle.deviation import DEVIATION_FILE
from bids_dtg.contrasts.bundle.writer import extend_bundle
from bids_dtg.errors import BundleError
from bids_dtg.stats.deviation import Deviation, PeopleSums, UsualShare


def tiny_people(bundle: ModelBundle, count: int = 12) -> np.ndarray:
    rng = np.random.default_rng(3)
    mean = rng.normal(size=(len(bundle.contrasts), bundle.places.number))
    own = rng.normal(size=(count, *mean.shape)) * [[0.5], [1e-4], [0.0]]
    return (mean + own).astype(np.float32)


def tiny_deviation(bundle: ModelBundle, *, exact: bool = True) -> Deviation:
    sums = PeopleSums.of(tiny_people(bundle), bundle.places.lattice(4))
    return replace(sums.deviation(segments=4, of="training"), exact=exact)


@pytest.fixture
def plain(tmp_path):
    return write_tiny_bundle(tmp_path / "tiny")


@pytest.fixture(params=[True, False], ids=["whole", "packed"])
def made(request, plain, tmp_path):
    return extend_bundle(
        plain, tmp_path / "new", deviation=tiny_deviation(plain, exact=request.param)
    )


def test_it_comes_back(made, plain):
    found, wanted = load_bundle(made.path).deviation, tiny_deviation(plain)
    assert (found.people, found.segments, found.of) == (12, 4, "training")
    np.testing.assert_array_equal(found.has_none, [False, False, True])
    np.testing.assert_allclose(found.spread, wanted.spread, rtol=1e-3)
    packed = made.card.part.deviation["packed"]
    lost = np.abs(found.mean - wanted.mean)
    step = np.median(wanted.spread.reshape(3, -1), axis=1) / 4
    if packed:
        assert lost[0].max() <= step[0] / 2 * 1.001
        # 16 bits hold no steps as small as a quarter of the second contrast's spread.
        assert lost[1].max() <= np.abs(wanted.mean[1]).max() / 2**16 * 1.01
        assert lost[2].max() <= np.abs(wanted.mean[2]).max() / 254 * 1.01
    else:
        assert lost.max() == 0
    for own in tiny_people(plain):
        values = found.deviations(own)
        np.testing.assert_allclose(
            values[0], wanted.deviations(own)[0], atol=0.2 if packed else 1e-2
        )


def test_deviations_of_its_own_people_add_up_to_nothing(plain, tmp_path):
    found = extend_bundle(plain, tmp_path / "new", deviation=tiny_deviation(plain)).deviation
    own = tiny_people(plain).astype(np.float64) - found.mean
    assert np.abs(own.sum(axis=0)).max() < 1e-5


def test_all_else_stays_and_old_programs_ask_for_a_newer_one(made, plain):
    for name in plain.card.files:
        assert (made.path / name).read_bytes() == (plain.path / name).read_bytes()
    card = json.loads((made.path / "model.json").read_text())
    assert card["format_version"] == 4
    assert card["deviation"]["people"] == 12
    assert "deviation" not in json.loads((plain.path / "model.json").read_text())
    assert plain.deviation is None


def test_what_is_usual_is_a_field_alone_and_of_a_new_format_version(made, tmp_path):
    usual = UsualShare(0.0931, 40)
    with_it = extend_bundle(
        made, tmp_path / "usual", deviation=replace(made.deviation, usual=usual)
    )
    back = load_bundle(with_it.path)
    assert back.deviation.usual == usual
    assert json.loads((back.path / "model.json").read_text())["format_version"] == 5
    assert (back.path / DEVIATION_FILE).read_bytes() == (made.path / DEVIATION_FILE).read_bytes()
    assert load_bundle(made.path).deviation.usual is None


@pytest.mark.parametrize("wrong", [{"usual_share": 1.5}, {"usual_people": 0}, {"usual_share": "x"}])
def test_a_wrong_usual_share_is_refused(made, wrong):
    path = made.path / "model.json"
    card = json.loads(path.read_text())
    card["deviation"] |= {"usual_share": 0.1, "usual_people": 40} | wrong
    path.write_text(json.dumps(card))
    with pytest.raises(BundleError, match=r"usual_(share|people) is"):
        load_bundle(made.path)


def test_a_mean_that_is_not_finite_is_not_written(plain, tmp_path):
    people = tiny_people(plain)
    people[:, 0, 0] = np.nan
    sums = PeopleSums.of(people, plain.places.lattice(4))
    with pytest.raises(BundleError, match="the mean of its predictions has values that are not"):
        extend_bundle(plain, tmp_path / "new", deviation=sums.deviation(segments=4, of="training"))


@pytest.mark.parametrize(
    ("field", "value", "fact"),
    [
        ("of", "passers-by", "of is"),
        ("people", 1, "two or more people"),
        ("block", 0, "block is"),
        ("block", 10**9, "block is"),
        ("packed", "yes", "packed is"),
        ("more", 1, "more"),
    ],
)
def test_a_wrong_field_is_refused(made, field, value, fact):
    path = made.path / "model.json"
    card = json.loads(path.read_text())
    card["deviation"][field] = value
    path.write_text(json.dumps(card))
    with pytest.raises(BundleError, match=fact):
        load_bundle(made.path)


def test_a_file_that_is_not_listed_is_refused(made):
    path = made.path / "model.json"
    card = json.loads(path.read_text())
    del card["files"][DEVIATION_FILE]
    path.write_text(json.dumps(card))
    with pytest.raises(BundleError, match=r"has deviation, but lists no deviation\.safe"):
        load_bundle(made.path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_a_damaged_file_is_refused(made, value):
    content = (made.path / DEVIATION_FILE).read_bytes()
    tensors = safetensors.numpy.load(content)
    assert {"mean", "mean_packed"} & tensors.keys()
    for name in tensors.keys() & {"mean", "mean_step", "spread", "spread_largest"}:
        if name.startswith("mean") and value == -1.0:
            continue  # any finite mean may be
        changed = tensors[name].copy()
        changed.reshape(-1)[0] = value
        forge(made, DEVIATION_FILE, safetensors.numpy.save(tensors | {name: changed}))
        with pytest.raises(BundleError, match=DEVIATION_FILE):
            load_bundle(made.path)


@pytest.mark.parametrize(
    ("forged", "fact"),
    [
        (lambda right: right[:-9], "is not of"),
        (lambda right: right[9:], "mean_packed"),
        (lambda right: right + b"more", "is not of"),
        (lambda right: zlib.compress(bytes(1 << 20)), "is not of"),
        (lambda right: zlib.compress(b""), "is not of"),
        (lambda right: right * 9, "bytes of mean_packed"),
    ],
)
def test_packed_bytes_never_become_more_than_the_card_says(plain, tmp_path, forged, fact):
    made = extend_bundle(plain, tmp_path / "new", deviation=tiny_deviation(plain, exact=False))
    tensors = safetensors.numpy.load((made.path / DEVIATION_FILE).read_bytes())
    content = np.frombuffer(forged(tensors["mean_packed"].tobytes()), np.uint8)
    forge(made, DEVIATION_FILE, safetensors.numpy.save(tensors | {"mean_packed": content}))
    with pytest.raises(BundleError, match=fact):
        load_bundle(made.path)
