"""Which participants' maps are analysed together, and their values as one table."""

import re
import shutil
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from maps_bundle import TINY_AFFINE, TINY_SHAPE, tiny_masks
from maps_cohort import TinyCohort
from maps_job import read_table

from bids_dtg.cli.run import main
from bids_dtg.cohort.features import FeatureTable, find_features, with_subcortex
from bids_dtg.cohort.group_participants import GroupParticipants, gather_participants
from bids_dtg.errors import DatasetError, SettingsError
from bids_dtg.imaging.atlas import find_atlas, region_means
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import VoxelPlaces
from bids_dtg.inputs.templateflow import TemplateFlow
from bids_dtg.statistics.analyses import ANALYSES
from bids_dtg.statistics.stats import _difference

LABELS = tuple(f"{n:02d}" for n in range(1, 6))
TABLE = "participant_id\tage\tsex\tsite\tfamily_id\n" + "".join(
    f"sub-{label}\t{20 + 2 * n}\t{'FM'[n % 2]}\t{'AB'[n // 3]}\tf{n // 2}\n"
    for n, label in enumerate(LABELS)
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    cohort = TinyCohort(
        tmp_path_factory.mktemp("cohort"),
        LABELS,
        contrasts=("languageMath", "languageStory"),
    )
    (cohort.bids / "participants.tsv").write_text(TABLE)
    parcels = np.where(tiny_masks()[1], 1 + np.indices(TINY_SHAPE)[0] % 3, 0).astype(
        np.int16
    )
    atlas = cohort.folder / "atlas-Own_space-MNI152NLin6Asym_dseg.nii.gz"
    nib.save(nib.Nifti1Image(parcels, TINY_AFFINE), atlas)
    assert cohort.run("--atlases", atlas) == 0
    return cohort


def people_of(cohort, **options):
    options = {
        "derivatives": (f"statmaps={cohort.statmaps}",),
        "voxels": True,
    } | options
    settings = cohort.settings().replace(
        analysis_level="group", analysis="stats", **options
    )
    return gather_participants(settings)


def tables(cohort, name, tmp_path, **options):
    people = people_of(cohort, **options)
    return people, list(copied(source_of(people, name).tables(people, tmp_path)))


def source_of(people, name):
    return next(source for source in find_features(people) if source.kind.name == name)


def copied(tables_found):
    for table in tables_found:
        yield table, np.array(table.values)


def image(path):
    return nib.load(path).get_fdata()


def test_what_is_known_of_people_is_in_their_order(cohort):
    people = people_of(cohort)
    assert people.labels == LABELS
    assert people.column("age").numbers["03"] == 24
    coded = people.covariates(["age", "sex"])
    assert coded.names == ("age", "sex: M")
    assert coded.values[:, 0].tolist() == [20, 22, 24, 26, 28]
    assert people.families.tolist() == [0, 0, 1, 1, 2]
    assert people.sites.tolist() == [0, 0, 0, 1, 1]
    runs = read_table(next(cohort.out.glob("sub-02/func/*_qc.tsv")))
    assert people.column("fd_mean").numbers["02"] == pytest.approx(
        float(runs[0]["fd_mean"])
    )
    assert people.of(["02", "04"]).families.tolist() == [0, 1]


def test_a_metric_is_of_the_runs_that_are_used(cohort):
    """With one session chosen, runs of the other are none of its covariates."""
    people = people_of(cohort)
    (run,) = people.runs["02"]
    other_run = replace(run, title="sub-02_ses-2_task-rest", quality={"fd_mean": "9"})
    with_other = replace(people, runs={**people.runs, "02": (run, other_run)})
    fd_mean = with_other.column("fd_mean").numbers["02"]
    assert fd_mean == pytest.approx(float(run.quality["fd_mean"]))


@pytest.mark.parametrize(
    ("sites", "lines"),
    [
        (("A", "A", "NA", "B", "B"), ("'NA' of 1 participant counts as no site",)),
        (
            ("A", "none", "none", "n/a", ""),
            (
                "'none' of 2 participants counts as a site",
                "2 participants without a site (sub-04, sub-05)",
            ),
        ),
        (("NA",) * 5, ("'NA' of 5 participants counts as no site",)),
        (("0", "1", "0", "1", "1"), ()),
    ],
)
def test_sites_that_seem_to_be_none_are_said(cohort, tmp_path, capsys, sites, lines):
    table = tmp_path / "own.tsv"
    rows = [f"{label}\t{site}" for label, site in zip(LABELS, sites, strict=True)]
    table.write_text("participant_id\tsite\n" + "\n".join(rows) + "\n")
    people_of(cohort, participants_file=table)
    log = capsys.readouterr().err
    assert ("sites (column site): " in log) == bool(lines)
    assert all(line in log for line in lines)


@pytest.fixture(scope="module")
def mixed(cohort, tmp_path_factory):
    """Return results of the cohort, as if read at the vertices of several surfaces."""
    out = shutil.copytree(cohort.out, tmp_path_factory.mktemp("mixed") / "out")
    surfaces = dict(zip(LABELS, ("own", "own", "template", "own", "n/a"), strict=True))
    for label, surface in surfaces.items():
        (path,) = out.glob(f"sub-{label}/func/*_qc.tsv")
        header, row = (line.split("\t") for line in path.read_text().splitlines())
        row[header.index("surface")] = surface
        path.write_text("\t".join(header) + "\n" + "\t".join(row) + "\n")
    return out


@pytest.mark.slow
@pytest.mark.parametrize("analysis", [None, *ANALYSES])
def test_a_group_read_on_several_surfaces_is_said(cohort, mixed, capsys, analysis):
    words = ["--analysis", analysis, "--dry-run"] if analysis else ["--no-reports"]
    if analysis == "phenotypes":  # of three families
        words += ["--folds", "3"]
    assert main([str(cohort.bids), str(mixed), "group", *words]) == 0
    line = (
        "parcels were read in several ways (3 runs at the vertices of own surfaces, 1 run at the "
        "vertices of a template's surface, 1 run given as parcels)"
    )
    assert line in capsys.readouterr().err


def test_surfaces_of_the_people_in_an_analysis_are_a_flag(cohort, mixed):
    people = people_of(cohort, output_dir=mixed)
    assert people.flags[-1].text.startswith(
        "Parcels were read in several ways (3 runs at the"
    )
    assert len(people.of(["01", "02", "04"]).flags) == len(people.flags) - 1


@pytest.mark.parametrize("written", ["1", "1.0", "SUB-01"])
def test_labels_that_are_written_otherwise_are_refused(cohort, tmp_path, written):
    """Else nobody knows the person's age, and relatives and sites count as if there were none."""
    table, line = (
        tmp_path / "own.tsv",
        rf"has participant {written}, but .* sub-01.*: 01 or sub-01",
    )
    other_rows = "".join(f"sub-{label}\t{label}\tA\n" for label in LABELS[1:])
    table.write_text(f"participant_id\tage\tsite\n{written}\t20\tB\n{other_rows}")
    with pytest.raises(SettingsError, match=line):
        people_of(cohort, participants_file=table)


def test_who_lacks_a_value_is_left_out_with_a_line(cohort, tmp_path, capsys):
    table = tmp_path / "own.tsv"
    table.write_text(
        "participant_id\tage\tone\tfd_mean\n01\t20\t1\t7\n03\t22\t1\t8\n02\tn/a\t1\t9\n"
    )
    people = people_of(cohort, participants_file=table)
    assert people.complete(["age"]).labels == ("01", "03")
    assert (
        people.column("fd_mean").numbers["03"] == 8
    )  # the table's, not that of the runs
    log, flags = capsys.readouterr().err, [flag.text for flag in people.flags]
    for line in (
        "eft out: 1 participant without a value of age (sub-02)",
        "eft out: 2 participants without a row in own.tsv (sub-04, sub-05)",
    ):
        assert f"l{line}" in log
        assert f"L{line}" in flags
    with pytest.raises(SettingsError, match="one is the same for all 2"):
        people.complete(["age"]).covariates(["one"])
    with pytest.raises(SettingsError, match=r"no column agee.*did you mean age"):
        people.column("agee")
    with pytest.raises(
        DatasetError, match="no participant with maps has a value of age"
    ):
        people.of(["02", "04"]).complete(["age"])


def test_columns_that_depend_on_each_other_are_refused(cohort):
    people = people_of(cohort)
    with pytest.raises(SettingsError, match="depend on each other"):
        people.of(["01", "04"]).covariates(["age", "site"])


def test_a_number_has_one_level_however_it_is_spelled(cohort, tmp_path):
    table = tmp_path / "own.tsv"
    rows = zip(LABELS, ("1", "1.0", "0", "1.00", "0"), (1, 3, 2, 5, 4), strict=True)
    lines = [
        f"{label}\t{group}\t{1_700_000_000_000 + time}" for label, group, time in rows
    ]
    table.write_text("\n".join(["participant_id\tgroup\tms", *lines, ""]))
    people = people_of(cohort, participants_file=table)
    assert people.column("group").levels == ("0", "1")
    assert set(people.column("group").texts.values()) == {"0", "1"}
    # Of numbers far from 0, the rank is that of how they differ.
    assert people.covariates(["group", "ms"]).names == ("group", "ms")


@pytest.mark.slow
def test_maps_are_the_files_values(cohort, tmp_path):
    people, features = tables(cohort, "maps", tmp_path)
    assert [table.contrast for table, _ in features] == [
        c.label for c in cohort.bundle.contrasts
    ]
    for table, values in features:
        assert table.labels == LABELS
        for label, row in zip(LABELS, values, strict=True):
            average = people.averages[label][0]
            path = next(
                map_file.path
                for map_file in average.maps
                if map_file.label == table.contrast
            )
            mask = table.places.mask
            np.testing.assert_array_equal(row, image(path)[mask].astype(np.float32))


@pytest.mark.slow
def test_edges_are_the_upper_triangle(cohort, tmp_path):
    _, ((table, values),) = tables(cohort, "edges", tmp_path)
    matrix = read_table(next(cohort.out.glob("sub-04/func/*_relmat.tsv")))
    wanted = [
        float(matrix[i][f"roi{j + 1:02d}"]) for i in range(4) for j in range(i + 1, 4)
    ]
    np.testing.assert_allclose(values[3], wanted, rtol=1e-6)
    assert table.names[:3] == ["roi01-roi02", "roi01-roi03", "roi01-roi04"]


@contextmanager
def changed(*paths, change):
    """Change what files hold, a volume's values or a table's text, for a while."""
    whole = {path: path.read_bytes() for path in paths}
    try:
        for path in paths:
            if path.suffix == ".tsv":
                path.write_text(change(path.read_text()))
            else:
                values = change(image(path).astype(np.float32))
                nib.save(nib.Nifti1Image(values, nib.load(path).affine), path)
        yield
    finally:
        for path, content in whole.items():
            path.write_bytes(content)


@pytest.mark.slow
def test_measured_maps_are_on_the_same_voxels(cohort, tmp_path):
    (path,) = cohort.statmaps.glob("sub-02/*ses-a_contrast-languageMath*")
    _, features = tables(cohort, "measured", tmp_path)
    first = next(own for table, own in features if table.contrast == "languageMath")
    np.testing.assert_allclose(
        first[1], image(path)[features[0][0].places.mask], rtol=1e-6
    )
    with changed(path, change=lambda values: values * np.float32(1e30)):
        people, _ = tables(cohort, "measured", tmp_path)
    assert "too large for a statistic or an effect" in people.failed["02"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "change", [lambda values: 0 * values, lambda values: 0 * values + 1]
)
@pytest.mark.parametrize("voxels", [True, False])
def test_a_damaged_map_leaves_out_its_participant_alone(
    cohort, tmp_path, capsys, change, voxels
):
    atlases = tuple(map(str, cohort.folder.glob("atlas-Own*")))
    path = people_of(cohort).averages["02"][0].maps[0].path
    with changed(path, change=change):
        _, features = tables(cohort, "maps", tmp_path, voxels=voxels, atlases=atlases)
    first, second, *_ = (table for table, _ in features)
    lines = [
        line for line in capsys.readouterr().err.splitlines() if "is left out" in line
    ]
    assert len(lines) == 1
    assert lines[0].startswith("sub-02 is left out: ")
    without = tuple(label for label in LABELS if label != "02")
    assert {first.labels, second.labels} == {LABELS, without}


@pytest.mark.slow
def test_people_with_one_and_the_same_map_are_named(cohort, tmp_path, capsys):
    paths = [
        people_of(cohort).averages[label][0].maps[0].path
        for label in ("01", "02", "03")
    ]
    first_map = image(paths[0])
    with changed(*paths, change=lambda values: np.float32(first_map)):
        tables(cohort, "maps", tmp_path)
    assert "sub-01, sub-02, sub-03 have the same map" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[: len(text) // 2],
        lambda text: re.sub(r"-?\d\.\d+", "n/a", text),
        lambda text: "\n".join(
            line.rpartition("\t")[0] for line in text.splitlines()[:-1]
        ),
    ],
)
def test_the_first_matrix_does_not_decide_alone(cohort, tmp_path, change):
    with changed(next(cohort.out.glob("sub-01/func/*_relmat.tsv")), change=change):
        people, ((table, _),) = tables(cohort, "edges", tmp_path)
    assert ([*people.failed], table.labels) == (["01"], LABELS[1:])


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [lambda values: values * np.nan, lambda values: values[..., None, None]],
    ids=["empty", "of five dimensions"],
)
def test_first_maps_that_cannot_be_used_leave_out_their_participant_alone(
    cohort, tmp_path, change
):
    paths = [map_file.path for map_file in people_of(cohort).averages["01"][0].maps]
    with changed(*paths, change=change):
        _, features = tables(cohort, "maps", tmp_path)
    assert {table.labels for table, _ in features} == {LABELS[1:]}
    assert all(values.shape[1] for _, values in features)


@pytest.mark.slow
def test_means_of_regions_are_those_of_the_maps_and_are_kept(
    cohort, tmp_path, monkeypatch
):
    (atlas,) = cohort.folder.glob("atlas-Own*")
    options = {"voxels": False, "atlases": (str(atlas),), "contrast": ("languageMath",)}
    _, ((table, values),) = tables(cohort, "maps", tmp_path, **options)
    for label, row in zip(LABELS, values, strict=True):
        (path,) = cohort.out.glob(f"sub-{label}/func/*_desc-regions_statmap.tsv")
        rows = [
            region_row
            for region_row in read_table(path)
            if region_row["contrast"] == "languageMath"
        ]
        assert table.names == [region_row["name"] for region_row in rows]
        np.testing.assert_allclose(
            row, [float(region_row["mean"]) for region_row in rows], atol=1e-5
        )
    _, ((measured, means),) = tables(cohort, "measured", tmp_path, **options)
    (path,) = cohort.statmaps.glob("sub-02/*ses-a_contrast-languageMath*")
    assert measured.names == table.names
    assert means[1, 1] == pytest.approx(image(path)[image(atlas) == 2].mean(), abs=1e-5)
    monkeypatch.setattr("bids_dtg.cohort.features.region_means", None)
    _, ((_, again),) = tables(cohort, "maps", tmp_path, **options)
    np.testing.assert_array_equal(again, values)
    path = next(
        cohort.out.glob("sub-03/func/*contrast-languageMath_*synthetic_statmap.nii.gz")
    )
    path.touch()
    with pytest.raises(
        TypeError, match="not callable"
    ):  # what has changed is read anew
        tables(cohort, "maps", tmp_path, **options)


def test_subcortical_structures_are_behind_the_cortex():
    affine = np.diag([4.0, 4, 4, 1])
    affine[:3, 3] = -90, -126, -72
    places = VoxelPlaces.within(
        Grid((46, 55, 46), affine, "MNI152NLin6Asym"), np.ones((46, 55, 46), bool)
    )
    cortex, below = (find_one(name, places) for name in ("Schaefer400", "HCP"))
    cortex_and_below = with_subcortex(cortex, places)
    assert [*cortex_and_below.parcels.values()] == [
        *cortex.parcels.values(),
        *below.parcels.values(),
    ]
    values = np.arange(places.number, dtype=float)
    means = region_means(values[None], cortex_and_below)[0]
    np.testing.assert_array_equal(means[:400], region_means(values[None], cortex)[0])
    row = [*below.parcels.values()].index("HIPPOCAMPUS_LEFT")
    inside = (below.columns == row) & (cortex.labels == 0)
    assert means[400 + row] == pytest.approx(values[inside].mean())
    top = VoxelPlaces(places.grid, places.positions[places.points[:, 2] > 60])
    assert with_subcortex(cortex, top) is cortex


def find_one(name: str, places: VoxelPlaces):
    return find_atlas(name, places, templateflow=TemplateFlow(None))


@pytest.mark.slow
def test_a_place_that_somebody_lacks_is_left_out_for_all(cohort, tmp_path):
    people = people_of(cohort)
    lacking, places = people.averages["03"][0].maps[1], people.places

    def without_seven(values):
        values = np.ascontiguousarray(values)
        values.reshape(-1)[places.positions[:7]] = np.nan
        return values

    with changed(lacking.path, change=without_seven):
        _, features = tables(cohort, "maps", tmp_path)
    kept = {table.contrast: table.places.positions for table, _ in features}
    assert np.array_equal(kept.pop(lacking.label), places.positions[7:])
    assert {len(positions) for positions in kept.values()} == {places.number}


@pytest.mark.slow
def test_a_contrast_whose_maps_share_no_voxel_is_left_out(cohort, tmp_path, capsys):
    people = people_of(cohort)
    paths = [people.averages[label][0].maps[0].path for label in ("01", "02")]
    odd = people.places.mask & (
        people.places.mask.cumsum().reshape(TINY_SHAPE) % 2 == 1
    )
    gone = iter((odd, people.places.mask & ~odd))
    with changed(*paths, change=lambda values: np.where(next(gone), np.nan, values)):
        people, features = tables(cohort, "maps", tmp_path)
        assert (
            "the contrast is left out: there is no location" in capsys.readouterr().err
        )
        assert [t.contrast for t, _ in features] == [
            map_file.label for map_file in people.example.maps[1:]
        ]
        with pytest.raises(
            DatasetError, match="no location where all of 5 participants have"
        ):
            tables(cohort, "maps", tmp_path, contrast=(people.example.maps[0].label,))


@pytest.mark.slow
def test_what_nobody_has_is_named(cohort, tmp_path, capsys):
    people = people_of(cohort, derivatives=())
    sources = find_features(people)
    assert [source.kind.name for source in sources] == ["maps", "edges"]
    assert (
        "left out: measured maps, as no folder of them was given"
        in capsys.readouterr().err
    )
    with changed(*cohort.out.glob("sub-*/func/*_relmat.tsv"), change=lambda text: ""):
        assert [source.kind.name for source in find_features(people)] == ["maps"]
    assert (
        "no participant's edges of the connectome can be read"
        in capsys.readouterr().err
    )
    with pytest.raises(SettingsError, match="--contrast names nonsense"):
        find_features(people_of(cohort, contrast=("nonsense",)))


def test_a_copy_of_somebodys_folder_is_of_nobody(cohort):
    folder = shutil.copytree(cohort.out / "sub-01", cohort.out / "sub-99")
    try:
        assert people_of(cohort).labels == LABELS
    finally:
        shutil.rmtree(folder)


class Counted(str):
    """A label that counts how often it is compared."""

    __hash__ = str.__hash__
    compared = 0

    def __eq__(self, other):
        Counted.compared += 1
        return str(self) == str(other)


def labels(number: int) -> list[Counted]:
    return [Counted(f"P{person:04d}") for person in range(number)]


def test_people_are_chosen_and_subtracted_without_comparing_all_with_all():
    everybody = GroupParticipants(
        None, None, {}, dict.fromkeys(labels(500), ()), None, None
    )
    Counted.compared = 0
    assert len(everybody.of(labels(500))) == 500
    values = np.zeros((500, 2), np.float32)
    columns = np.arange(2)
    source = SimpleNamespace(kind=None, places=None, names=None)
    tables = [
        FeatureTable(source, "edges", tuple(labels(500)), values, columns)
        for _ in range(2)
    ]
    assert len(_difference(*tables).labels) == 500
    assert Counted.compared <= 10 * 500
