from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from maps_bundle import extend_bundle, write_tiny_bundle

from bids_dtg.bundles.card import JsonFields
from bids_dtg.bundles.training_hashes import (
    PEOPLE_FILE,
    UNCERTAIN,
    TrainingHashes,
    hash_family,
    hash_person,
    hash_rest,
)
from bids_dtg.cli.models import main
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.bundle.registry import PUBLISHED
from bids_dtg.errors import BundleError
from bids_dtg.inputs.rest_sketch import sketch
from bids_dtg.stats.splits import SETS

labels = st.text(
    st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=8
)
one = st.builds(
    lambda name, label, files, sketches: (
        hash_person(name, label) if name else "",
        *(hash_rest(file) for file in sorted(files)),
        *sorted(sketches),
    ),
    st.none() | labels,
    labels,
    st.sets(labels, min_size=1, max_size=3),
    st.sets(st.binary(min_size=32, max_size=32).map(bytes.hex), max_size=2),
)
everybody = st.builds(
    TrainingHashes,
    st.dictionaries(
        st.sampled_from([*SETS, UNCERTAIN]), st.lists(one, max_size=4).map(tuple)
    ),
    st.lists(labels, max_size=2).map(tuple),
)


@pytest.mark.slow
@given(everybody)
def test_what_is_written_is_read(people):
    whole = TrainingHashes({}).joined(people)
    again = TrainingHashes.of(JsonFields.parse(people.encode().decode(), PEOPLE_FILE))
    assert TrainingHashes({}).joined(again) == whole
    assert again.encode() == people.encode()


def test_relatives_are_known_by_the_name_of_the_family_alone():
    family = hash_family("Our study", "Smith")
    people = TrainingHashes({"training": ((hash_person("Our study", "1"), family),)})
    text = people.encode().decode()
    assert json.loads(text)["format_version"] == 1
    assert "Smith" not in text
    again = TrainingHashes.of(JsonFields.parse(text, PEOPLE_FILE))
    assert again == people
    assert again.find([hash_family("our-study", "Smith")]) == (
        frozenset(),
        {"training"},
    )
    for other_family in (
        hash_family("Another", "Smith"),
        hash_family("Our study", "Jones"),
        "",
    ):
        assert not again.find([hash_person("Our study", "2"), other_family])[1]


@pytest.mark.slow
def test_people_may_be_deleted_before_a_bundle_is_published(tmp_path, capsys):
    seen = TrainingHashes({"training": ((hash_person("Our study", "1"),),)})
    path = extend_bundle(
        write_tiny_bundle(tmp_path / "tiny"), tmp_path / "own", people=seen
    ).path
    assert load_bundle(path).people == seen
    (path / PEOPLE_FILE).unlink()
    assert load_bundle(path).people is None
    assert main(["info", str(path)]) == 0
    assert (
        "people      unknown, because the bundle has no list" in capsys.readouterr().out
    )
    assert main(["verify", str(path)]) == 0


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ({"format_version": 2}, "format version 2. Expected: 1. To do: fetch or make"),
        ({"more": 1}, "unknown field more"),
    ],
)
def test_another_content_is_refused(tmp_path, change, fact):
    path = tmp_path / PEOPLE_FILE
    content = {"format_version": 1, "by_content": True, "sets": {}, "unlisted": []}
    path.write_text(json.dumps(content | change))
    with pytest.raises(BundleError, match=fact):
        TrainingHashes.read(path)


def test_rest_is_found_whatever_the_label():
    rest = np.random.default_rng(1).standard_normal((9, 200))
    person = (hash_person("study", "ann"), hash_rest("a"), sketch(rest))
    seen = TrainingHashes({"training": (person,)})
    other_label = hash_person("elsewhere", "bob")
    for hashes, sets in (
        ([], set()),
        ([sketch(10 * rest[::-1])], {"training"}),
        ([hash_rest("a")], {"training"}),
        ([sketch(rest[:, ::-1])], set()),
    ):
        assert seen.find([other_label, *hashes]) == (sets, frozenset())


@pytest.mark.slow
def test_a_bundle_keeps_its_people(tmp_path):
    people = TrainingHashes({"training": ((hash_person("study", "01"),),)})
    tiny = write_tiny_bundle(tmp_path / "tiny")
    assert tiny.people is None
    extended = extend_bundle(tiny, tmp_path / "made", people=people)
    assert PEOPLE_FILE in extended.card.files
    assert load_bundle(tmp_path / "made").people == people
    assert extend_bundle(extended, tmp_path / "again").people == people
    (tmp_path / "made" / PEOPLE_FILE).write_bytes(TrainingHashes({}).encode())
    with pytest.raises(BundleError, match=r"people\.json has changed"):
        load_bundle(tmp_path / "made")


def with_checksum(digits: tuple[int, ...]) -> str:
    """Return an id as HCP makes them: its last two digits are a weighted sum of the others."""
    total = sum((len(digits) - place) * digit for place, digit in enumerate(digits))
    return "".join(map(str, digits)) + f"{total:02d}"


@pytest.mark.slow
def test_the_published_lists_are_there_and_hashes_hide_nothing():
    """As the documentation says: anyone can try all ids."""
    young = PUBLISHED["hcp-ya"].people
    counts = dict.fromkeys((*SETS, UNCERTAIN), 0)
    for digits in product(range(10), repeat=4):
        for name in young.find([hash_person("HCP-YA", with_checksum(digits))])[0]:
            counts[name] += 1
    sizes = {
        "training": 827,
        "validation": 92,
        "calibration": 0,
        "test": 34,
        UNCERTAIN: 34,
    }
    assert counts == sizes
    assert young.unlisted == ("5 of the 39 test people of HCP-YA",)
    hcp_d = PUBLISHED["hcp-d"].people
    of_both = {
        "training": 827 + 515,
        "validation": 92 + 58,
        "test": 34 + 64,
        UNCERTAIN: 34,
    }
    assert {name: hcp_d.count(name) for name in of_both} == of_both
    unlisted = PUBLISHED["ukb"].people.unlisted
    assert any("UK Biobank" in text for text in unlisted)
