from __future__ import annotations

import csv

import pytest

from bids_dtg.contrasts.contrast import (
    Contrast,
    hcp_contrasts,
    parse_contrasts,
    rows_in_model,
)


def contrast(index: int, label: str) -> Contrast:
    return Contrast(index, label, task="T", name=label, description="")


def test_hcp_contrasts_are_those_of_the_published_models(shared):
    with (shared / "facts" / "contrasts.tsv").open(encoding="utf-8") as file:
        expected = list(csv.DictReader(file, delimiter="\t"))
    contrasts = hcp_contrasts()
    assert len(contrasts) == 47
    for ours, theirs in zip(contrasts, expected, strict=True):
        assert ours.index == int(theirs["index"])
        assert ours.label == theirs["label"]
        assert ours.task == theirs["task"]
        assert ours.name == theirs["hcp_contrast"]


def test_parse_needs_a_label_only():
    contrasts = parse_contrasts("label\nfaces\n\nplacesVsFaces\n")
    assert [(c.index, c.label, c.name) for c in contrasts] == [
        (0, "faces", "faces"),
        (1, "placesVsFaces", "placesVsFaces"),
    ]


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("", "the columns are none; label is required"),
        ("task\nWM\n", "the columns are task; label is required"),
        ("label\tcolour\nfaces\tred\n", "the columns are label, colour"),
        ("label\tlabel\na\tb\n", "the columns are label, label"),
        ("label\ttask\nfaces\n", "contrast 0 has 1 cells, the header 2"),
        ("label\nmath-story\n", "contrast 0 has the label 'math-story'"),
        ("label\nfäces\n", "contrast 0 has the label 'fäces'"),
        ("label\tindex\nfaces\tone\n", "contrast 0 has index 'one'"),
        ("label\tindex\nfaces\t1\n", "contrast faces has index 1 at position 0"),
        ("label\nfaces\nplaces\nfaces\n", "labels faces and faces are the same"),
        ("label\nFaces\nfaces\n", "labels Faces and faces are the same"),
        ("label\n", "there are no contrasts"),
    ],
)
def test_bad_tables_are_refused(text, fact):
    with pytest.raises(ValueError, match=fact):
        parse_contrasts(text)


@pytest.mark.parametrize("label", ["", "a b", "a_b", "../x", "a\n"])
def test_labels_are_letters_and_digits(label):
    with pytest.raises(ValueError, match="letters and digits only"):
        contrast(0, label)


def test_labels_of_one_spelling_do_not_move_the_rows_after_them():
    contrasts = [*map(contrast, range(4), ["wmFace", "wmFaces", "new", "rest"])]
    model = [*map(contrast, range(3), ["REST", "wmPlace", "wmFace"])]
    assert rows_in_model(contrasts, model) == {0: 2, 1: 2, 3: 0}
