"""Maps of people who come as arrays: of new people only, and the same bytes whatever the format."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from array_people import arrays, call, write

from bids_dtg.contrasts.bundle.bundle import load_bundle


@pytest.fixture(scope="module")
def trained(trained_maps, tmp_path_factory):
    """A folder with people, a model that 6 of them trained and 2 tuned, and other people."""
    folder = tmp_path_factory.mktemp("maps") / "arrays"
    shutil.copytree(trained_maps.inputs, folder)
    trained_maps.copy_out(folder / "out")
    return folder


def predicted(folder: Path, trained: Path, *words: object, file: str, analysis="predict") -> bytes:
    """Predict the people of a file of a folder; the bytes that were written."""
    model = trained / "out/group/model-own/bundle"
    assert (
        call(folder, analysis, "--model", model, *words, file=file, out=f"{analysis}-{file}") == 0
    )
    (path,) = (folder / f"{analysis}-{file}/group").glob("*/desc-predictions.npz")
    return path.read_bytes()


@pytest.mark.slow
def test_evaluation_writes_the_same_maps(trained):
    made = predicted(trained, trained, file="others.npz")
    assert made == predicted(trained, trained, file="others.npz", analysis="evaluate")
    with np.load(trained / "predict-others.npz/group/prediction-own/desc-predictions.npz") as maps:
        assert maps["people"].tolist() == arrays(seed=1)["people"].tolist()
        assert maps["contrasts"].tolist() == ["languageMath", "lefthand"]
        assert maps["places"][3] == "V3"
        assert maps["values"].shape == (12, 2, 30)
        assert maps["values"].dtype == np.float32
    facts = json.loads(
        (trained / "predict-others.npz/group/prediction-own/desc-predictions.json").read_text()
    )
    bundle = load_bundle(trained / "out/group/model-own/bundle")
    assert facts["ModelSHA256"] == bundle.identity
    assert facts["ModelConnectome"]["name"] == bundle.card.part.connectome.name


@pytest.mark.parametrize("name", ["others.h5"])
def test_other_formats_give_the_same_bytes(trained, tmp_path, name):
    write(tmp_path / name, **arrays(seed=1))
    assert predicted(tmp_path, trained, file=name) == predicted(trained, trained, file="others.npz")


@pytest.mark.slow
def test_rest_alone_is_enough(trained, tmp_path):
    given = arrays(seed=1)
    del given["targets"], given["contrasts"]
    write(tmp_path / "rest.npz", **given)
    assert predicted(tmp_path, trained, file="rest.npz") == predicted(
        trained, trained, file="others.npz"
    )


def test_training_people_get_no_map(trained, capsys):
    predicted(trained, trained, file="all.npz")
    said = capsys.readouterr().err
    assert "the model was trained on 6 and tuned on 2 of them" in said
    assert "own was trained or tuned on them" in said
    path = trained / "predict-all.npz/group/prediction-own/desc-predictions.npz"
    with np.load(path) as maps:
        new = maps["people"].tolist()
    assert len(new) == 4
    known = [label for label in arrays()["people"] if label not in new]
    words = ("--model", trained / "out/group/model-own/bundle", "--participant-label", *known)
    assert call(trained, "predict", *words, out="none") == 2
    assert "nobody is left of 8 participants" in capsys.readouterr().err


def test_a_plan_writes_nothing(trained, capsys):
    words = ("--model", trained / "out/group/model-own/bundle", "--dry-run")
    assert call(trained, "predict", *words, file="others.npz", out="dry") == 0
    assert "to predict: 12 participants" in capsys.readouterr().out
    assert not (trained / "dry").exists()


def test_images_are_for_the_participant_level(tmp_path, capsys):
    from bids_dtg.cli.run import main as program

    assert program([str(tmp_path), str(tmp_path / "out"), "group", "--analysis", "predict"]) == 2
    assert "results from images are made at the level participant" in capsys.readouterr().err


def test_calibration_takes_arrays(trained, tmp_path, capsys):
    write(tmp_path / "many.npz", **arrays(seed=2, people=40))
    words = ("--model", trained / "out/group/model-own/bundle", "--model-name", "sure")
    assert call(tmp_path, "calibrate", *words, file="many.npz") == 0
    made = load_bundle(tmp_path / "out/group/model-sure/bundle")
    assert made.calibration.participants == 40
    assert "40 people: intervals of 90 %" in capsys.readouterr().err


def test_maps_of_other_contrasts_are_refused_with_the_models(trained, tmp_path, capsys):
    write(tmp_path / "others.npz", **{**arrays(seed=1), "contrasts": np.array(["u", "v"])})
    model = trained / "out/group/model-own/bundle"
    assert call(tmp_path, "evaluate", "--model", model, file="others.npz") == 2
    assert "labels such as languageMath, lefthand; found u, v" in capsys.readouterr().err
