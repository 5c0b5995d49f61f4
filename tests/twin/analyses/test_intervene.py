"""Interventions by the command line: attributions, perturbations, null, tables and page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from array_people import write
from tiny_twins import LABELS, REGIONS, arguments, edges, write_twins

from bids_dtg.cli.run import main
from bids_dtg.files.text import read_rows
from bids_dtg.twin.phantom.people import simulate_twin_people

Call = Callable[..., int]
MANY = 40  # people
EDGES = REGIONS * (REGIONS - 1) // 2
FIGURES = ("faces_rt", "faces_effect", "stroop_rt", "stroop_effect")
SHARES = tuple(f"{task}_{of}" for of in ("correct", "unanswered") for task in ("faces", "stroop"))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of people whose connectomes say who is slow, and who are enough to show it.

    A third of the edges are larger in people with longer true response times.
    """
    folder = write_twins(tmp_path_factory.mktemp("many") / "inputs", number=MANY)
    people = simulate_twin_people(MANY, "easy", regions=REGIONS, seed=1)
    slow = people.mean_rt_seconds("stroop").mean(axis=1)
    arrays = edges(people)
    arrays["edges"][:, :9] += 0.5 * ((slow - slow.mean()) / slow.std())[:, None]
    (folder / "connectomes.npz").unlink()
    write(folder / "connectomes.npz", **arrays)
    return folder


@pytest.fixture(scope="module")
def of_all(many: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model that was fitted to everybody at hand."""
    out = tmp_path_factory.mktemp("all")
    assert main(arguments(many, out, "train", "--epochs", "2")) == 0
    return out / "group" / "model-own" / "bundle"


@pytest.fixture(scope="module")
def written(of_all: Path, many: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of interventions in a model that was fitted to everybody at hand."""
    out = tmp_path_factory.mktemp("intervention")
    few = ("--permutations", "3")
    assert main(arguments(many, out, "intervene", "--model", str(of_all), *few)) == 0
    return next(out.glob("group/intervention-*"))


def table(folder: Path, name: str) -> list[dict[str, str]]:
    return read_rows(folder / f"desc-{name}.tsv")


@pytest.mark.slow
def test_every_table_is_written_with_what_its_columns_mean(written: Path) -> None:
    tables = {path.stem: path for path in written.glob("desc-*.tsv")}
    assert set(tables) == {
        f"desc-{name}"
        for name in (
            *("doses_response", "controls_response", "edges_attribution", "regions_attribution"),
            *("maps_attribution", "moves_judged", "moves_simple"),
        )
    }
    for path in tables.values():
        assert list(json.loads(path.with_suffix(".json").read_text())) == [
            "Description",
            *read_rows(path)[0],
        ]


@pytest.mark.slow
def test_changes_are_those_of_connectomes_perturbed_by_the_written_direction(
    written: Path, of_all: Path, many: Path
) -> None:
    from bids_dtg.twin.interventions.perturbations import performed_outcomes

    from bids_dtg.inputs.events import find_events
    from bids_dtg.twin.bundle.bundle import load_twin_bundle
    from bids_dtg.twin.participant.events import read_behaviour
    from bids_dtg.twin.trial_series import stack_people

    model = load_twin_bundle(of_all)
    tasks, root = model.part.tasks, many / "bids"
    names = [name for task in tasks for name in task.bids_tasks]
    behaviour = read_behaviour(tasks, find_events(root, names))
    segments = stack_people(
        [behaviour[label].runs for label in sorted(behaviour)], tasks=model.part.task_set
    )
    own, fitted = np.load(many / "connectomes.npz")["edges"], model.fitted()
    found = np.load(written / "desc-directions_edges.npz")
    lowers = list(found["moved"]).index("stroop_rt")
    figure = performed_outcomes(fitted, own, segments).of("stroop_rt")
    assert np.corrcoef(own @ found["unit"][lowers], figure)[0, 1] < 0
    delta = 2.0 * found["length"][lowers] * found["unit"][lowers]
    before, after = (
        performed_outcomes(fitted, own + perturbation, segments)
        for perturbation in (0 * delta, delta)
    )
    rows = {
        row["figure"]: row
        for row in table(written, "doses_response")
        if (row["direction"], row["step_size"]) == ("lower stroop_rt", "2")
    }
    assert set(rows) == {*FIGURES, *SHARES}
    for figure in FIGURES:
        change = np.nanmean(after.of(figure) - before.of(figure))
        assert float(rows[figure]["change"]) == pytest.approx(change, abs=1e-4), figure
    missed = (after.unanswered - before.unanswered).mean(axis=0)
    assert float(rows["stroop_unanswered"]["change"]) == pytest.approx(missed[1], abs=1e-4)
    size = np.sqrt((delta**2).mean())
    assert float(rows["stroop_rt"]["perturbation_rms"]) == pytest.approx(size, rel=1e-3)
    assert [name for name, row in rows.items() if row["intended"] == "true"] == ["stroop_rt"]


@pytest.mark.slow
def test_verdicts_are_over_refits_and_nulls_and_stand_above_the_moves(written: Path) -> None:
    rows = table(written, "moves_judged")
    assert [row["figure"] for row in rows] == list(FIGURES)
    controls = table(written, "controls_response")
    assert len(controls) == 3 * len(FIGURES)
    for row in rows:
        own = [float(c["evidence"]) for c in controls if c["figure"] == row["figure"]]
        evidence = float(row["evidence"])
        assert int(row["permuted_as_large"]) == sum(value <= evidence + 1e-6 for value in own)
        assert (row["permutations"], row["refits"]) == ("3", "10")
        assert row["verdict"] == "no significant difference"
        assert "p above 0.05" in row["why"]  # 3 permutations are too few
        assert -1 <= float(row["r_refits"]) <= 1
    page = (written / "twin_report.html").read_text()
    titles = re.findall(r"<h2[^>]*>([^<]+)</h2>", page)
    order = [titles.index(title) for title in (
        "What the interventions show",
        "Perturbations of the connectome",
        "Attribution of figures to edges",
    )]  # fmt: skip
    assert order == sorted(order)
    assert not {"better", "worse"} & set(re.findall(r">([a-z ]+)</td>", page))
    assert "nothing changes both connectome and behaviour" in page
    # Two epochs are too few for a network that answers as people do.
    assert "of twins is far from people" in page
    assert "An effect inside a model is not evidence of an effect in a person." in page


@pytest.mark.slow
def test_a_ridge_stands_beside_moves_and_attribution(written: Path) -> None:
    rows = table(written, "moves_simple")
    own = [row for row in rows if row["direction"] != "twin"]
    assert [(row["figure"], row["direction"]) for row in own] == [
        (figure, "ridge") for figure in FIGURES
    ]
    assert all(float(row["ridge_change"]) <= 0 for row in own)
    for row in rows:
        assert row["ridge_calibrated_change"] == "n/a"  # everybody is in the training set
    for row in table(written, "maps_attribution"):
        assert -1 <= float(row["r_ridge"]) <= 1
        assert -1 <= float(row["r_covariance"]) <= 1


@pytest.mark.slow
def test_attributions_have_names_and_maps_beside_them(written: Path) -> None:
    rows = [row for row in table(written, "edges_attribution") if row["target"] == "stroop_rt"]
    assert len(rows) == EDGES
    assert [int(row["rank"]) for row in rows] == list(range(1, EDGES + 1))
    sizes = [abs(float(row["seconds_per_z"])) for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    pairs = list(zip(*np.triu_indices(REGIONS, 1), strict=True))
    for row in rows:
        first, second = pairs[int(row["edge"]) - 1]
        assert (row["region_1"], row["region_2"]) == (f"r{first}", f"r{second}")
    covariance = np.array([float(row["covariance"]) for row in rows])
    assert np.linalg.norm(covariance) == pytest.approx(1.0, abs=1e-4)
    ridge = np.array([float(row["ridge_seconds_per_z"]) for row in rows])
    (of,) = [row for row in table(written, "maps_attribution") if row["target"] == "stroop_rt"]
    own = [float(row["seconds_per_z"]) for row in rows]
    assert np.corrcoef(own, ridge)[0, 1] == pytest.approx(float(of["r_ridge"]), abs=1e-4)
    assert np.corrcoef(own, covariance)[0, 1] == pytest.approx(float(of["r_covariance"]), abs=1e-4)
    regions = [row for row in table(written, "regions_attribution") if row["target"] == "faces_rt"]
    assert [row["region"] for row in regions] == [f"r{number}" for number in range(REGIONS)]


def test_few_people_outside_the_training_set_perform_with_the_others(
    bundle: Path, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, model = tmp_path / "out", ["--model", str(bundle)]
    capsys.readouterr()
    assert main(arguments(people, out, "intervene", *model, "--dry-run")) == 0
    said = capsys.readouterr()
    assert "3 of them are in the training set of own, as fewer than 10 others" in said.err
    assert "a null of 200 permutations" in said.out
    others = ["--participant-label", *LABELS[3:]]
    assert main(arguments(people, out, "intervene", *model, *others)) == 0
    assert "twins of 3 participants outside the training set of own" in (
        said := capsys.readouterr().err
    )
    reason = "0 of 3 training participants are here with their events"
    assert f"no null: {reason}" in said
    folder = next(out.glob("group/intervention-*"))
    assert {row["r_refits"] for row in table(folder, "moves_judged")} == {"n/a"}
    page = re.sub(r"\s+", " ", (folder / "twin_report.html").read_text())
    assert reason in page


def test_one_person_has_no_step_size(
    bundle: Path, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("intervene", "--model", str(bundle), "--participant-label", LABELS[0]) == 2
    assert "2 or more: step sizes are in standard deviations of people" in capsys.readouterr().err


def test_options_of_training_are_refused(
    call: Call, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--epochs", "3", "--learning-rate", "0.1")
    assert call("intervene", "--model", str(bundle), *given) == 2
    assert (
        "--epochs, --learning-rate were given with --model, whose training is done. Expected: no "
        "--epochs, no --learning-rate"
    ) in capsys.readouterr().err


def test_people_who_do_not_differ_are_refused(
    bundle: Path, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = edges()
    arrays["edges"][:] = arrays["edges"][0]
    np.savez(tmp_path / "same.npz", **arrays)
    same = str(tmp_path / "same.npz")
    words = arguments(people, tmp_path, "intervene", "--model", str(bundle), arrays=same)
    assert main(words) == 2
    assert "are the same. Expected: connectomes that differ" in capsys.readouterr().err
