"""Tables of participants, their families and the sets of a split."""

from __future__ import annotations

import json

import pytest

from bids_dtg.errors import SettingsError
from bids_dtg.inputs.participants import (
    read_families,
    read_participants,
    read_sets,
    write_sets,
)
from bids_dtg.stats.splits import SETS


def write(folder, text: str):
    path = folder / "participants.tsv"
    path.write_text(text)
    return path


def test_columns_have_values_by_label(tmp_path):
    rows = "sub-01\t20\tF\tn/a\n02\t31.5\tM\tx\nsub-03\n"
    table = read_participants(
        write(tmp_path, f"participant_id\tage\tSex\tnote\n{rows}")
    )
    assert table.find("age").numbers == {"01": 20.0, "02": 31.5}
    assert table.find("sex").levels == ("F", "M")
    assert not table.find("sex").is_number
    assert table.find("note").texts == {"02": "x"}
    assert table.first_of(("gender", "sex")).name == "Sex"
    assert table.first_of(("site",)) is None


def test_levels_of_numbers_are_in_order_of_size_and_infinity_is_no_number(tmp_path):
    table = read_participants(write(tmp_path, "participant_id,a,b\n1,10,inf\n2,9,1\n"))
    assert table.find("a").levels == ("9", "10")
    assert not table.find("b").is_number


def test_a_misspelt_name_gets_the_nearest_one(tmp_path):
    table = read_participants(write(tmp_path, "participant_id\treasoning\n01\t3\n"))
    with pytest.raises(
        SettingsError, match=r"no column resoning.*did you mean reasoning"
    ):
        table.find("resoning")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty"),
        ("name\tage\nx\t1\n", "the columns name, age"),
        ("participant_id\tage\tage\n01\t1\t2\n", "each column once"),
        (
            "participant_id\tage\n01\t1\nsub-01\t2\n",
            "two values of age for sub-01, 1 and 2",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path, text, why):
    with pytest.raises(SettingsError, match=why):
        read_participants(write(tmp_path, text))


@pytest.mark.parametrize("cell", ["unknown", "NULL", "1O", "inf", "1,5", "1_0", "٣"])
def test_a_cell_that_is_no_number_among_numbers_is_named(tmp_path, cell):
    cells = ["1", "2", "3.5", "4", "5", cell]
    rows = "".join(
        f"{number:02d}\t{text}\t{text}\n" for number, text in enumerate(cells, 1)
    )
    table = read_participants(write(tmp_path, f"participant_id\tage\tsite\n{rows}"))
    assert not table.find("age").is_number
    assert table.find("age").stray == f"'{cell}' of sub-06"
    assert table.find("site").stray is None  # a name


@pytest.mark.parametrize(
    "cells", [["27,5", "31,0", "28,25"], ["1.234,5", "7"], ["20", "-1,5e3"]]
)
def test_numbers_with_a_comma_are_no_categories_however_few_they_are(tmp_path, cells):
    rows = "".join(
        f"{number:02d}\t{cell}\t{cell}\n" for number, cell in enumerate(cells, 1)
    )
    table = read_participants(
        write(tmp_path, f"participant_id\tage\tfamily_id\n{rows}")
    )
    with pytest.raises(SettingsError, match=r"age has '.*,.*with a decimal point"):
        table.find("age").require_usable()
    assert table.find("family_id").require_usable().texts["01"] == cells[0]  # a name


# The data dictionary's words on a column, its cells, and its numbers, its levels or its fault.
UNITS = {"Levels": {"999": "unknown"}, "Units": "years"}
DESCRIBED = {
    "a group": (
        {"Levels": {"1": "patient", "2": "control"}},
        ["2", "1", "1.0"],
        ("1", "2"),
    ),
    "a list": ({"Levels": ["9", "10"]}, ["10", "9", "10"], ("9", "10")),
    "bands": ({"Levels": {"65+": "old"}}, ["20", "21", "22", "23", "65+"], 5),
    "a comma": ({"Levels": {"1,2": "both"}}, ["1,2", "1"], 2),
    "units": (UNITS, ["20", "21", "999"], [20, 21]),
    "no units": (UNITS | {"Units": "n/a"}, ["20", "999.0"], [20]),
    "an unlisted number": (
        {"Levels": {"1": "patient", "999": "unknown"}},
        ["1", "20", "999"],
        r"lists Levels of own, but not 20\. E",
    ),
    "a top with units": (
        {"Levels": {"89": "89 or more"}, "Units": "years"},
        ["20", "89"],
        [20, 89],
    ),
    "outside its range": (
        {"Levels": {"-1": "x", "12": "most", "88": "x"}, "Minimum": 0, "Maximum": 12}
        | {"Units": "points"},
        ["-1", "0", "12", "88"],
        [0, 12],
    ),
    "the ends": (
        {"Levels": {"0": "never", "10": "always"}},
        ["0", "3", "10", "4.5", "7"],
        [0, 3, 10, 4.5, 7],
    ),
    "the ends, and few between": (
        {"Levels": {"0": "never", "10": "always"}},
        ["0", "3", "4", "10"],
        r"lists Levels of own, but not 3, 4\. E",
    ),
    "the ends, and one beyond": (
        {"Levels": {"0": "never", "10": "always"}},
        ["3", "4", "5", "11"],
        r"lists Levels of own, but not 3, 4, 5, 11\. E",
    ),
    "a word that is a code": (
        {"Levels": {"M": "male", "F": "female", "U": {"Description": "Unknown"}}},
        ["M", "F", "U"],
        ("F", "M"),
    ),
    "a stray with units": (
        UNITS,
        ["1", "2", "3", "4", "old"],
        r"'old' of sub-04, and numbers",
    ),
    "a comma with units": (
        UNITS,
        ["1,5", "2"],
        r"own has '1,5' of sub-00.*without Units",
    ),
    "no levels": ({"Description": "a score"}, ["1", "2"], [1, 2]),
    "text": ("a score", ["1", "2"], [1, 2]),
}


@pytest.mark.parametrize(
    ("cells", "description", "start"),
    [
        (["12", "-999", "0", "-999.0"], None, "own: -999 of 2 participants in the ta"),
        (["1", "-9", "-99"], {"Units": "points"}, "own: -99 or -9 of 2 participants "),
        (["1", "-9", "-0.5"], None, None),
        (["1", "999", "-1"], None, None),
        (["1", "-9"], {"Minimum": -20}, None),
        (["1", "-9"], {"Levels": {"-9": "least"}, "Units": "points"}, None),
    ],
)
def test_numbers_that_often_stand_for_missing_values_are_noted(
    tmp_path, cells, description, start
):
    rows = "".join(f"{number:02d}\t{cell}\n" for number, cell in enumerate(cells))
    path = write(tmp_path, f"participant_id\town\n{rows}")
    path.with_suffix(".json").write_text(json.dumps({"own": description}))
    column = read_participants(path).find("own")
    assert len(column.numbers) == len(cells)
    if start is None:
        assert column.notes == ()
        return
    (note,) = column.notes
    assert note.startswith(start)
    # What it asks for makes the value missing.
    levels = note.partition("put ")[2].partition(" into")[0]
    path.with_suffix(".json").write_text(levels)
    assert [*read_participants(path).find("own").numbers.values()] == [
        float(cell) for cell in cells if float(cell) >= 0
    ]


@pytest.mark.parametrize("what", DESCRIBED)
def test_levels_of_the_data_dictionary_make_a_category(tmp_path, what):
    description, cells, expected = DESCRIBED[what]
    rows = "".join(f"{number:02d}\t{cell}\n" for number, cell in enumerate(cells))
    path = write(tmp_path, f"participant_id\town\n{rows}")
    path.with_suffix(".json").write_text(json.dumps({"own": description}))
    column = (
        read_participants(path).find("own").of([f"{n:02d}" for n in range(len(cells))])
    )
    if isinstance(expected, str):
        with pytest.raises(SettingsError, match=expected):
            column.require_usable()
        return
    assert column.require_usable().is_number == isinstance(expected, list)
    if isinstance(expected, list):
        assert [*column.numbers.values()] == expected
    else:
        assert expected in (column.levels, len(column.levels))


@pytest.mark.parametrize(
    ("meaning", "is_code"),
    [
        ("Missing data", True),
        ("own unknown", True),
        ("N/A", True),
        ("Refused to answer.", True),
        ("not applicable/not asked", True),
        ("unknown aetiology", False),
        ("missing limb", False),
        ("known", False),
        ("", False),
    ],
)
def test_a_code_of_missing_values_is_one_by_its_text(tmp_path, meaning, is_code):
    path = write(tmp_path, "participant_id\town\n01\t1\n02\t2\n03\t9\n")
    levels = {"1": "control", "2": "patient", "9": meaning}
    path.with_suffix(".json").write_text(json.dumps({"own": {"Levels": levels}}))
    column = read_participants(path).find("own")
    assert set(column.texts) == {"01", "02", "03"} - ({"03"} if is_code else set())
    note = "own: 9 is a code of missing values in participants.json"
    assert column.notes[0].startswith(note if is_code else "own is a category, as")


def test_a_scale_with_all_its_levels_is_a_category_which_is_said(tmp_path):
    rows = "".join(f"{number:02d}\t{number}\n" for number in range(10))
    path = write(tmp_path, f"participant_id\town\n{rows}")
    levels = {str(number): "" for number in range(10)}
    path.with_suffix(".json").write_text(json.dumps({"own": {"Levels": levels}}))
    (note,) = read_participants(path).find("own").notes
    assert "participants.json lists its 10 Levels without Units" in note
    ends = {"own": {"Levels": {"0": "never", "9": "always"}}}
    path.with_suffix(".json").write_text(json.dumps(ends))
    (note,) = read_participants(path).find("own").notes
    assert (
        "own holds numbers, as participants.json lists only its ends, 0 and 9" in note
    )


def test_a_damaged_data_dictionary_is_refused_where_it_is_used_but_families_and_sets_do_not_need_it(
    tmp_path,
):
    path = write(tmp_path, "participant_id\tfamily_id\tset\n01\tA\ttest\n")
    path.with_suffix(".json").write_text('{"family_id": ')
    column = read_participants(path).find("set")
    with pytest.raises(
        SettingsError, match=r"participants\.json cannot be read as JSON"
    ):
        column.require_usable()
    assert read_families([tmp_path]).by_label == {"01": "A"}
    assert read_sets(path, SETS)["test"] == ("01",)


# Spreadsheets make numbers of labels; people write them as they like.
OTHERWISE = [
    *(
        ("1", "01"),
        ("1.0", "01"),
        ("1.0", "1"),
        ("01.00", "1"),
        ("SUB-01", "01"),
        ("Sub-1", "01"),
    ),
    *(
        ("sim1", "sim01"),
        ("P7", "P007"),
        ("hcd0001305", "HCD0001305"),
        ("SUB-a", "A"),
        ("10.0", "010"),
    ),
]


@pytest.mark.parametrize(("written", "label"), OTHERWISE)
def test_labels_that_are_written_otherwise_are_refused_with_the_label_that_fits(
    tmp_path, written, label
):
    text = f"participant_id\tage\tfamily_id\tset\n{written}\t20\tA\ttraining\n"
    path = write(tmp_path, text + "12\t30\tA\ttest\n")
    for reader in (
        lambda labels: read_participants(path).require_labels(labels),
        lambda labels: read_families([], [path], labels),
        lambda labels: read_sets(path, SETS, labels),
    ):
        with pytest.raises(
            SettingsError, match=rf"has participant {written}, .* sub-{label}, who"
        ) as e:
            reader([label, "12"])
        assert e.value.expected == f"{label} or sub-{label}"
        reader(["12"])
        reader(["12", "13"])
    with path.open("a") as stream:
        stream.write(
            f"sub-{label}\t20\tA\ttraining\n"
        )  # the person is there, and another one
    read_participants(path).require_labels([label, "12"])


def test_a_table_with_a_row_a_session_is_read_for_one_session(tmp_path):
    rows = "01\tses-a\t20\n01\tses-b\t30\n02\tses-b\t40\n"
    path = write(tmp_path, f"participant_id\tsession_id\tage\n{rows}")
    of_b = read_participants(path, ["b"])
    assert of_b.columns["age"].texts == {"01": "30", "02": "40"}
    with pytest.raises(SettingsError, match="has no row of session c"):
        read_participants(path, ["c"])
    for sessions in ([], ["a", "b"]):
        with pytest.raises(SettingsError, match="choose one session with --session"):
            read_participants(path, sessions)


def test_a_row_without_a_label_is_of_nobody(tmp_path):
    table = read_participants(
        write(tmp_path, "participant_id\tage\n01\t20\n\t30\nsub-\t31\n")
    )
    table.require_labels(["0", "01"])
    with pytest.raises(
        SettingsError, match="has participant 01, but the data have sub-1, who"
    ):
        table.require_labels(["0", "1"])


@pytest.mark.parametrize(
    "column", ["family_id", "Family_ID", "FamilyID", "family-id", "family"]
)
@pytest.mark.parametrize(
    ("name", "sign", "person"),
    [
        ("tsv", "\t", "participant_id"),
        ("csv", ",", "Subject"),
        ("tsv", ",", "participant_id"),
    ],
)
def test_families_are_read_however_the_table_is_written(
    tmp_path, column, name, sign, person
):
    rows = [(person, "age", column), ("sub-01", "30", "A"), ("sub-02", "31", "A")]
    rows += [("sub-03", "32", "n/a"), ("04", "33", "B"), ("05", "34")]
    table = tmp_path / f"participants.{name}"
    table.write_text("\n".join(sign.join(row) for row in rows) + "\n")
    families = read_families((tmp_path / "nowhere", tmp_path))
    assert families.by_label == {"01": "A", "02": "A", "04": "B"}
    line = families.line(["01", "02", "03", "04", "05"])
    assert line.startswith(f"3 participants in 2 families ({table}, column {column})")
    assert "2 without a family count as unrelated" in line


def test_words_that_seem_to_mean_no_family_are_said(tmp_path):
    cells = ("NA", "0", "0", "0", "none", "A", "A", "n/a")
    rows = [f"sub-0{number}\t{cell}" for number, cell in enumerate(cells)]
    table = tmp_path / "participants.tsv"
    table.write_text("participant_id\tfamily_id\n" + "\n".join(rows) + "\n")
    line = read_families((tmp_path,)).line([f"0{number}" for number in range(8)])
    assert "'NA' of 1 participant counts as no family" in line
    assert "'0' of 3 participants counts as one family" in line
    assert "none" not in line  # of one person
    table.write_text("participant_id\tfamily_id\nsub-00\tNA\nsub-01\tNA\n")
    line = read_families((tmp_path,)).line(["00", "01"])
    assert "column family_id, has no value" in line
    assert "'NA' of 2 participants counts as no family" in line


def test_letters_composed_or_not_are_one_word(tmp_path):
    table = tmp_path / "participants.tsv"
    cells = ("Z\u00fcrich", "Zu\u0308rich")
    table.write_text(f"participant_id\tcafe\u0301\n01\t{cells[0]}\n02\t{cells[1]}\n")
    (column,) = read_participants(table).columns.values()
    assert column.levels == ("Z\u00fcrich",)
    assert read_participants(table).find("caf\u00e9").levels == column.levels


@pytest.mark.parametrize("table", [None, "participant_id\tage\nsub-01\t30\n", ""])
def test_no_families_are_told(tmp_path, table):
    if table is not None:
        (tmp_path / "participants.tsv").write_text(table)
    line = read_families((tmp_path,)).line(["01"])
    assert line.startswith("families: none are known")
    assert "relatives may be on both sides of a split" in line


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (b"\xff\xfe\x00broken", "cannot be read"),
        (
            b"participant_id\tfamily_id\nsub-01\t" + b"A" * 200_000,
            "cannot be read as a table: field larger",
        ),
    ],
)
def test_a_malformed_table_is_one_line(tmp_path, content, fact):
    (tmp_path / "participants.tsv").write_bytes(content)
    line = read_families((tmp_path,)).line(["01"])
    assert f"none are known ({tmp_path / 'participants.tsv'}" in line
    assert fact in line
    assert "\n" not in line


def test_all_four_sets_are_read_back(tmp_path):
    sets = {name: (f"{number:02d}",) for number, name in enumerate(SETS)}
    write_sets(tmp_path / "split.tsv", sets)
    assert read_sets(tmp_path / "split.tsv", SETS) == sets


def test_another_set_is_refused(tmp_path):
    write_sets(tmp_path / "split.tsv", {"trial": ["01"]})
    with pytest.raises(
        SettingsError, match=r"the set 'trial'\. Expected: training, validation, cal"
    ):
        read_sets(tmp_path / "split.tsv", SETS)
