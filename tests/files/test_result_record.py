"""The record of a result folder's own files."""

from bids_dtg.files.result_record import RECORD, UNFINISHED, ResultRecord


def test_a_folder_without_a_record_has_none(tmp_path):
    record = ResultRecord(tmp_path)
    assert (record.is_unfinished, record.files()) == (False, frozenset())


def test_files_are_recorded_before_they_are_written_and_stay_so(tmp_path):
    record = ResultRecord(tmp_path)
    record.begin()
    record.add("a.tsv")
    record.add("arrays/")
    assert record.is_unfinished
    assert record.files() == {"a.tsv", "arrays/"}
    record.end(["a.tsv"])
    assert not record.is_unfinished
    assert ResultRecord(tmp_path).files() == {"a.tsv"}
    record.begin()
    record.add("b.tsv")
    record.begin()  # of another call, after a cut
    assert record.files() == {"a.tsv", "b.tsv"}


def test_a_line_that_was_cut_off_counts_for_nothing(tmp_path):
    record = ResultRecord(tmp_path)
    record.begin()
    record.add("a.tsv")
    with (tmp_path / UNFINISHED).open("a") as stream:
        stream.write("desc-x_sco")
    assert record.files() == {"a.tsv"}
    record.begin()
    record.add("b.tsv")
    assert record.files() == {"a.tsv", "b.tsv"}


def test_a_damaged_record_lists_nothing(tmp_path):
    for text in ("", "{", '{"Files": 3}', '{"Files": [1, "a"]}'):
        (tmp_path / RECORD).write_text(text)
        assert ResultRecord(tmp_path).files() <= {"a"}
