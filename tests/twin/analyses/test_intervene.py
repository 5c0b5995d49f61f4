"""The command line moves connectomes along gradients of twins' behaviour."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from array_people import write
from twin_bundle import tiny_fitted_twin, write_tiny_twin
from twin_people import LABELS, REGIONS, arguments, people_of, quick_model, write_twins

from bids_dtg.bundles.training_hashes import TrainingHashes
from bids_dtg.cli.run import main
from bids_dtg.files.text import read_rows
from bids_dtg.twin.bundle.bundle import TwinBundle
from bids_dtg.twin.interventions import predicted_functions

PEOPLE, UNSEEN = 44, 14
FUNCTIONS = [
    f"{task}_{what}" for task in ("faces", "stroop") for what in ("rt", "effect")
]
FUNCTIONS += ["faces_accuracy", "stroop_accuracy"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    many_people = write_twins(
        tmp_path_factory.mktemp("many"), number=PEOPLE, telling=True
    )
    with np.load(many_people / "connectomes.npz") as arrays:
        families = np.array(["twins", "twins", *map(str, range(2, PEOPLE))])
        write(many_people / "connectomes.npz", **arrays, families=families)
    return many_people


@pytest.fixture(scope="module")
def model(folder) -> TwinBundle:
    return quick_model(folder, UNSEEN)


@pytest.fixture(scope="module")
def written(folder, model) -> Path:
    """Return the results; nobody changes them."""
    out = folder / "out"
    words = ("--model", str(model.path), "--permutations", "19")
    assert main(arguments(folder, out, "intervene", *words)) == 0
    return out / "group" / "intervention-tiny"


def table(folder: Path, name: str) -> list[dict[str, str]]:
    return read_rows(folder / f"desc-{name}.tsv")


def test_each_function_is_moved_or_says_why_not(written):
    rows = table(written, "moves_judged")
    assert list(dict.fromkeys(row["function"] for row in rows)) == FUNCTIONS
    by_key = {(row["function"], row["way"]): row for row in rows}
    moved = by_key["stroop_rt", "all"]
    assert (moved["verdict"], moved["permutations"]) == ("lowered", "19")
    assert float(moved["change"]) < -0.02
    calibrated = float(moved["change"]) * float(moved["slope"])
    assert float(moved["calibrated"]) == pytest.approx(calibrated, rel=1e-4)
    for row in rows:
        selective = row["way"] == "selective"
        assert (row["change"] == "n/a" or selective) == row["verdict"].startswith(
            "not computable"
        )
        assert not selective or {
            row[name] for name in ("calibrated", "p", "slope")
        } == {"n/a"}
    assert "not calibrated" in by_key["stroop_rt", "selective"]["why"]
    explained = json.loads((written / "desc-moves_judged.json").read_text())["verdict"]
    assert "sign flips" not in str(explained)
    assert by_key["stroop_effect", "all"]["why"].startswith(
        (
            "the ridge on connectomes does not beat",
            "predicted and observed values are not",
        )
    )


def test_changes_are_those_of_twins_of_moved_connectomes(folder, model, written):
    people = people_of(folder)
    labels = people.labels[:UNSEEN]
    edges, segments = (
        people.source.connectomes(labels),
        people.stacked(people.runs(labels)),
    )
    with np.load(written / "desc-directions_edges.npz") as arrays:
        steps = dict(zip(arrays["moves"].tolist(), arrays["steps"], strict=True))
        gradients = dict(
            zip(arrays["functions"].tolist(), arrays["gradients"], strict=True)
        )
        assert arrays["places"].tolist() == [f"r{number}" for number in range(REGIONS)]
    fitted = model.fitted()
    before = predicted_functions(fitted, edges, segments)
    for name, delta in steps.items():
        function, way = name.split()
        column = FUNCTIONS.index(function)
        change = (predicted_functions(fitted, edges + 2 * delta, segments) - before)[
            :, column
        ]
        rows = [
            row
            for row in table(written, "people_changes")
            if (row["function"], row["way"]) == (function, way)
        ]
        assert [row["participant_id"] for row in rows] == [
            f"sub-{label}" for label in labels
        ]
        changes = [float(row["change"]) for row in rows]
        np.testing.assert_allclose(changes, change, atol=1e-4)
        mean = [
            (float(row["change"]), row["people"])
            for row in table(written, "functions_changes")
            if (row["step_size"], row["function"], row["way"], row["intended"])
            == ("2", function, way, "true")
        ]
        of_families = [change[:2].mean(), *change[2:]]
        assert mean == [
            (pytest.approx(np.mean(of_families), abs=1e-4), f"{UNSEEN - 1}")
        ]
    assert "stroop_rt selective" in steps
    faces_changes = (
        gradients["faces_rt"]
        @ np.array([steps["stroop_rt all"], steps["stroop_rt selective"]]).T
    )
    assert abs(faces_changes[1]) < 1e-6 < abs(faces_changes[0])


def test_edges_are_ranked_by_their_gradient_and_named(written):
    rows = [
        row
        for row in table(written, "edges_attribution")
        if row["function"] == "stroop_rt"
    ]
    sizes = [abs(float(row["per_z"])) for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    pairs = list(zip(*np.triu_indices(REGIONS, 1), strict=True))
    assert len(rows) == len(pairs)
    for row in rows:
        first, second = pairs[int(row["edge"]) - 1]
        assert (row["region_1"], row["region_2"]) == (f"r{first}", f"r{second}")


@pytest.mark.slow
def test_hypernetworks_have_a_null_of_their_ridges(folder, tmp_path):
    model = quick_model(folder, UNSEEN, "hypernetwork")
    call = arguments(folder, tmp_path, "intervene", "--model", str(model.path))
    assert main([*call, "--permutations", "20"]) == 0
    rows = read_rows(next(tmp_path.rglob("desc-moves_judged.tsv")))
    assert "20" in {row["permutations"] for row in rows if row["way"] == "all"}
    (page,) = tmp_path.rglob("twin_report.html")
    assert "would need a training" not in page.read_text()


@pytest.mark.slow
def test_twins_that_are_the_group_are_said_and_not_moved(
    folder, model, tmp_path, capsys
):
    people = people_of(folder)
    training = people.sketches(people.labels[UNSEEN:])
    fitted = copy.deepcopy(model.fitted())
    fitted.twin.edge_weights.zero_()
    alike = write_tiny_twin(
        tmp_path / "alike",
        fitted,
        TrainingHashes.of_training("tiny", training, {}),
        regions=model.regions,
        data_set="tiny",
    )
    words = ("--model", str(alike.path))
    assert main(arguments(folder, tmp_path, "intervene", *words)) == 0
    log = capsys.readouterr().err
    assert "no twin is run" in log
    assert "running twins" not in log
    results = tmp_path / "group/intervention-tiny"
    rows = table(results, "moves_judged")
    assert [row["function"] for row in rows] == FUNCTIONS
    assert all(row["verdict"].startswith("not computable") for row in rows)
    assert not table(results, "edges_attribution")
    assert main(arguments(folder, tmp_path, "evaluate", *words)) == 0
    results = tmp_path / "group/evaluation-tiny"
    page = " ".join((results / "twin_report.html").read_text().split())
    assert "so all twins are the group" in page
    assert {
        row["value"]
        for row in table(results, "scores_models")
        if row["figure"] == "rt" and row["model"] in ("twin", "group_network")
    } == {"n/a"}


@pytest.mark.slow
def test_published_hypernetworks_have_no_null(folder, tmp_path, capsys):
    model = quick_model(folder, UNSEEN, "hypernetwork", group_epochs=0)
    unnamed = {
        k: v for k, v in np.load(folder / "connectomes.npz").items() if k != "places"
    }
    path = str(write(tmp_path / "unnamed.npz", **unnamed))
    call = arguments(
        folder, tmp_path, "intervene", "--model", str(model.path), arrays=path
    )
    assert main([*call, "--dry-run"]) == 0
    assert "edges here have no names of regions" in capsys.readouterr().err
    assert main(call) == 0
    places = np.load(next(tmp_path.rglob("desc-directions_edges.npz")))["places"]
    assert tuple(places) == model.regions
    (page,) = tmp_path.rglob("twin_report.html")
    assert (
        "permutation of a published hypernetwork would need a training"
        in page.read_text()
    )


@pytest.mark.slow
def test_gradients_are_drawn_in_the_brain_where_the_atlas_is_known(tmp_path):
    """A glass brain has the colour of each parcel's mean gradient where the parcel is."""
    names = tuple(f"r{number}" for number in range(19))
    folder = write_twins(tmp_path / "people", number=12, tasks=("stroopAP",))
    people = np.load(folder / "connectomes.npz")["people"]
    values = np.random.default_rng(0).normal(0.0, 0.3, (12, 171))
    np.savez(
        folder / "connectomes.npz", people=people, places=np.array(names), edges=values
    )
    fitted = tiny_fitted_twin(edges=171, tasks=("stroop",))
    bundle = write_tiny_twin(
        tmp_path / "m", fitted, regions=names, atlas="HCP", data_set="tiny"
    )
    call = arguments(folder, tmp_path / "out", "intervene", "--model", str(bundle.path))
    assert main(call) == 0
    (page,) = tmp_path.rglob("twin_report.html")
    text = page.read_text()
    assert "Mean gradient of each region, parcels of HCP" in text
    assert text.count('src="data:image/png') == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            (),
            "3 participants outside the training set of own have a connectome and events here. ",
        ),
        (("--participant-label", *LABELS[:3]), "everybody here (3 participants)"),
    ],
)
def test_what_cannot_be_moved_is_one_line(words, line, bundle, call, capsys):
    assert TwinBundle.load(bundle).part.people == 3
    assert call("intervene", "--model", str(bundle), *words) == 2
    assert line in capsys.readouterr().err
