from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from fmriprep_dataset import (
    add_run,
    confound_columns,
    describe_dataset,
    write_confounds,
)
from study_folders import add_xcpd_run, write_motion, write_outliers

from bids_dtg.cleaning.confounds import (
    check_custom_folder,
    find_custom_table,
    load_confounds,
    read_custom_table,
)
from bids_dtg.errors import RunError, SettingsError
from bids_dtg.inputs.run import RestRun
from bids_dtg.inputs.runs import find_runs
from bids_dtg.settings import CleaningOptions

N_FRAMES = 40


def load(run: RestRun, *, n_frames: int, strategy: str, **options):
    return load_confounds(
        run, CleaningOptions(denoise_strategy=strategy, **options), n_frames=n_frames
    )


@pytest.fixture
def run(tmp_path) -> RestRun:
    root = describe_dataset(tmp_path / "tsv" / "fmriprep")
    add_run(root, parts=("bold", "confounds"))
    (run,) = find_runs(root, "01")
    return run


def with_table(run: RestRun, **columns) -> RestRun:
    table = confound_columns(N_FRAMES) | columns
    write_confounds(
        run.confounds, {name: values for name, values in table.items() if values}
    )
    return run


def series(**values) -> list[str]:
    """A column of 0.1 with other values at the frames given as `at5=0.9`."""
    column = ["0.1"] * N_FRAMES
    for frame, value in values.items():
        column[int(frame.removeprefix("at"))] = str(value)
    return column


def lacking(frames: Iterable[int]) -> list[str]:
    """A column without values at some frames."""
    return series(**{f"at{frame}": "n/a" for frame in frames})


def test_scrubbing_drops_by_reason_and_the_stretches_between(run):
    with_table(
        run,
        framewise_displacement=series(at10=0.9, at14=0.9, at30=0.6),
        std_dvars=series(at30=3.0, at35=3.0),
    )
    confounds = load(run, strategy="scrubbing", n_frames=N_FRAMES)
    # 11 to 13 lie between two high frames, 31 to 34 too, 36 to 39 are fewer than 5 at the end.
    assert list(np.flatnonzero(~confounds.keep)) == [*range(10, 15), *range(30, 40)]
    assert [confounds.dropped[why] for why in ("fd", "dvars", "isolated")] == [3, 2, 11]
    assert confounds.decisions["fd_threshold"] == 0.5
    assert {"csf_power2", "white_matter_derivative1_power2"} <= set(confounds.names)


@pytest.mark.parametrize("strategy", ["simple", "scrubbing", "none"])
def test_dummy_scans_are_those_flagged_or_a_number_instead(run, strategy):
    write_confounds(run.confounds, confound_columns(N_FRAMES, n_non_steady=3))
    for dummy_scans, expected in [("auto", 3), (0, 0), ("2", 2), (5, 5)]:
        confounds = load(
            run, strategy=strategy, n_frames=N_FRAMES, dummy_scans=dummy_scans
        )
        assert list(np.flatnonzero(~confounds.keep)) == list(range(expected))
        counts = (confounds.dropped["non_steady"], confounds.dropped["dummy"])
        assert counts == ((3, 0) if dummy_scans == "auto" else (0, expected))


def test_none_needs_no_table(run):
    run.confounds.unlink()
    (bare,) = find_runs(run.root, "01")
    confounds = load(bare, strategy="none", n_frames=12, dummy_scans=2)
    assert confounds.values.shape == (12, 0)
    assert confounds.keep.sum() == 10
    assert confounds.mean_fd_mm is None
    with pytest.raises(
        RunError, match=r"sub-01_task-rest has no confounds table next to .*bold"
    ):
        load(bare, strategy="simple", n_frames=12)


def test_missing_columns_are_collected(run):
    with_table(run, csf=None, trans_x=None, rot_z_power2=None)
    with pytest.raises(
        RunError,
        match=r"sub-01: .*timeseries\.tsv lacks 3 of 26 .*simple needs: trans_x, rot_z_power2, csf;"
        r".*--denoise-strategy",
    ):
        load(run, strategy="simple", n_frames=N_FRAMES)


def test_no_cosines_are_told(run):
    with_table(run, cosine00=None, cosine01=None)
    (note,) = load(run, strategy="simple", n_frames=N_FRAMES).notes
    assert "no cosine columns" in note
    assert load(run, strategy="none", n_frames=N_FRAMES).notes == ()


def test_wrong_number_of_rows(run):
    with_table(run)
    with pytest.raises(
        RunError, match=r"timeseries\.tsv has 40 rows\. Expected: 41, the frames"
    ):
        load(run, strategy="simple", n_frames=41)


@pytest.mark.parametrize("strategy", ["simple", "none"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\xff\xfe\x00\x81" * 50, "cannot be read as a table"),
        (b"/annex/objects/MD5E-s1--x.tsv", "pointer"),
        (b"a\tb\n1\t2\t3\t4\n5\t6\n", "(cannot be read as a table|cut off|2 rows)"),
        (b"csf\ttrans_x\n" + b"1\t2\n" * (N_FRAMES - 1) + b"1", "is cut off"),
        (b"a\tb\n" + b"1\t2\n" * (N_FRAMES - 2) + b"1\t2\t3\n4\n", "has 3 cells"),
        (b"a\tb\t\n" + b"1\t2\t3\n" * N_FRAMES, "line 2 has 3 cells, the header 2"),
        (b"a\tb\tc\n" + b"1\t2\t3\n" * (N_FRAMES - 1) + b"1\n2\t3\n", "is cut off"),
    ],
)
def test_unreadable_tables(run, content, message, strategy):
    run.confounds.write_bytes(content)
    with pytest.raises(RunError, match=rf"sub-01: .*timeseries\.tsv.*{message}"):
        load(run, strategy=strategy, n_frames=N_FRAMES)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text.replace(b"\n", b"\r\n") + b"\r\n",
        lambda text: text + b"  \n\t\t\n\r\n \t ",
        lambda text: text.rstrip(b"\n"),
        lambda text: text.replace(b"csf", b'"csf"', 1),
        lambda text: text.replace(
            b"\n", b"\n" + b"\t" * text.partition(b"\n")[0].count(b"\t") + b"\n", 2
        ),
        lambda text: text.replace(b"\n", b"\t\n"),
        lambda text: text.replace(b"\n", b"\t\t\r\n") + b"\n",
    ],
)
def test_tables_that_went_through_an_editor(run, change):
    expected = load(with_table(run), strategy="scrubbing", n_frames=N_FRAMES)
    run.confounds.write_bytes(change(run.confounds.read_bytes()))
    confounds = load(run, strategy="scrubbing", n_frames=N_FRAMES)
    np.testing.assert_array_equal(confounds.values, expected.values)
    np.testing.assert_array_equal(confounds.keep, expected.keep)


@pytest.mark.parametrize("value", ["inf", "-inf", "1e300", "1" * 5000, "NaN5"])
def test_a_cell_that_is_no_finite_number_is_named_by_file_column_and_row(run, value):
    with_table(run, rot_y=series(at7=value))
    with pytest.raises(
        RunError, match=r"timeseries\.tsv has '\S+' in row 8 of column rot_y\. "
    ):
        load(run, strategy="simple", n_frames=N_FRAMES)


@pytest.mark.parametrize(
    ("strategy", "changes", "fact"),
    [
        (
            "simple",
            {"white_matter": range(N_FRAMES)},
            "in 38 frames of column white_matter, from",
        ),
        (
            "simple",
            {"trans_x": range(10, 40)},
            "in 30 frames of column trans_x, from row 11 on",
        ),
        (
            "simple",
            {"csf": [25]},
            r"timeseries\.tsv has no number in 1 frame of column csf, from",
        ),
        ("simple", {"csf": [2]}, "in 1 frame of column csf, from row 3 on"),
        (
            "simple",
            {"csf": [9], "rot_x": [9], "rot_y": [9]},
            "2 further columns likewise",
        ),
        (
            "scrubbing",
            {"framewise_displacement": [20]},
            "in 1 frame of column framewise_disp",
        ),
        (
            "scrubbing",
            {"std_dvars": range(N_FRAMES)},
            "in 38 frames of column std_dvars",
        ),
        ("simple", {"framewise_displacement": range(N_FRAMES)}, None),  # a metric only
        ("simple", {"csf": [0, 1]}, None),  # derivatives
        ("none", {"csf": range(N_FRAMES)}, None),
    ],
)
def test_a_column_that_is_used_has_numbers_in_the_frames_that_are_kept(
    run, strategy, changes, fact
):
    columns = {name: lacking(frames) for name, frames in changes.items()}
    with_table(run, **columns)
    if fact is None:
        assert load(run, strategy=strategy, n_frames=N_FRAMES).keep.all()
        return
    with pytest.raises(RunError, match=f"sub-01: .*{fact}") as told:
        load(run, strategy=strategy, n_frames=N_FRAMES)
    assert "\n" not in str(told.value)


def test_values_may_be_missing_in_frames_that_are_left_out(run):
    """Three frames are not in steady state, one has too much motion, and two derivatives follow."""
    columns = confound_columns(N_FRAMES, n_non_steady=3)
    columns |= {
        "csf": lacking([*range(5), 20]),
        "framewise_displacement": series(at20=0.9),
    }
    write_confounds(run.confounds, columns)
    confounds = load(run, strategy="scrubbing", n_frames=N_FRAMES)
    assert list(np.flatnonzero(~confounds.keep)) == [0, 1, 2, 20]
    with pytest.raises(RunError, match=r"in 1 frame of column csf, from row 21 on"):
        load(run, strategy="simple", n_frames=N_FRAMES)


def test_custom_columns_need_numbers_likewise(run, tmp_path):
    with_table(run)
    text = "a\tb\n" + "1\t2\n" * 30 + "1\tn/a\n" * (N_FRAMES - 30)
    path = put(tmp_path / "own" / run.confounds.name, text)
    told = rf"{path} has no number in 10 frames of column b, from row 31 on\. "
    with pytest.raises(RunError, match=told):
        load(run, strategy="none", n_frames=N_FRAMES, custom_confounds=path.parent)


def test_of_a_column_named_twice_the_first_is_used(run):
    plain = load(with_table(run), n_frames=N_FRAMES, strategy="simple")
    first, *rows = run.confounds.read_text().splitlines()
    run.confounds.write_text(
        "\n".join([f"{first}\tcsf", *(f"{row}\t9.5" for row in rows)]) + "\n"
    )
    confounds = load(run, n_frames=N_FRAMES, strategy="simple")
    np.testing.assert_array_equal(confounds.values, plain.values)


@pytest.fixture
def cleaned(tmp_path) -> RestRun:
    """Return a run of XCP-D with a table of outliers beside it."""
    bold = add_xcpd_run(tmp_path / "xcp_d", bold=np.ones((3, 3, 3, 12), np.float32))
    write_outliers(bold, [0] * 12)
    (run,) = find_runs(tmp_path / "xcp_d", "01", input_type="xcpd")
    return run


@pytest.mark.parametrize(
    ("flags", "left_out"),
    [
        ([1, 0, 0, 1, 1, *[0] * 7], [0, 3, 4]),  # interpolated
        ([1, *[0] * 11], [0]),
        ([*["1.0", "0.0"] * 6], [0, 2, 4, 6, 8, 10]),
        ([1, *[0] * 6, 1, 1, *[0] * 6], []),  # taken out by XCP-D
        ([0] * 12, []),
    ],
)
def test_frames_that_xcpd_interpolated_are_left_out(cleaned, flags, left_out):
    table = write_outliers(cleaned.bold, flags)
    confounds = load(cleaned, strategy="none", n_frames=12)
    assert list(np.flatnonzero(~confounds.keep)) == left_out
    assert confounds.dropped["interpolated"] == len(left_out)
    what, were = ("frame", "was") if len(left_out) == 1 else ("frames", "were")
    note = f"{len(left_out)} {what} that XCP-D had interpolated ({table.name}) {were} left out."
    assert confounds.notes == ((note,) if left_out else ())
    assert table in cleaned.inputs


@pytest.mark.parametrize("entities", ["run-1", "acq-a_dir-AP_run-1"])
def test_a_run_and_a_join_each_take_their_own_outliers(tmp_path, entities):
    root, bold = tmp_path / "xcp_d", np.ones((3, 3, 3, 12), np.float32)
    run = add_xcpd_run(root, bold=bold, entities=entities)
    flags = [1, *[0] * 11]
    of_join = write_outliers(run.with_name("sub-01_task-rest_space-"), [*flags, *flags])
    (found_run,) = find_runs(root, "01", input_type="xcpd")
    assert found_run.outliers is None
    assert load(found_run, strategy="none", n_frames=12).keep.all()
    runs_outliers = write_outliers(run, flags)
    (found_run,) = find_runs(root, "01", input_type="xcpd")
    assert found_run.outliers == runs_outliers
    assert load(found_run, strategy="none", n_frames=12).dropped["interpolated"] == 1
    run.unlink()
    add_xcpd_run(root, bold=np.concatenate([bold, bold], axis=-1))
    (join,) = find_runs(root, "01", input_type="xcpd")
    assert join.outliers == of_join
    assert load(join, strategy="none", n_frames=24).dropped["interpolated"] == 2


@pytest.mark.parametrize(
    ("flags", "fault"),
    [
        ([0] * 13, r"has 13 rows, 13 of them without a flag\. Expected: 12 of either"),
        ([0] * 4, "has 4 rows"),
        ([1] * 13, "has 13 rows, 0 of them"),
        (["x", *[0] * 11], "has 'x' in row 1 of column framewise_displacement"),
        (
            ["n/a", *[0] * 11],
            "has rows without a value in column framewise_displacement",
        ),
    ],
)
def test_outliers_of_another_series_are_one_line(cleaned, flags, fault):
    write_outliers(cleaned.bold, flags)
    with pytest.raises(RunError, match=fault) as told:
        load(cleaned, strategy="none", n_frames=12)
    assert "\n" not in str(told.value)


def test_outliers_without_their_column_are_one_line(cleaned):
    cleaned.outliers.write_text("fd\n" + "0\n" * 12)
    with pytest.raises(
        RunError, match=r"outliers\.tsv has no column framewise_displacement"
    ):
        load(cleaned, strategy="none", n_frames=12)


# --- motion by XCP-D

RAW, FILTERED = [0.0, *[0.3] * 11], [0.0, *[0.1] * 11]


@pytest.mark.parametrize(
    ("tables", "mean"),
    [
        ({"": {"trans_x": RAW, "framewise_displacement": RAW}}, 0.275),
        (
            {
                "": {
                    "framewise_displacement": RAW,
                    "framewise_displacement_filtered": FILTERED,
                }
            },
            0.0917,
        ),
        (
            {
                "": {"framewise_displacement": RAW},
                "_desc-filtered": {"framewise_displacement": FILTERED},
            },
            0.0917,
        ),
        ({"": {"trans_x": RAW}}, None),
        ({}, None),
    ],
    ids=["since 0.7", "filtered", "before 0.7", "without displacement", "no table"],
)
def test_motion_is_what_xcpd_censored_by(cleaned, tables, mean):
    paths = [
        write_motion(cleaned.bold, desc, **columns) for desc, columns in tables.items()
    ]
    (run,) = find_runs(cleaned.root, "01", input_type="xcpd")
    assert run.motion == (paths[-1] if paths else None)
    assert run.motion in (*run.inputs, None)
    confounds = load(run, strategy="none", n_frames=12)
    assert confounds.mean_fd_mm == (
        mean if mean is None else pytest.approx(mean, abs=1e-4)
    )
    assert confounds.keep.all()


def test_motion_of_frames_that_xcpd_removed_counts_in_the_mean(cleaned):
    flags = [0, 1, *[0] * 6, 1, *[0] * 5]
    write_outliers(cleaned.bold, flags)
    write_motion(cleaned.bold, framewise_displacement=[0.1 + flag for flag in flags])
    (run,) = find_runs(cleaned.root, "01", input_type="xcpd")
    confounds = load(run, strategy="none", n_frames=12)
    np.testing.assert_array_equal(confounds.fd_mm, [0.1] * 12)
    assert confounds.mean_fd_mm == pytest.approx(0.1 + 2 / 14)
    write_motion(cleaned.bold, framewise_displacement=[0.1] * 13)
    with pytest.raises(
        RunError, match=r"motion\.tsv has 13 rows\. Expected: 12, the frames of"
    ):
        load(run, strategy="none", n_frames=12)


# --- columns of people's own

NAME = "sub-01_ses-A_task-rest_desc-confounds_timeseries.tsv"


@pytest.fixture
def runs(tmp_path) -> list[RestRun]:
    """Return a run, and one with a further entity that has no table of fMRIPrep's."""
    root = describe_dataset(tmp_path / "fmriprep")
    add_run(root, session="A")
    add_run(root, session="A", entities="acq-mb", parts=("bold", "json"))
    return find_runs(root, "01")


def put(path: Path, text: str = "a\tb\n1\tn/a\n2\t3.5\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("below", ["", "sub-01/ses-A/func/"])
def test_a_folder_holds_tables_named_as_fmriprep_s(runs, tmp_path, below):
    path = put(tmp_path / "own" / f"{below}{NAME}")
    check_custom_folder(tmp_path / "own")
    assert find_custom_table(tmp_path / "own", runs[0]) == path
    with pytest.raises(
        RunError, match=r"ses-A_task-rest_acq-mb has no table .*acq-mb_desc-conf"
    ):
        find_custom_table(tmp_path / "own", runs[1])
    with pytest.raises(SettingsError, match="is not a folder"):
        check_custom_folder(path)
    for subfolder in ("", "sub-01/ses-A/func/"):
        put(tmp_path / "own" / f"{subfolder}{NAME}")
    with pytest.raises(
        RunError, match=rf"two files may be the table .*own/{NAME} and .*/{NAME}"
    ):
        find_custom_table(tmp_path / "own", runs[0])


def test_all_columns_are_read_with_gaps(runs, tmp_path):
    text = "a\ta\n1\t n/a \nNA\t3.5\n\tNaN\n"
    columns = read_custom_table(put(tmp_path / "x.tsv", text), runs[0], 3)
    assert tuple(columns) == ("a", "a.1")
    np.testing.assert_array_equal(columns["a"], [1, np.nan, np.nan])
    np.testing.assert_array_equal(columns["a.1"], [np.nan, 3.5, np.nan])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-0.5\t-0.5\n3\t4\n5\t6\n", "has no header"),
        (
            "a\tb\n1\t2\n3\t4\n5\t6\n",
            "has 3 rows. Expected: 2, the frames of sub-01_ses-A",
        ),
        ("a\tb\n1\toops\n3\t4\n", "has 'oops' in row 1 of column b"),
        ("a\tb\n1\t2\t3\t4\n", "cannot be read as a table|has 1 rows"),
        ("", "is empty"),
    ],
)
def test_own_tables_that_cannot_be_used_are_one_line(runs, tmp_path, text, message):
    with pytest.raises(RunError, match=message) as told:
        read_custom_table(put(tmp_path / "x.tsv", text), runs[0], 2)
    assert str(tmp_path / "x.tsv") in str(told.value)
    assert "\n" not in str(told.value)
