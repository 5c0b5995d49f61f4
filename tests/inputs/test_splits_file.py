from __future__ import annotations

import pytest

from bids_dtg.errors import SettingsError
from bids_dtg.inputs.splits_file import read_families, read_sets, write_sets
from bids_dtg.stats.splits import SETS


@pytest.mark.parametrize("column", ["family_id", "Family_ID", "FamilyID", "family-id", "family"])
@pytest.mark.parametrize(("name", "sign"), [("tsv", "\t"), ("csv", ","), ("tsv", ",")])
def test_families_are_read_however_the_table_is_written(tmp_path, column, name, sign):
    rows = [("participant_id", "age", column), ("sub-01", "30", "A"), ("sub-02", "31", "A")]
    rows += [("sub-03", "32", "n/a"), ("04", "33", "B")]
    table = tmp_path / f"participants.{name}"
    table.write_text("\n".join(sign.join(row) for row in rows) + "\n")
    families = read_families((tmp_path / "nowhere", tmp_path))
    assert families.by_label == {"01": "A", "02": "A", "04": "B"}
    line = families.line(["01", "02", "03", "04", "05"])
    assert line.startswith(f"families: 2 of 3 participants ({table}, column {column})")
    assert "2 without one count as unrelated" in line


def test_hcp_s_own_table_is_read(tmp_path):
    table = "Subject,Age,Family_ID,Mother_ID\n100000,25,52259_82122,52259\n"
    (tmp_path / "participants.csv").write_text(table)
    assert read_families((tmp_path,)).by_label == {"100000": "52259_82122"}


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
        (b"name\tfamily_id\nsub-01\tA\n", "has the columns name, family_id"),
        (b"\xff\xfe\x00broken", "cannot be read"),
        (b"", "has the columns of an empty file"),
        (
            b"participant_id\tfamily_id\nsub-01\t" + b"A" * 200_000,
            "cannot be read as a table: field larger",
        ),
    ],
)
def test_a_malformed_table_is_one_line(tmp_path, content, fact):
    (tmp_path / "participants.tsv").write_bytes(content)
    line = read_families((tmp_path,)).line(["01"])
    assert f"warning: {tmp_path / 'participants.tsv'}" in line
    assert fact in line
    assert "\n" not in line


def test_short_rows_are_people_without_a_family(tmp_path):
    (tmp_path / "participants.tsv").write_text("participant_id\tfamily_id\nsub-01\nsub-02\tA\n\n")
    assert read_families((tmp_path,)).by_label == {"02": "A"}


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
