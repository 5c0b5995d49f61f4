"""What all analyses of network models have in common: people, plans, folders."""

from __future__ import annotations

import numpy as np
import pytest
from linear_core_bundle import write_tiny_linear
from network_arrays import PEOPLE, TRAIN, arguments, write_networks
from series_arrays import REGIONS, write_series

from bids_dtg.bundles.training_hashes import TrainingHashes
from bids_dtg.cli.run import main
from bids_dtg.files.text import read_rows

pytestmark = pytest.mark.slow


def test_people_outside_the_training_set_are_left_out(bundle, call, out, capsys):
    few = ("--participant-label", "01", "02", "--model-name", "few", "--epochs", "1")
    assert call("train", *few, "--architecture", "network") == 0
    model = str(out / "group" / "model-few" / "bundle")
    assert call("simulate", "--model", model, "--dry-run") == 0
    captured = capsys.readouterr()
    assert "left out: 2 participants outside the training set of few" in captured.err
    assert "2 participants (01, 02)" in captured.out
    strangers = ("--participant-label", "03", "04")
    assert call("evaluate", "--model", model, *strangers) == 2
    assert "was not fitted to anybody in tiny" in capsys.readouterr().err


def test_tables_of_people_are_found_by_their_series(
    call, arrays, out, tmp_path, capsys
):
    """Their labels, data set, scale and order do not count; each has the own row."""
    few = ("--model-name", "tables", "--epochs", "60", "--architecture", "network")
    assert call("train", *few) == 0
    turned, renamed = tmp_path / "turned", tmp_path / "renamed"
    for folder in (turned, renamed):
        folder.mkdir()
        for path in sorted(arrays.glob("*.npz")):
            content = dict(np.load(path))
            for name in {"people", "rest", "structural"} & content.keys():
                content[name] = content[name][::-1]
            if folder is renamed:
                content["people"] = [f"new{label}" for label in content["people"]]
                content |= {"rest": content["rest"] * 10} if "rest" in content else {}
            np.savez(folder / path.name, **content)
    model = (
        "--model",
        str(out / "group" / "model-tables" / "bundle"),
        "--simulations",
        "1",
    )
    again = ("--model-name", "again")
    assert (
        main(arguments(turned, out, "evaluate", *model, "--model-name", "first")) == 0
    )
    capsys.readouterr()
    assert main(arguments(renamed, out, "evaluate", *model, *again)) == 0
    log = capsys.readouterr().err
    assert (
        "4 participants with other labels (new04, new03, new02, new01) recognised in"
        in log
    )
    first, second = (
        read_rows(out / "group" / f"evaluation-{name}" / "desc-parameters_scores.tsv")
        for name in ("first", "again")
    )
    assert [float(row["kl_mean"]) for row in second] == pytest.approx(
        [float(row["kl_mean"]) for row in first], rel=1e-3
    )


def test_whoever_lacks_the_session_of_the_model_is_left_out(
    bundle, out, tmp_path, capsys
):
    arrays = write_networks(tmp_path, people=(["03", "01"], PEOPLE))
    call = arguments(
        arrays, out, "simulate", "--model", str(bundle), "--simulations", "1"
    )
    assert main([*call, "--model-name", "some"]) == 0
    assert "left out: 2 participants without data in session REST1 (02, 04)" in (
        capsys.readouterr().err
    )
    simulated = np.load(out / "group" / "simulation-some" / "desc-simulated_series.npz")
    assert simulated["simulated"].shape[0] == len(simulated["people"]) == 2
    nobody = ("--participant-label", "04", "--session-label", "REST1", "REST2")
    assert main([*call, *nobody]) == 2
    assert (
        "nobody in the training set of own has data in session REST1"
        in capsys.readouterr().err
    )


def test_other_times_between_frames_are_refused(bundle, out, tmp_path, capsys):
    arrays = write_networks(tmp_path, tr_seconds=1.6)
    assert main(arguments(arrays, out, "simulate", "--model", str(bundle))) == 2
    assert (
        "1.6 seconds between frames and the model own has 0.8"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("words", "plan"),
    [
        (("train", *TRAIN), "the model dry of session REST1 (60 epochs, 2 restarts)"),
        (("evaluate", "--model", "{bundle}"), "scores, tables and a page"),
        (("fixed-points", "--model", "{bundle}"), "fixed points"),
    ],
)
def test_a_dry_run_says_what_a_network_would_write(
    words, plan, bundle, call, out, capsys
):
    filled = [word.format(bundle=bundle) for word in words]
    assert call(*filled, "--model-name", "dry", "--dry-run") == 0
    assert f"would write {plan} to {out / 'group'}" in capsys.readouterr().out
    assert not list((out / "group").glob("*-dry"))


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ({}, "would write scores and a page"),
        ({}, "tiny lists its training participants only by label"),
        (
            {"labels": [f"{n:02}" for n in range(6)]},
            "Tiny study with the same labels (01, 02, 03",
        ),
        (
            {"people": TrainingHashes({}, ("ten more",))},
            "whose IDs are unknown (ten more)",
        ),
        (
            {"session": "DAY1"},
            "trained on session DAY1, which is missing here; session REST1 is",
        ),
        (
            {"regions": "abcd"},
            "(lh_insula, lh_cuneus, rh_insula, rh_cuneus) and the model tiny was fitted to",
        ),
    ],
)
def test_people_are_compared_with_those_of_a_core(facts, line, tmp_path, capsys):
    core = write_tiny_linear(tmp_path / "core", **{"regions": REGIONS, **facts})
    arrays, out = write_series(tmp_path / "arrays"), tmp_path / "out"
    code = main(
        arguments(arrays, out, "evaluate", "--model", str(core.path), "--dry-run")
    )
    printed = capsys.readouterr()
    assert line in " ".join((printed.out + printed.err).split())
    assert code == (2 if "regions" in facts else 0)
