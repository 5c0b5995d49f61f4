"""Tables of participants: columns, kinds of values, and what cannot be used."""

import pytest

from bids_dtg.errors import SettingsError
from bids_dtg.inputs.participants import read_participants


def write(folder, text: str):
    path = folder / "participants.tsv"
    path.write_text(text)
    return path


def test_columns_have_values_by_label(tmp_path):
    table = read_participants(
        write(
            tmp_path, "participant_id\tage\tSex\tnote\nsub-01\t20\tF\tn/a\n02\t31.5\tM\tx\nsub-03\n"
        )
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
    with pytest.raises(SettingsError, match=r"no column resoning.*did you mean reasoning"):
        table.find("resoning")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "an empty file"),
        ("name\tage\nx\t1\n", "the columns name, age"),
        ("participant_id\tage\tage\n01\t1\t2\n", "each column once"),
        ("participant_id\tage\n01\t1\nsub-01\t2\n", "two values of age for sub-01, 1 and 2"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path, text, why):
    with pytest.raises(SettingsError, match=why):
        read_participants(write(tmp_path, text))


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"none\.tsv"):
        read_participants(tmp_path / "none.tsv")
