from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_dtg.errors import OutputError, SettingsError
from bids_dtg.files.names import (
    ENTITY_ORDER,
    build_name,
    build_path,
    parse_name,
    participant_folder,
    plain_label,
    same_label,
)

LABELS = st.text("abcXYZ0189", min_size=1, max_size=6)
ENTITIES = st.dictionaries(st.sampled_from(ENTITY_ORDER), LABELS, min_size=1)


@given(ENTITIES, LABELS, st.sampled_from([".nii.gz", ".json", ""]))
def test_built_names_parse_back(entities, suffix, extension):
    name = build_name(entities, suffix, extension)
    parsed = parse_name(name)
    assert dict(parsed.entities) == entities
    assert (parsed.suffix, parsed.extension) == (suffix, extension)
    assert str(parsed) == name


def test_statmap_name_has_the_order_of_the_facts():
    entities = {
        "desc": "synthetic",
        "stat": "z",
        "contrast": "emotionFacesVsShapes",
        "res": "2",
    }
    entities |= {
        "space": "MNI152NLin6Asym",
        "run": "1",
        "ses": "X",
        "task": "rest",
        "sub": "01",
    }
    assert str(build_path(entities, "statmap", ".nii.gz")) == (
        "sub-01/ses-X/func/sub-01_ses-X_task-rest_run-1_space-MNI152NLin6Asym_res-2"
        "_contrast-emotionFacesVsShapes_stat-z_desc-synthetic_statmap.nii.gz"
    )


def test_entity_order_is_the_schema_s():
    schema = pytest.importorskip("bidsschematools.schema").load_schema()
    official = [schema.objects.entities[key].name for key in schema.rules.entities]
    assert [key for key in ENTITY_ORDER if key in official] == official


@pytest.mark.parametrize(
    "label", ["../x", "a/b", "", "a_b", "a-b", "a\n", ".", "ä", "a b"]
)
def test_hostile_labels_never_become_paths(label):
    with pytest.raises(OutputError, match="contrast"):
        build_name({"sub": "01", "contrast": label}, "statmap", ".nii.gz")
    with pytest.raises(OutputError, match="sub"):
        participant_folder(label)
    with pytest.raises(OutputError, match="ses"):
        build_path({"sub": "01", "ses": label}, "bold", ".nii.gz")


@pytest.mark.parametrize(
    "name", ["", "README", "sub-01_bold-x", "sub_bold.nii", "sub-1_sub-2_x"]
)
def test_names_that_are_not_bids(name):
    if name == "README":
        assert parse_name(name).entities == ()
        return
    with pytest.raises(ValueError, match="not a BIDS name"):
        parse_name(name)


def test_typed_labels_are_stripped_and_checked():
    assert plain_label("sub-01", "sub") == plain_label(" 01", "sub") == "01"
    with pytest.raises(SettingsError, match=r"'\.\./x'.*'ses'"):
        plain_label("../x", "ses")


def test_only_indices_ignore_leading_zeros():
    assert same_label("run", "1", "01")
    assert not same_label("run", "1", "2")
    assert not same_label("sub", "1", "01")
    assert same_label("run", "1a", "1a")
