"""Structural connectomes of other programs: whose they are, their regions, and refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csc_matrix

from bids_dtg.errors import DatasetError, RunError
from bids_dtg.inputs.structural import StructuralSource, find_structural, weight_faults
from bids_dtg.settings import Settings

REGIONS = ("7Networks_LH_Vis_1", "7Networks_LH_Vis_2", "7Networks_RH_Vis_1")
WEIGHTS = np.array([[9.0, 5, 1], [5, 7, 2], [1, 2, 0]])


def table(
    path: Path, values: np.ndarray = WEIGHTS, names: tuple[str, ...] = REGIONS
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(("region", *names))] if names else []
    for number, row in enumerate(values):
        lines.append("\t".join([*([names[number]] if names else []), *map(str, row)]))
    path.write_text("\n".join(lines) + "\n")
    return path


def of(
    path: Path, key: str | None = None, person: str = "01", session: str | None = None
):
    return StructuralSource(path, key).of(person, session, REGIONS)


@pytest.mark.parametrize("spelling", [REGIONS, ("LH-Vis-1", "LH-Vis-2", "RH-Vis-1")])
@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [1, 0, 2]])
def test_regions_come_in_the_order_of_the_atlas_however_they_are_spelt(
    tmp_path, order, spelling
):
    names = tuple(spelling[n] for n in order)
    path = table(tmp_path / "a.tsv", WEIGHTS[np.ix_(order, order)], names)
    connectome = of(path)
    assert np.array_equal(connectome.weights, WEIGHTS)
    assert (connectome.path, connectome.notes) == (path, ())


def test_regions_beside_those_of_the_atlas_are_left_out_with_a_note(tmp_path):
    wide = np.full((5, 5), np.nan)
    wide[np.ix_([1, 2, 4], [1, 2, 4])] = WEIGHTS
    path = table(
        tmp_path / "4S.tsv", wide, ("LH-Pu", *REGIONS[:2], "Region3", REGIONS[2])
    )
    connectome = of(path)
    assert np.array_equal(connectome.weights, WEIGHTS)
    assert connectome.notes == ("4S.tsv: 2 regions outside the atlas left out",)


def test_a_matrix_of_the_atlas_alone_goes_before_one_of_more_regions(tmp_path):
    wide = np.zeros((4, 4))
    wide[:3, :3] = 2 * WEIGHTS
    parts = {
        "atlas_4S_count_connectivity": wide,
        "atlas_4S_region_labels": [*REGIONS, "LH-Pu"],
    }
    of_atlas = {
        "atlas_S_count_connectivity": WEIGHTS,
        "atlas_S_region_labels": list(REGIONS),
    }
    path = tmp_path / "sub-01_connectivity.mat"
    savemat(path, parts)
    assert of(tmp_path).weights[0, 1] == 10
    savemat(path, {**parts, **of_atlas})
    assert of(tmp_path).weights[0, 1] == 5
    assert of(tmp_path, "4S").weights[0, 1] == 10


def test_an_order_that_is_trusted_is_noted(tmp_path):
    connectome = of(table(tmp_path / "a.tsv", names=()))
    assert np.array_equal(connectome.weights, WEIGHTS)
    (note,) = connectome.notes
    assert note == "a.tsv names no regions; assumed to be in the order of the atlas"


@pytest.mark.parametrize(
    ("values", "names", "message"),
    [
        (
            np.eye(2),
            REGIONS[:2],
            r"has no 7Networks_RH_Vis_1 \(1 missing\)\. Expected: one matrix of the 3 regions",
        ),
        (
            np.eye(4),
            (*REGIONS, "LH_Vis_3"),
            "has regions that the atlas lacks: LH_Vis_3",
        ),
        (
            np.eye(3),
            (*REGIONS[:2], REGIONS[0]),
            "has several regions with the same name",
        ),
        (np.eye(4), (), r"has 4 regions\. Expected: one matrix of the 3 regions"),
        (
            WEIGHTS,
            ("2", "1", "3"),
            "numbered 2, 1, 3.*names of the regions, or ascending",
        ),
        (np.ones((2, 4)), (), r"sizes 2 x 4\. Expected: one row and one column"),
        (
            WEIGHTS - 3,
            REGIONS,
            "weights below 0, at 7Networks_LH_Vis_1 and 7Networks_RH_Vis_1",
        ),
        (WEIGHTS * [1, 1, np.nan], REGIONS, "has NaN or infinite weights"),
        (np.triu(WEIGHTS), REGIONS, "has asymmetric weights, at 7Networks_LH_Vis_1"),
        (
            np.eye(3),
            REGIONS,
            "no connection between two regions. Expected: symmetric weights",
        ),
    ],
)
def test_what_is_no_structural_connectome_is_refused(tmp_path, values, names, message):
    path = table(tmp_path / "a.tsv", values, names)
    with pytest.raises(RunError, match=f"a.tsv.*{message}"):
        of(path)


def test_the_file_of_a_person_and_session_is_found(tmp_path):
    table(tmp_path / "sub-01" / "dwi" / "sub-01_relmat.tsv", WEIGHTS * 2)
    table(
        tmp_path / "sub-01" / "ses-b" / "dwi" / "sub-01_ses-b_relmat.tsv", WEIGHTS * 3
    )
    table(tmp_path / "sub-011" / "dwi" / "sub-011_relmat.tsv", WEIGHTS * 5)
    table(tmp_path / "sub-02" / "ses-b" / "sub-02_ses-b_relmat.tsv", WEIGHTS * 7)
    table(tmp_path / "sub-03_connectivity.csv", WEIGHTS * 11)
    table(
        tmp_path / "qsirecon" / "sub-04" / "dwi" / "sub-04_connectivity.tsv",
        WEIGHTS * 13,
    )
    table(tmp_path / "sub-05" / "connectome.csv", WEIGHTS * 17)
    for person in ("01", "05", "06"):  # a copy gone wrong
        table(tmp_path / f"sub-{person}" / "dwi" / "sub-09_relmat.tsv", WEIGHTS * 19)
    connectomes = {
        (person, session): of(tmp_path, person=person, session=session)
        for person, session in [
            *(
                ("01", "b"),
                ("01", "a"),
                ("01", None),
                ("011", None),
                ("02", "a"),
                ("02", "b"),
            ),
            *(("03", None), ("04", "a"), ("05", None)),
        ]
    }
    factors = {
        key: connectome.weights[0, 1] / WEIGHTS[0, 1]
        for key, connectome in connectomes.items()
    }
    assert list(factors.values()) == [3, 2, 2, 5, 7, 7, 11, 13, 17]
    with pytest.raises(
        RunError, match=r"no structural connectome of sub-06\. Expected: sub-06_"
    ):
        of(tmp_path, person="06")
    noted = {
        key: connectome.notes
        for key, connectome in connectomes.items()
        if connectome.notes
    }
    assert noted == {
        ("02", "a"): ("the structural connectome of sub-02 is of session b",)
    }


def test_who_has_none_is_told_apart_from_who_has_other_sessions(tmp_path):
    for session in "bc":
        table(tmp_path / f"sub-01/ses-{session}/sub-01_ses-{session}_relmat.tsv")
    with pytest.raises(
        RunError, match=r"structural connectome of session a, only of sessions b"
    ):
        of(tmp_path, session="a")
    with pytest.raises(
        RunError, match=r"no structural connectome of sub-07\. Expected: sub-07_"
    ):
        of(tmp_path, person="07")


def test_functional_connectivity_is_none(tmp_path):
    table(
        tmp_path
        / "sub-01"
        / "func"
        / "sub-01_task-rest_stat-pearsoncorrelation_relmat.tsv"
    )
    with pytest.raises(DatasetError, match="has no file of a structural connectome"):
        find_structural(settings(structural_connectivity=tmp_path))


def test_one_of_several_measures_is_chosen_by_its_key(tmp_path):
    path = tmp_path / "sub-01" / "dwi" / "sub-01_connectivity.mat"
    path.parent.mkdir(parents=True)
    labels = [name.removeprefix("7Networks_") for name in REGIONS]
    measures = {
        "atlas_Schaefer3_radius2_count_connectivity": WEIGHTS,
        "atlas_Schaefer3_sift_radius2_count_connectivity": WEIGHTS * 2,
        "atlas_Other_radius2_count_connectivity": np.eye(5),
    }
    savemat(path, {**measures, "atlas_Schaefer3_region_labels": labels})
    measures_found = (
        "atlas_Schaefer3_radius2_count_connectivity, atlas_Schaefer3_sift_radius2_count"
    )
    with pytest.raises(
        RunError,
        match=f"2 structural connectomes fit: {measures_found}.*--array-key struct",
    ):
        of(tmp_path)
    assert of(tmp_path, "sift").weights[0, 1] == 10
    assert of(tmp_path, "atlas_Schaefer3_radius2_count_connectivity").weights[0, 1] == 5
    with pytest.raises(
        RunError, match=r"is named 'fa'\. Expected: one of atlas_Other_|'fa'"
    ):
        of(tmp_path, "fa")
    with pytest.raises(
        RunError, match="atlas_Other_radius2_count_connectivity has 5 regions"
    ):
        of(tmp_path, "Other")


def test_a_region_without_any_connection_is_noted(tmp_path):
    connectome = of(table(tmp_path / "a.tsv", WEIGHTS * [[1], [1], [0]] * [1, 1, 0]))
    assert connectome.notes == (
        "a.tsv: 1 region without connections (7Networks_RH_Vis_1)",
    )


def test_one_of_several_files_is_chosen_by_part_of_its_name(tmp_path):
    for number, measure in enumerate(("count", "meanlength"), 1):
        table(
            tmp_path / f"sub-01/dwi/sub-01_desc-{measure}_connectivity.csv",
            WEIGHTS * number,
        )
    with pytest.raises(
        RunError, match=r"fit: sub-01_desc-count_connectivity\.csv, sub-01_desc-me"
    ):
        of(tmp_path)
    assert of(tmp_path, "desc-count").weights[0, 1] == 5


def test_weights_of_a_rounded_file_count_as_symmetric():
    rounded = WEIGHTS + np.triu(np.full((3, 3), 4e-4), 1)
    assert weight_faults(rounded, REGIONS) == []
    assert weight_faults(rounded + np.triu(np.full((3, 3), 4e-4), 1), REGIONS)


def settings(**options: object) -> Settings:
    places = {"bids_dir": "in", "output_dir": "out", "analysis_level": "participant"}
    return Settings.of(**places, workflow="dynamics", **options)


def test_the_options_say_where_they_are(tmp_path):
    assert find_structural(settings()) is None
    path = table(tmp_path / "a.tsv")
    source = find_structural(
        settings(structural_connectivity=path, array_key=("structural=x",))
    )
    assert source == StructuralSource(path, "x")
    assert source.is_shared
    with pytest.raises(
        DatasetError, match=r"--structural-connectivity .*b\.tsv does not exist"
    ):
        find_structural(settings(structural_connectivity=tmp_path / "b.tsv"))


# --- Files


SC = np.array([[0.0, 2, 1], [2, 0, 3.5], [1, 3.5, 0]])
NAMES = ("V1", "V2", "M1")


def lines(delimiter: str, header: bool, index: bool) -> str:
    rows = [delimiter.join(f"{value:g}" for value in row) for row in SC]
    if index:
        rows = [
            f"{name}{delimiter}{row}" for name, row in zip(NAMES, rows, strict=True)
        ]
    if header:
        rows.insert(0, delimiter.join([*([""] if index else []), *NAMES]))
    return "\n".join(rows) + "\n"


@pytest.mark.parametrize("delimiter", ["\t", ",", ";", " ", "  "])
@pytest.mark.parametrize(("header", "index"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_text_is_read_with_names_and_without(tmp_path, delimiter, header, index):
    if delimiter.isspace() and delimiter != "\t" and header and index:
        pytest.skip("the empty corner of such a table cannot be seen")
    path = tmp_path / ("sc.tsv" if delimiter == "\t" else "sc.csv")
    path.write_text(lines(delimiter, bool(header), bool(index)))
    connectome = StructuralSource(path).of("01", None, NAMES)
    np.testing.assert_array_equal(connectome.weights, SC)
    assert bool(connectome.notes) != bool(header or index)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no square matrix"),
        ("1\t2\t3\t4\n5\t6\t7\t8\n", "sizes 2 x 4"),
        ("1\t2\t3\n4\t5\n6\t7\t8\n", "has NaN or infinite weights"),
        ("1\t2\n3\t4\t5\n", "cannot be read as a table: line 2"),
        ("1\t2\n3\tx\n", "cannot be read as numbers: .*'x'"),
        ("5\n", "sizes 1 x 1"),
    ],
)
def test_text_that_is_no_matrix_is_refused(tmp_path, text, words):
    path = tmp_path / "sc.tsv"
    path.write_text(text)
    with pytest.raises(RunError, match=words):
        of(path)


def test_other_names_in_rows_than_in_columns_are_refused(tmp_path):
    path = tmp_path / "sc.tsv"
    path.write_text("\tV1\tV2\tM1\nV1\t0\t2\t1\nM1\t2\t0\t3\nV2\t1\t3\t0\n")
    with pytest.raises(
        RunError, match=r"other names in its rows than in its columns: M1 and V2\."
    ):
        StructuralSource(path).of("01", None, NAMES)


@pytest.mark.parametrize(("factor", "told"), [(0.2, True), (1, False)])
def test_a_matrix_that_looks_like_correlations_is_asked(tmp_path, factor, told):
    path = table(tmp_path / "a.tsv", factor * SC + np.eye(3), REGIONS)
    notes = StructuralSource(path).of("01", None, REGIONS).notes
    assert any("are these correlations?" in note for note in notes) == told


def test_the_only_square_variable_of_matlab_is_read(tmp_path):
    path = tmp_path / "sc.mat"
    held = {
        "counts": csc_matrix(SC),
        "centres": np.ones((3, 2)),
        "title": "sc",
        "odd": {"sc": SC},
    }
    savemat(path, held, do_compression=True)
    np.testing.assert_array_equal(of(path).weights, SC)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(RunError, match=r"sc\.mat cannot be read: .* To do: fetch or m"):
        of(path)


MOVED = [2, 0, 1]
IN_LINES = ("\n".join(NAMES[n] for n in MOVED) + "\n").encode()


@pytest.mark.parametrize(
    "stored", [np.frombuffer(IN_LINES, np.uint8)[None], IN_LINES.decode()]
)
def test_names_of_dsi_studio_are_one_a_line(tmp_path, stored):
    path = tmp_path / "sub-01_connectivity.mat"
    savemat(path, {"connectivity": SC[np.ix_(MOVED, MOVED)], "name": stored})
    connectome = StructuralSource(path).of("01", None, NAMES)
    np.testing.assert_array_equal(connectome.weights, SC)
    assert connectome.notes == ()


def test_names_are_those_of_the_longest_prefix(tmp_path):
    path = tmp_path / "sub-01_connectivity.mat"
    of_other = np.array(["a", "b", "c"], object)
    labels = np.array([NAMES[n] for n in MOVED], object)
    moved = SC[np.ix_(MOVED, MOVED)]
    variables = {"aal_region_labels": of_other, "aal_ext_region_labels": labels}
    savemat(path, {**variables, "aal_ext_count": moved})
    connectome = StructuralSource(path).of("01", None, NAMES)
    np.testing.assert_array_equal(connectome.weights, SC)


ROWS = "\n".join(",".join(f"{value:g}" for value in row) for row in SC) + "\n"
NUMBERED = "".join(f'"{n + 1}",{row}\n' for n, row in enumerate(ROWS.split()))
IN_TEXT = {
    "MRtrix 3.0": f"# command_history: tck2connectome a.tck b.mif c.csv\n{ROWS}",
    "R": f'"","V1","V2","V3"\n{NUMBERED}',
    "R with names": f'"","V1","V2","M1"\n{NUMBERED}',
    "NaN on the diagonal": ROWS.replace("0,2,1", "NaN,2,1"),
}


@pytest.mark.parametrize("program", IN_TEXT)
def test_text_of_other_programs_is_read(tmp_path, program):
    path = tmp_path / "sc.csv"
    path.write_text(IN_TEXT[program])
    connectome = StructuralSource(path).of("01", None, NAMES)
    np.testing.assert_array_equal(connectome.weights, SC)
    assert bool(connectome.notes) == (program != "R with names")


def test_a_triangle_is_told_how_to_become_symmetric(tmp_path):
    path = table(tmp_path / "a.tsv", np.triu(WEIGHTS))
    with pytest.raises(RunError, match=r"asymmetric weights.*with -symmetric"):
        of(path)
