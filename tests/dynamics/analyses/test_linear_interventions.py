"""Interventions in linear cores by the command line: tables, page, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_series import PEOPLE, REGIONS, arguments, write_series

from bids_dtg.cli.run import main
from bids_dtg.dynamics import Intervention, LagCovariances, load_linear_bundle
from bids_dtg.dynamics.bundle.group_effective import read_group_effective
from bids_dtg.files.text import read_rows

EFFECTS = "desc-interventions_effects.tsv"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an output with cores of four people fewer than all: `own`, and `wired`."""
    folder = tmp_path_factory.mktemp("intervened")
    arrays = write_series(folder / "arrays")
    weights = np.zeros((len(PEOPLE), 4, 4))
    weights[:, 0, 1] = weights[:, 1, 0] = 7.0
    wired = folder / "structural.npz"
    np.savez(wired, structural=weights, people=PEOPLE, places=REGIONS)
    words = ("--participant-label", *PEOPLE[:5])
    assert main(arguments(arrays, folder / "out", "train", *words)) == 0
    call = arguments(arrays, folder / "out", "train", *words, "--model-name", "wired")
    call.insert(call.index("--data-set"), str(wired))
    assert main(call) == 0
    return folder / "out"


def call(out: Path, *more: str, model: str = "own") -> int:
    bundle = str(out / "group" / f"model-{model}" / "bundle")
    return main(arguments(out.parent / "arrays", out, "intervene", "--model", bundle, *more))


def test_asked_interventions_have_effects_with_retest_and_null(out: Path) -> None:
    words = ("--lesion", REGIONS[0], f"{REGIONS[1]}:{REGIONS[2]}", "--gain", "0.5")
    assert call(out, *words, "--stimulate", REGIONS[3], "--participant-label", *PEOPLE[1:]) == 0
    folder = out / "group" / "intervention-own"
    rows = read_rows(folder / EFFECTS)
    assert [row["name"] for row in rows] == [
        "lesion of lh_insula",
        "lesion of lh_cuneus:rh_insula",
        "stimulation of rh_cuneus",
        "gain of 0.5",
    ]
    # Seven people were not trained on: with the others there are enough for words, not one alone.
    assert {row["people"] for row in rows} == {"11"}
    for row in rows:
        assert float(row["size"]) > 0
        assert -1 <= float(row["others"]) <= float(row["retest"]) <= 1
        assert row["verdict"] in ("the person's own", "no significant difference")
    (fit,) = read_rows(folder / "desc-effective_scores.tsv")
    assert 0 <= float(fit["identified_low"]) <= float(fit["identified"]) <= 1
    assert float(fit["fit_own"]) > float(fit["fit"])
    regions = read_rows(folder / "desc-interventions_regions.tsv")
    assert len(regions) == 4 * len(REGIONS)
    assert regions[0]["change"] == "n/a"
    people = read_rows(folder / "desc-interventions_people.tsv")
    assert len(people) == 4 * 2 * 11
    page = (folder / "network_report.html").read_text()
    assert "An effect inside a model is not evidence of an effect in a person." in page


@pytest.mark.slow
def test_effects_are_those_from_python(out: Path) -> None:
    label = PEOPLE[0]
    assert call(out, "--lesion", REGIONS[0], "--model-name", "one", "--seed", "1") == 0
    people = read_rows(out / "group" / "intervention-one" / "desc-interventions_people.tsv")
    row = next(own for own in people if own["participant_id"] == f"sub-{label}")
    model = load_linear_bundle(out / "group" / "model-own" / "bundle").effective()
    with np.load(out.parent / "arrays" / "REST1.npz") as held:
        own = model.infer(LagCovariances.of(held["rest"][0]))
    effect = Intervention.lesion(REGIONS[0], REGIONS).effect(own)
    assert float(row["size"]) == pytest.approx(np.nanmean(np.abs(effect)), rel=1e-4)
    with np.load(out / "group/intervention-one/desc-effective_connectivity.npz") as found:
        np.testing.assert_allclose(found["effective_REST1"][0], own.coupling, atol=1e-4)


@pytest.mark.slow
def test_the_group_is_fitted_by_the_first_call_with_a_bundle(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--lesion", REGIONS[0], "--model-name", "again")
    folder = out / "group" / "intervention-again"
    kept, fitted, sizes = folder / "linear-dynamics_effective.safetensors", [], []
    for damaged in (False, False, True):
        if damaged:
            kept.write_bytes(kept.read_bytes()[:-8])
        capsys.readouterr()
        assert call(out, *words) == 0
        fitted.append("effective connectivity of the training people" in capsys.readouterr().err)
        sizes.append((folder / "desc-interventions_people.tsv").read_bytes())
    assert fitted == [True, False, True]
    assert sizes[0] == sizes[1] == sizes[2]
    assert kept.name in (folder / "written_files.json").read_text()
    start = load_linear_bundle(out / "group" / "model-own" / "bundle").effective().start
    other = load_linear_bundle(out / "group" / "model-wired" / "bundle")
    read = read_group_effective(
        kept, load_linear_bundle(out / "group" / "model-own" / "bundle").identity, len(REGIONS)
    )
    assert read is not None
    np.testing.assert_array_equal(read.coupling, start.coupling)
    assert read_group_effective(kept, other.identity, len(REGIONS)) is None


def test_each_region_is_lesioned_where_nothing_is_asked(out: Path) -> None:
    assert call(out, "--model-name", "all", "--session-label", "REST2") == 0
    folder = out / "group" / "intervention-all"
    rows = read_rows(folder / EFFECTS)
    assert [row["name"] for row in rows] == [f"lesion of {name}" for name in REGIONS]
    assert {row["retest"] for row in rows} == {"n/a"}
    assert "There is one session" in (folder / "network_report.html").read_text()


@pytest.mark.slow
def test_connections_are_where_connectomes_or_homotopy_allow(out: Path) -> None:
    bundle = load_linear_bundle(out / "group" / "model-wired" / "bundle")
    assert bundle.part.connectomes == 5
    allowed = {tuple(cell) for cell in np.argwhere(np.triu(bundle.effective().allowed))}
    assert allowed == {(0, 1), (0, 2), (1, 3)}
    assert call(out, "--lesion", f"{REGIONS[0]}:{REGIONS[3]}", model="wired") == 0
    (row,) = read_rows(out / "group" / "intervention-wired" / EFFECTS)
    assert float(row["size"]) == 0
    page = (out / "group" / "intervention-wired" / "network_report.html").read_text()
    assert "where half of 5 structural connectomes have one" in page
    everywhere = load_linear_bundle(out / "group" / "model-own" / "bundle").effective().allowed
    assert everywhere.sum() == 12


@pytest.mark.slow
def test_activity_that_grows_is_counted_and_left_out(out: Path) -> None:
    assert call(out, "--gain", "1000", "--model-name", "grown") == 0
    (row,) = read_rows(out / "group" / "intervention-grown" / EFFECTS)
    assert int(row["people"]) + int(row["unbounded"]) == 12
    assert int(row["unbounded"]) > 0
    page = (out / "group" / "intervention-grown" / "network_report.html").read_text()
    assert "would grow without bounds" in page


@pytest.mark.slow
def test_nobody_may_be_left(out: Path) -> None:
    assert call(out, "--gain", "1e9", "--model-name", "nobody") == 0
    (row,) = read_rows(out / "group" / "intervention-nobody" / EFFECTS)
    why = "not computable (activity grows without bounds)"
    assert (row["people"], row["size"], row["verdict"]) == ("0", "n/a", why)


@pytest.mark.parametrize(
    ("words", "fact"),
    [
        (("--lesion", "insula"), "--lesion: no region is called 'insula'"),
        (("--stimulate", "lh_insola"), "did you mean lh_insula?"),
        (("--gain", "-2"), "--gain is -2"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    words, fact: str, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(out, *words, "--model-name", "none") == 2
    assert fact in " ".join(capsys.readouterr().err.split())
    assert not (out / "group" / "intervention-none").exists()


def test_other_analyses_refuse_interventions(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = str(out / "group" / "model-own" / "bundle")
    words = ("--model", bundle, "--lesion", REGIONS[0])
    assert main(arguments(out.parent / "arrays", out, "simulate", *words)) == 2
    err = " ".join(capsys.readouterr().err.split())
    assert "--lesion was given with --analysis simulate" in err
    assert "--analysis intervene" in err
