"""People as arrays through the analyses: the same tables, pages and models as from images."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from array_people import FRAMES, PEOPLE, PLACES, arrays, call, write
from linear_by_the_page import ByThePage, connectome_of_rest
from threadpoolctl import threadpool_limits
from tiny_job import read_table

from bids_dtg.cli.run import main as program
from bids_dtg.connectome import roi_series, voxel_to_roi
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.bundle.output_layer import compare_output_layers
from bids_dtg.contrasts.people import Person
from bids_dtg.errors import BundleError

# People who train are not judged by leaving each out, which would make ROI maps of the others.
ALL_TRAIN = ("--architecture", "linear", "--held-out", 0, 0)
SHARED = Path(os.environ.get("DTG_SHARED", "../shared"))


@pytest.fixture(scope="module")
def trained(trained_maps, tmp_path_factory):
    """A folder with people, a model that 6 of them trained and 2 tuned, and other people."""
    folder = tmp_path_factory.mktemp("maps") / "arrays"
    shutil.copytree(trained_maps.inputs, folder)
    trained_maps.copy_out(folder / "out")
    return folder


def test_training_writes_what_it_writes_of_images(trained):
    made = trained / "out/group/model-own"
    bundle = load_bundle(made / "bundle")
    assert bundle.places.names[:2] == ("V0", "V1")
    assert [contrast.label for contrast in bundle.contrasts] == ["languageMath", "lefthand"]
    assert bundle.card.record["roi_maps"]["people"] == 6
    assert bundle.card.training.data == "study"
    assert {row["model"] for row in read_table(made / "desc-models_scores.tsv")} >= {
        "model",
        "group average",
    }
    (target, *_) = read_table(made / "desc-targets_files.tsv")
    assert target["files"] == "all.npz"


@pytest.mark.slow
def test_roi_maps_are_of_the_training_people_alone(trained, tmp_path):
    made = trained / "out/group/model-own"
    rows = read_table(made / "desc-split_participants.tsv")
    training = {row["participant_id"] for row in rows if row["set"] == "training"}
    changed = arrays()
    others = [n for n, name in enumerate(changed["people"]) if f"sub-{name}" not in training]
    changed["rest"][others] = np.random.default_rng(5).normal(size=changed["rest"][others].shape)
    np.savez(tmp_path / "all.npz", **changed)
    words = ("--split-file", made / "desc-split_participants.tsv", "--architecture", "local-ridge")
    assert call(tmp_path, "train", "--rois", 4, *words) == 0
    again = load_bundle(tmp_path / "out/group/model-own/bundle")
    np.testing.assert_array_equal(again.roi_maps, load_bundle(made / "bundle").roi_maps)


def test_connectomes_are_those_of_arrays_at_hand(trained):
    bundle = load_bundle(trained / "out/group/model-own/bundle")
    given = arrays()
    label = given["people"][3]
    kept = np.load(trained / f"out/group/cache/sub-{label}/connectomes.npy")
    assert kept.shape == (2, 4, PLACES)  # 800 s
    rest = given["rest"][3].T.astype(np.float64)
    # Each segment for itself, as ROI series are solved a frame at a time.
    for own, part in zip(kept, np.split(rest, 2), strict=True):
        np.testing.assert_allclose(own, voxel_to_roi(part, bundle.roi_maps), atol=2e-3)
    assert roi_series(rest, bundle.roi_maps).shape == (FRAMES, 4)


@pytest.mark.slow
def test_places_of_a_large_variance_do_not_make_the_roi_series(tmp_path):
    """Three places, as near vessels, had most of the weight of all ROI series."""
    maps = []
    for name, scale in (("as-it-is", 1.0), ("large", 60.0)):
        folder = tmp_path / name
        folder.mkdir()
        for file, seed in (("all.npz", 0), ("new.npz", 1)):
            given = arrays(seed)
            given["rest"][:, :3] *= scale
            np.savez(folder / file, **given)
        assert call(folder, "train", *ALL_TRAIN, "--rois", 4) == 0
        model = folder / "out/group/model-own/bundle"
        assert load_bundle(model).card.part.connectome.standardised
        assert call(folder, "predict", "--model", model, file="new.npz", out="maps") == 0
        (made,) = (folder / "maps").rglob("*predictions.npz")
        maps.append(np.load(made)["values"])
    np.testing.assert_allclose(maps[1], maps[0], atol=0.01 * maps[0].std())


@pytest.mark.slow
def test_several_sets_of_roi_maps(tmp_path, capsys):
    np.savez(tmp_path / "all.npz", **arrays())
    np.savez(tmp_path / "new.npz", **arrays(seed=1))
    assert call(tmp_path, "train", "--architecture", "linear", "--rois", 3, 4, 6) == 0
    assert "; connectomes of 13 ROIs take 0.0031 MB a person" in capsys.readouterr().err
    made = tmp_path / "out/group/model-own"
    bundle = load_bundle(made / "bundle")
    assert bundle.roi_maps.shape == (13, PLACES)
    assert (bundle.roi_maps.dtype, type(bundle.roi_maps)) == (np.float16, np.memmap)
    part, record = bundle.card.part, bundle.card.record
    assert (part.connectome.sets, part.connectome.fixed) == ((3, 4, 6), 0.06)
    assert [own["rois"] for own in record["roi_maps"]] == [3, 4, 6]
    assert all(own["seed"] == 0 and "converged" in own for own in record["roi_maps"])
    assert record["linear"]["sets"] == [3, 4, 6]
    assert record["linear"]["shorter_minutes"] == [3.0, 6.0, 10.0]  # of 800 s
    # Other sites' maps are others.
    assert not list(tmp_path.rglob("linear_sums.safetensors"))
    models = {row["model"] for row in read_table(made / "desc-models_scores.tsv")}
    assert "linear, whole brain" in models
    page = " ".join((made / "report.html").read_text().split())
    assert "The model is the mean over sets of 3, 4 and 6 ROIs; 160 minutes of rest, shr" in page
    assert "share of people above group average" in page
    assert "13 ROI maps in sets of 3, 4 and 6 made by group ICA of 12" in bundle.card.description
    given = ("--model", made / "bundle")
    capsys.readouterr()
    assert call(tmp_path, "evaluate", *given, file="new.npz", out="new") == 0
    rows = read_table(tmp_path / "new/group/evaluation-own/desc-models_scores.tsv")
    by_name = {row["model"]: float(row["r"]) for row in rows}
    assert by_name["model own"] > by_name["another person's prediction"] + 0.05


@pytest.mark.slow
def test_maps_are_those_of_the_page_from_rest_on(tmp_path):
    """Given the ROI maps, against the independent version in float64.

    The program keeps connectomes in 16 bits: with these rounded so, deviations are those of the
    page. The bundle has gains with four digits, and the mean map in 8 bits.
    """
    given, new, sets = arrays(), arrays(seed=1), (3, 5)
    np.savez(tmp_path / "all.npz", **given)
    np.savez(tmp_path / "new.npz", **new)
    assert call(tmp_path, "train", *ALL_TRAIN, "--rois", *sets) == 0
    bundle = load_bundle(tmp_path / "out/group/model-own/bundle")
    assert call(tmp_path, "predict", "--model", bundle.path, file="new.npz", out="maps") == 0
    (made,) = (tmp_path / "maps").rglob("*predictions.npz")
    with np.load(made) as file:
        found = file["values"]
    targets = given["targets"][:, ::-1]  # in the order of the model's contrasts
    for kept, tolerance in ((np.float16, 1e-5), (np.float64, 3e-3)):

        def connectomes(file, kept=kept):
            rows = (rest.T.astype(np.float64) for rest in file["rest"])
            maps = bundle.roi_maps.astype(np.float64)
            return [connectome_of_rest(rest, maps, sets).astype(kept) for rest in rows]

        own = zip(given["people"], connectomes(given), targets, strict=True)
        people = [Person(who, b[None], (1.0,), (maps,), minutes=40 / 3) for who, b, maps in own]
        page = ByThePage(people, sets)
        assert page.apart == bundle.card.record["linear"]["amplitude"]
        gains = bundle.correction.gains.astype(float)  # rounded in the card
        np.testing.assert_allclose(gains, page.gain, atol=1e-4)
        page.gain = gains
        wanted = np.stack([page.deviation(b.astype(float), page.apart) for b in connectomes(new)])
        error = np.abs(found - bundle.correction.offset - wanted).max()
        assert error < tolerance * wanted.std()
    mean = targets.mean(axis=0, dtype=np.float64)
    steps = np.abs(mean).max(axis=1, keepdims=True) / 127
    assert (np.abs(bundle.correction.offset - mean) < 0.51 * steps).all()


@pytest.mark.slow
def test_a_linear_model_makes_the_sets_that_places_are_enough_for(tmp_path):
    np.savez(tmp_path / "all.npz", **arrays())
    file = arrays()
    file["places"] = np.array([f"V{n}" for n in range(60)])
    file["rest"] = np.concatenate([file["rest"], file["rest"][:, ::-1]], axis=1)
    file["rest"] += np.random.default_rng(0).normal(size=file["rest"].shape).astype(np.float32)
    file["targets"] = np.concatenate([file["targets"], file["targets"][:, :, ::-1]], axis=2)
    np.savez(tmp_path / "more.npz", **file)
    assert call(tmp_path, "train", *ALL_TRAIN, "--model-name", "two", file="more.npz") == 0
    sets = load_bundle(tmp_path / "out/group/model-two/bundle").card.part.connectome.sets
    assert sets == (15, 25)  # 2 places for each coefficient and an intercept
    # With 30 places none is left.
    assert call(tmp_path, "train", "--architecture", "linear", "--dry-run") == 2


def test_evaluation_leaves_out_the_training_set(trained, capsys):
    model = trained / "out/group/model-own/bundle"
    words = ("--model", model, "--array-key", "rest=rest")
    assert call(trained, "evaluate", *words, out="seen") == 0
    assert "left out: 8 participants; the model was trained on 6 and tuned on 2" in (
        capsys.readouterr().err
    )
    assert call(trained, "evaluate", "--model", model, file="others.npz", out="new") == 0
    assert "left out" not in capsys.readouterr().err.replace("0 left out", "")
    rows = read_table(trained / "new/group/evaluation-own/desc-models_scores.tsv")
    by_name = {row["model"]: float(row["r"]) for row in rows}
    assert by_name["model own"] > by_name["another person's prediction"] + 0.05


@pytest.mark.slow
def test_people_without_names_are_known_by_their_rest(tmp_path, capsys):
    given = arrays()
    del given["people"]
    np.savez(tmp_path / "all.npz", **given)
    reordered = {**given, "rest": given["rest"][::-1], "targets": given["targets"][::-1]}
    np.savez(tmp_path / "back.npz", **reordered)
    np.savez(tmp_path / "others.npz", **{**arrays(seed=1), "people": np.arange(PEOPLE)})
    words = ("--architecture", "local-ridge", "--rois", 4, "--held-out", "0.17", "0.34")
    assert call(tmp_path, "train", *words) == 0
    model = ("--model", tmp_path / "out/group/model-own/bundle")
    assert call(tmp_path, "evaluate", *model, file="back.npz", out="back") == 0
    assert "trained on 6 and tuned on 2" in capsys.readouterr().err
    assert call(tmp_path, "evaluate", *model, file="others.npz", out="new") == 0
    assert "trained on" not in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("named", ["all.npz", "new.npz"])
def test_people_are_known_whether_a_file_names_them_or_not(tmp_path, capsys, named):
    given = arrays()
    for name in ("all.npz", "new.npz"):
        own = given if name == named else {k: v for k, v in given.items() if k != "people"}
        np.savez(tmp_path / name, **own)
    assert call(tmp_path, "train", "--rois", 4, "--held-out", 0.1, 0.1) == 0
    model = ("--model", tmp_path / "out/group/model-own/bundle")
    assert call(tmp_path, "predict", *model, file="new.npz") == 0
    assert "trained on 8" in capsys.readouterr().err


@pytest.mark.slow
def test_places_without_data_do_not_make_people_alike(tmp_path, capsys):
    empty = ((0, 0), (70, 0), (0, 0))  # no signal at the first places
    for name, seed in (("all.npz", 0), ("new.npz", 1)):
        given = arrays(seed)
        targets = np.pad(given["targets"], ((0, 0), (0, 0), (70, 0)), mode="wrap")
        rest = np.pad(given["rest"], empty)
        np.savez(tmp_path / name, tr_seconds=2.0, rest=rest, targets=targets)
    assert call(tmp_path, "train", "--rois", 4, "--held-out", 0.1, 0.1) == 0
    model = ("--model", tmp_path / "out/group/model-own/bundle")
    assert call(tmp_path, "predict", *model, file="new.npz") == 0
    assert "trained on" not in capsys.readouterr().err
    assert call(tmp_path, "predict", *model, out="old") == 0
    assert "trained on 8" in capsys.readouterr().err


@pytest.mark.slow
def test_a_file_that_has_changed_is_read_again(tmp_path):
    import h5py

    given = {key: values for key, values in arrays().items() if key != "rest"}
    rest = np.pad(arrays()["rest"], ((0, 0), (0, 300), (0, 0)))  # 6 MB: more than its ends
    given["targets"] = np.pad(given["targets"], ((0, 0), (0, 0), (0, 300)), mode="wrap")
    given["places"] = np.arange(330)
    given["roi_maps"] = np.random.default_rng(0).normal(size=(4, 330))
    file = write(tmp_path / "all.h5", rest=rest, **given)
    assert call(tmp_path, "train", *ALL_TRAIN, "--model-name", "one", file="all.h5") == 0
    with h5py.File(file, "r+") as changed:
        changed["rest"][5] = rest[4]
    assert call(tmp_path, "train", *ALL_TRAIN, "--model-name", "two", file="all.h5") == 0
    cache = tmp_path / "out/group/cache"
    paths = [cache.glob(f"sub-{label}/partial*_connectomes*.npy") for label in ("004", "005")]
    one, other = (np.load(next(found)) for found in paths)
    np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_roi_maps_do_not_depend_on_how_many_threads_there_are(tmp_path):
    rng = np.random.default_rng(0)
    own = rng.normal(size=(6, 2000)) + 0.5 * rng.normal(size=(5, 6, 2000))
    rest = np.einsum("nrp,nrt->npt", own, rng.normal(size=(5, 6, 300)), optimize=True)
    rest += rng.normal(size=rest.shape)
    np.savez(tmp_path / "all.npz", rest=rest.astype("f4"), tr_seconds=2.0, targets=own[:, :2])
    made = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            assert call(tmp_path, "train", *ALL_TRAIN, "--rois", 6, out=f"out{threads}") == 0
        bundle = tmp_path / f"out{threads}/group/model-own/bundle"
        made.append((bundle / "maps.safetensors").read_bytes())
    assert made[0] == made[1]


@pytest.mark.parametrize(
    ("names", "message"),
    [(["left hand", "B\u00e4r \u00b5"], ""), (["left hand", "+++"], "a contrast is called +++")],
)
def test_contrasts_are_called_by_letters_of_bids(tmp_path, capsys, names, message):
    np.savez(tmp_path / "all.npz", **{**arrays(), "contrasts": np.array(names)})
    assert call(tmp_path, "train", "--rois", 4, "--dry-run") == (2 if message else 0)
    assert (message or "Br, lefthand") in "".join(capsys.readouterr())


def test_what_is_assumed_is_reported_once(tmp_path, capsys):
    given = {key: values for key, values in arrays(people=60).items() if key != "people"}
    np.savez(tmp_path / "all.npz", **given)
    words = ("--rois", 4, "--held-out", "0.2", "0.1", "--dry-run")
    assert call(tmp_path, "train", *words) == 0
    lines = capsys.readouterr().err
    assert "auto → blend" in lines
    assert lines.count("rows are called p01 to p60") == 1


@pytest.mark.slow
def test_families_stay_together(tmp_path):
    given = {**arrays(), "families": np.arange(PEOPLE) // 2}
    np.savez(tmp_path / "all.npz", **given)
    words = ("--architecture", "local-ridge", "--rois", 4, "--held-out", "0.17", "0.34")
    assert call(tmp_path, "train", *words) == 0
    rows = read_table(tmp_path / "out/group/model-own/desc-split_participants.tsv")
    sets = {row["participant_id"][4:]: row["set"] for row in rows}
    names = list(given["people"])
    assert all(sets[a] == sets[b] for a, b in zip(names[::2], names[1::2], strict=True))


def test_maps_may_lack_values_and_people(tmp_path, capsys):
    given = arrays()
    given["targets"][2, 0] = np.nan
    given["targets"][3, :, :5] = np.nan
    given["targets"][4] = np.nan
    given["rest"][5, 3, 7] = np.inf
    given["rest"][6] = 0
    np.savez(tmp_path / "all.npz", **given)
    words = ("--architecture", "local-ridge", "--rois", 4, "--held-out", "0.17", "0.34")
    assert call(tmp_path, "train", *words) == 1
    said = capsys.readouterr().err
    assert "none of 2 measured maps of sub-004 can be used: it is empty" in said
    assert "rest has 1 NaN or infinite value of sub-005" in said
    assert "rest has one value all along for sub-006: nobody was measured there" in said
    assert "9 participants with rest and maps, 2 contrasts (effect); 3 left out" in said


def test_keys_that_are_not_read_are_named(tmp_path, capsys):
    given = arrays()
    np.savez(tmp_path / "all.npz", subject=given.pop("people"), **given)
    assert call(tmp_path, "train", "--rois", 4, "--dry-run") == 0
    assert "not read, as they have no meaning here: subject; --array-key" in capsys.readouterr().err


def test_a_split_of_other_people_names_those_who_are_there(tmp_path, capsys):
    np.savez(tmp_path / "all.npz", **arrays())
    split = tmp_path / "split.tsv"
    split.write_text("participant_id\tset\nother\ttraining\n", encoding="utf-8")
    assert call(tmp_path, "train", "--rois", 4, "--split-file", split) == 2
    said = capsys.readouterr().err
    assert "split.tsv has nobody to train on who can be used. Expected: labels of people" in said
    assert "such as 000, 001, 002, 003, 004." in said


@pytest.mark.parametrize(
    ("changed", "words", "message"),
    [
        ({}, (), "there is rest without ROI maps. Expected: the key roi_maps"),
        ({"roi_maps": np.eye(4, PLACES)}, ("--rois", 4), "roi_maps in a file, and --rois"),
        ({"targets": None, "contrasts": None}, ("--rois", 4), "no file has measured maps"),
        ({}, ("--rois", 4, "--model", "demo"), "--model demo was given with --analysis train"),
        ({}, ("--rois", 4, "--participant-label", "x"), "no file has x"),
        ({}, ("--rois", 4, "--min-minutes", 60), "nobody in .* has usable rest"),
        ({}, ("--rois", 99), "Expected: as many as --rois 99"),
        ({}, ("--rois", 4, "--architecture", "attention-unet"), "needs voxels of a grid"),
        ({"contrasts": np.array(["a b", "ab"])}, ("--rois", 4), "names of the same letters"),
        ({}, ("--rois", 4, 6), "--rois 4 6 was given for a model of kind local-ridge on the marg"),
    ],
)
def test_what_cannot_be_trained_on_is_one_line(tmp_path, capsys, changed, words, message):
    given = {key: value for key, value in {**arrays(), **changed}.items() if value is not None}
    np.savez(tmp_path / "all.npz", **given)
    assert call(tmp_path, "train", "--architecture", "local-ridge", *words) == 2
    (*lines, last) = capsys.readouterr().err.strip().splitlines()
    assert re.search(message, last)
    if "attention-unet" in words:
        assert not any("sub-" in line for line in lines)  # nobody was read


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["participant", "--input-arrays", "a.npz"], "--input-arrays was given with no --analysis"),
        (["group", "--rois", "5"], "--rois was given. Expected: --analysis train"),
        (["group", "--array-key", "a=b"], "--array-key was given. Expected: --input-arrays"),
        (["finetune"], "Expected: group --analysis train or evaluate"),
        (["train", "--derivatives", "statmaps=x"], "--input-arrays and --derivatives were given"),
        (["evaluate", "--rois", "5"], "a model has its ROI maps"),
        (["predict", "--contrast", "lefthand"], "maps of all contrasts of the model are written"),
        (["train", "--rois", "1"], "--rois is 1"),
        (["train", "--rois", "6", "4"], "--rois is 6 4. Expected: each number once, the smallest"),
        (["train", "--rois", "4", "4"], "--rois is 4 4"),
        (["train", "--rois", "4.5"], "--rois is ['4.5']. Expected: whole numbers"),
        (["train", "--rois", "9", "--add-sums", "x"], "ROI maps that all sites have in common"),
    ],
)
def test_options_that_do_not_go_together(tmp_path, capsys, words, message):
    first, *rest = words
    if first in ("participant", "group"):
        assert program([str(tmp_path), str(tmp_path / "out"), first, *rest]) == 2
    else:
        assert call(tmp_path, first, *rest) == 2
    assert message in capsys.readouterr().err


def test_a_model_of_other_places_is_refused(trained, tmp_path, capsys):
    model = ("--model", trained / "out/group/model-own/bundle")
    given = arrays(seed=1)
    given["places"][7] = "elsewhere"
    np.savez(tmp_path / "all.npz", **given)
    assert call(tmp_path, "evaluate", *model) == 2
    assert "the first that differs is V7" in capsys.readouterr().err
    assert call(tmp_path, "evaluate", "--model", "demo") == 2
    assert "demo is a model of voxels on a grid" in capsys.readouterr().err


def test_connectomes_that_were_made_elsewhere(tmp_path, capsys):
    given = arrays()
    made = np.stack([voxel_to_roi(rest.T, np.eye(4, PLACES)) for rest in given.pop("rest")])
    np.savez(tmp_path / "all.npz", connectomes=made, **given)
    assert call(tmp_path, "train", "--architecture", "linear", "--rois", 4, 6) == 2
    said = capsys.readouterr().err
    assert "--rois was given with connectomes. Expected: rest to make maps of" in said
    words = ("--architecture", "local-ridge", "--held-out", "0.17", "0.34")
    assert call(tmp_path, "train", *words) == 0
    model = ("--model", tmp_path / "out/group/model-own/bundle")
    np.savez(tmp_path / "rest.npz", **arrays(seed=1))
    assert call(tmp_path, "evaluate", *model, file="rest.npz", out="new") == 2
    assert "own reads connectomes, and the arrays have rest" in capsys.readouterr().err


def test_a_blend_at_places_without_a_grid_has_no_network(tmp_path, capsys):
    np.savez(tmp_path / "all.npz", **arrays())
    words = ("--architecture", "blend", "--rois", 4)
    assert call(tmp_path, "train", *words, "--held-out", "0.17", "0.17") == 0
    bundle = load_bundle(tmp_path / "out/group/model-own/bundle")
    assert set(bundle.card.record["blend"]) == {"local_ridge", "linear"}
    assert ", from 2 validation participants: local_ridge " in capsys.readouterr().err
    bundle.check_weights()
    assert compare_output_layers(bundle, bundle) is None
    with pytest.raises(BundleError, match="not hold the weights of the network"):
        bundle.network()


@pytest.mark.slow
@pytest.mark.skipif(
    not (SHARED / "data/real/hcp30/rest.npz").is_file(), reason="needs the data of DTG_SHARED"
)
def test_real_people_by_the_documented_command(tmp_path, capsys):
    folder = SHARED / "data/real/hcp30"
    words = [str(folder), str(tmp_path / "out"), "group", "--analysis", "train"]
    words += ["--architecture", "linear"]
    words += ["--input-arrays", str(folder / "rest.npz"), str(folder / "task.npz")]
    words += ["--array-key", "targets=beta", "--array-key", "contrasts=conditions"]
    assert program(words) == 0
    made = tmp_path / "out/group/model-own"
    by_name = {row["model"]: row for row in read_table(made / "desc-models_scores.tsv")}
    card = json.loads((made / "bundle/model.json").read_text())
    assert card["places"] == 360
    assert [own["number"] for own in card["rois"]] == [15, 25, 50, 75, 100]
    assert (card["training"]["participants"], card["evaluation"]["participants"]) == (20, 20)
    # Those of 15 people that train and 5 others, in docs/explanation/linear.md, give or take
    # their sd over splits.
    assert float(by_name["model"]["residual_r"]) == pytest.approx(0.185, abs=0.02)
    assert float(by_name["model"]["identification"]) == pytest.approx(0.895, abs=0.05)
    of_shape = float(by_name["model, amplitude of the shape"]["residual_r"])
    assert of_shape == pytest.approx(0.169, abs=0.014)
    questions = {row["question"]: row["verdict"] for row in card["evaluation"]["comparisons"][:2]}
    assert questions == {"individual": "better", "worth using": "better"}
    said = capsys.readouterr().err
    assert "their own names: 8 of 24 contrasts (EMOTIONfear, EMOTIONneut, GAMBLING" in said


@pytest.mark.slow
def test_the_same_command_on_changed_arrays_writes_nothing(tmp_path, capsys):
    """It trained, and wrote the tables of a model that was never saved over good ones."""
    content = arrays()
    write(tmp_path / "all.npz", **content)
    words = ("--architecture", "linear", "--rois", 3, "--held-out", "0.17", "0.17")
    assert call(tmp_path, "train", *words) == 0
    folder = tmp_path / "out" / "group" / "model-own"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    os.utime(tmp_path / "all.npz", (1, 1))
    assert call(tmp_path, "train", *words, "--dry-run") == 0  # it was only touched
    content["targets"][3, 0, 0] += 0.01
    write(tmp_path / "all.npz", **content)
    capsys.readouterr()
    assert call(tmp_path, "train", *words) == 2
    said = capsys.readouterr().err
    assert "made of other data (<arrays1>/all.npz has changed)" in said
    assert "choose another --model-name" in said
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_two_sites_make_one_model_by_two_rounds_of_files(tmp_path, capsys):
    """The first site's files bring its sets of ROI maps along; it has people to cross-validate."""
    given, sites = arrays(people=13), {"a": slice(0, 8), "b": slice(8, 13)}
    for name, rows in sites.items():
        (tmp_path / name).mkdir()
        own = {**given, **{key: given[key][rows] for key in ("people", "rest", "targets")}}
        np.savez(tmp_path / name / "all.npz", **own)

    def train(site, *words, model="own"):
        return call(
            tmp_path / site, "train", "--architecture", "linear", "--model-name", model, *words
        )

    def files(site, *, model="own", rounds=2):
        folder = tmp_path / site / f"out/group/model-{model}"
        names = ("linear_means.safetensors", "linear_sums.safetensors")[:rounds]
        return ("--add-sums", *(folder / name for name in names))

    assert train("a", "--rois", 3, 4) == 0
    capsys.readouterr()
    assert train("b", *files("a", rounds=1), model="first") != 0
    said = " ".join(capsys.readouterr().err.split())
    assert "linear_means.safetensors is of the first round, and gives means alone" in said
    assert train("a", *files("b", model="first", rounds=1), model="second") != 0
    capsys.readouterr()
    assert train("a", *files("b", model="first"), model="both") == 0
    assert train("b", *files("a", model="second"), model="both") == 0
    models = [load_bundle(tmp_path / s / "out/group/model-both/bundle") for s in sites]
    tensors = [model.weights().read() for model in models]
    for name in ("means", "weights", "coefficients", "squares", "factors", "minutes"):
        np.testing.assert_allclose(*(own[f"linear.{name}"] for own in tensors), atol=1e-6)
    assert models[0].card.part.connectome.sets == (3, 4)
    judged = models[0].card.record["cross_validation"]
    assert judged["groups"] == [2, 2, 2, 2]
    described = models[0].card.description
    assert described.startswith("Trained with bids_dtg on 8 participants and the sums of 5 of oth")
    np.testing.assert_array_equal(*(model.roi_maps for model in models))
    record = models[1].card.record["linear"]
    assert (record["participants"], record["participants_of_other_sites"]) == (5, 8)
