"""The group level's analyses on eight tiny participants: train, evaluate, tune, no leaks."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from maps_bundle import without_people, write_tiny_bundle
from maps_cohort import CONTRASTS, LABELS, TinyCohort, read_json
from maps_job import TR, add_rest, read_table, tree
from split_options import NARROW, sets

from bids_dtg.contrasts import row as contrasts_row
from bids_dtg.contrasts.analyses import evaluate
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.bundle.kinds import KINDS, MapsKind
from bids_dtg.contrasts.people import FittedModel, mean_maps
from bids_dtg.errors import OutputError
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.workflows import find_workflow

SHARES = sets(LABELS, 0.25, 0.25)
LINEAR = ("--architecture", "linear", *sets(LABELS, 0, 0.25))
FITS = "linear (Tavor)"
NETWORK = (*NARROW, "--epochs", 2, "--batch-size", 3, *SHARES)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return TinyCohort(tmp_path_factory.mktemp("cohort"), lacking=("03",))


@pytest.fixture(scope="module")
def linear(cohort):
    assert cohort.analyse("train", *LINEAR) == 0
    return load_bundle(cohort.out / "group/model-own/bundle")


def mean_of(cohort, people, bundle):
    """Mean of the maps as a network makes them of people, (contrasts, places)."""
    store, model = (
        ArrayStore(cohort.out / "group/cache"),
        bundle.prepare("cpu", 1, print),
    )
    rest = [store.read(f"{label}/connectomes") for label in people]
    maps = [
        np.mean(
            [
                model.predict(connectome.astype(np.float32))
                for connectome in connectomes
            ],
            0,
        )
        for connectomes in rest
    ]
    return np.mean(maps, axis=0)


def split_of(folder):
    return {row["participant_id"]: row["set"] for row in read_table(folder)}


class GroupAverage:
    """The module of a kind that predicts the training people's mean maps for everybody."""

    def __init__(self, mean=None):
        self.mean = mean

    def predict(self, connectome):
        return self.mean

    def channels(self, weights):
        rois, contrasts = (len(weights.read()[name]) for name in ("rois", "mean"))
        return rois, contrasts

    def read(self, weights, places, *_processor):
        return GroupAverage(weights.read()["mean"])

    prepare = read

    def fit(self, data, options, folder, report):
        mean = mean_maps(data.training)
        rois = np.ones(data.training[0].connectomes.shape[1], np.float32)
        tensors = {"mean": mean, "rois": rois}
        return FittedModel(GroupAverage(mean), tensors, {})


@pytest.mark.slow
@pytest.mark.parametrize("split", [(), LINEAR[2:]])  # cross-validated; judged on others
def test_a_new_kind_is_a_module_and_a_row(cohort, tmp_path, monkeypatch, split):
    module = GroupAverage()
    kind = MapsKind(name="average", title="group average", module=lambda: module)
    monkeypatch.setitem(KINDS, "average", kind)
    row = find_workflow("contrasts")
    monkeypatch.setattr(
        contrasts_row, "ROW", replace(row, architectures=dict.fromkeys(KINDS, ""))
    )
    out = tmp_path / "out"
    assert cohort.analyse("train", "--architecture", "average", *split, out=out) == 0
    folder = out / "group/model-own/bundle"
    bundle = load_bundle(folder)
    assert bundle.card.kind == "average"
    assert bundle.card.part.same_for_all == CONTRASTS
    assert cohort.run("--model", folder, "--participant-label", "01", out=out) == 0
    sidecar = read_json(out / "sub-01/sub-01_task-rest_statmap.json")
    assert sidecar["ModelKind"] == "average"
    methods = (out / "logs/CITATION.md").read_text()
    assert "predicts maps from them by a group average" in " ".join(methods.split())


def test_a_trained_linear_model_is_a_bundle_with_its_table(cohort, linear):
    assert linear.card.kind == "linear"
    assert [contrast.label for contrast in linear.contrasts] == list(CONTRASTS)
    assert linear.card.part.recentring is not None
    assert linear.card.training.repetition_time_s == TR
    # The model that gave masks and ROI maps is not for science; it was trained on other people.
    assert linear.card.notice.startswith("Masks and ROI maps are those of tiny ")
    assert linear.card.notice.endswith(
        "tiny is not for science, and so this model is not."
    )
    assert not linear.card.for_science
    rows = {row["model"]: row for row in linear.card.evaluation["rows"]}
    assert {"group average", FITS} | {"model", "retest"} <= set(rows)
    ceilings = {row["contrast"]: row for row in linear.card.evaluation["ceilings"]}
    assert list(ceilings) == list(CONTRASTS)
    assert all(row["ceiling"] > 0.5 for row in ceilings.values())
    reported = linear.card.evaluation["simple_models"]
    assert reported["linear (Tavor)"]["coefficients"] == 1 + len(linear.roi_maps)
    # What is measured again tells people apart; a model of random BOLD does not.
    assert rows["retest"]["identification"][0] == 1.0
    assert rows["retest"]["residual_r"][0] > 0.7
    assert abs(rows["model"]["index"][0]) < 0.05
    page = (cohort.out / "group/model-own/report.html").read_text()
    assert all(label in page for label in CONTRASTS)
    assert not (cohort.out / "group/model-own/arrays/work").exists()
    reported = split_of(cohort.out / "group/model-own/desc-split_participants.tsv")
    assert sorted(reported) == [f"sub-{label}" for label in LABELS]
    assert sorted(reported.values()) == ["test"] * 2 + ["training"] * 6


@pytest.mark.slow
def test_a_second_call_reads_nothing_again_and_makes_the_same_bundle(cohort, linear):
    def cached() -> dict[Path, int]:
        files = (cohort.out / "group/cache").rglob("*.npy")
        return {path: path.stat().st_mtime_ns for path in files}

    before = cached()
    assert before
    assert cohort.analyse("train", *LINEAR) == 0
    assert cached() == before
    assert load_bundle(linear.path).identity == linear.identity


@pytest.mark.slow
@pytest.mark.parametrize(("name", "sign"), [("tsv", "\t"), ("tsv", ","), ("csv", ",")])
@pytest.mark.parametrize("column", ["family_id", "Family_ID"])
def test_a_family_on_two_sides_is_refused(
    cohort, linear, tmp_path, capsys, name, sign, column
):
    split, table = tmp_path / "split.tsv", cohort.statmaps / f"participants.{name}"
    split.write_text(
        "participant_id\tset\nsub-01\ttraining\nsub-02\ttest\nsub-03\ttest\n"
    )
    rows = [("participant_id", column), ("sub-01", "A"), ("sub-02", "A")]
    table.write_text("".join(sign.join(row) + "\n" for row in rows))
    try:
        assert (
            cohort.analyse("train", *LINEAR, "--split-file", split, "--model-name", "f")
            == 2
        )
        assert "split: A" in capsys.readouterr().err
        words = ("--model", linear.path, "--split-file", split, "--model-name", "f")
        assert cohort.analyse("evaluate", *words) == 2
    finally:
        table.unlink()
    assert "split: A" in capsys.readouterr().err


@pytest.fixture
def nothing_is_read(cohort, linear):
    """See that nobody is read, which takes hours: an analysis that begins writes its options."""

    def written():
        return {
            path: path.stat().st_mtime_ns for path in cohort.out.glob("group/*/*.toml")
        }

    before = written()
    assert before
    yield
    assert written() == before


UNET = ("--architecture", "attention-unet", *NETWORK)
FEW = ("--architecture", "attention-unet", *sets(LABELS, 0, 0.1))
TWICE = {"01": "training", "02": "training", "+01": "test", "+02": "test", "03": "test"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("analysis", "words", "people", "message"),
    [
        ("train", ("--epochs", 0), {}, "--epochs is 0"),
        ("train", FEW, {}, "only 0 validation participants, too few"),
        (
            "train",
            (*FEW, "--recipe", "published"),
            {},
            "only 0 validation participants, too few",
        ),
        (
            "train",
            (*UNET, "--recipe", "published", "--batch-size", 1),
            {},
            "in batches of 1, too few",
        ),
        # 03 lacks a contrast.
        (
            "train",
            (*UNET, "--recipe", "published"),
            {},
            "1 participant without all contrasts, which the CR-R loss needs: 03",
        ),
        ("train", LINEAR, TWICE, "two values of set for sub-01, training and test"),
        (
            "train",
            LINEAR,
            {"01": "training"},
            "1 training participant: too few for a linear mod",
        ),
        (
            "train",
            (*LINEAR, "--recipe", "published"),
            {},
            "--recipe published was given with --ar",
        ),
        (
            "train",
            LINEAR,
            {"01": "test"},
            "has no training participant with usable data",
        ),
        ("evaluate", (), {}, "no measured map has a contrast of the model"),
        (
            "evaluate",
            ("--model", "OWN"),
            TWICE,
            "two values of set for sub-01, training and test",
        ),
        (
            "evaluate",
            ("--model", "OWN"),
            {"01": "training", "02": "test"},
            "has 1 training and 1 test participants with usable data",
        ),
        ("finetune", (*NETWORK, "--model", "OWN"), {}, "kind linear"),
    ],
)
def test_what_cannot_be_done_is_reported_before_anything_is_read(
    cohort, linear, tmp_path, capsys, nothing_is_read, analysis, words, people, message
):
    options = [linear.path if word == "OWN" else word for word in words]
    if people:
        rows = [f"sub-{label.strip('+')}\t{name}\n" for label, name in people.items()]
        (tmp_path / "split.tsv").write_text("participant_id\tset\n" + "".join(rows))
        options += ["--split-file", tmp_path / "split.tsv"]
    assert cohort.analyse(analysis, *options, "--model-name", "early") == 2
    assert message in capsys.readouterr().err
    assert not (cohort.out / "group/model-early/configuration.toml").exists()


@pytest.mark.slow
def test_another_model_s_place_is_reported_before_anything_is_read(
    cohort, capsys, nothing_is_read
):
    as_by_default = ("--epochs", 100, "--batch-size", 10, "--learning-rate", 0.001)
    assert cohort.analyse("train", *LINEAR, "--seed", 1, *as_by_default) == 2
    lines = capsys.readouterr().err
    assert "made with another --seed." in lines
    assert "choose another --model-name, or remove" in lines


@pytest.mark.slow
def test_who_is_in_no_set_is_reported(cohort, linear, tmp_path, capsys):
    split = tmp_path / "split.tsv"
    rows = [f"sub-{label}\ttraining\n" for label in LABELS[:5]]
    split.write_text("participant_id\tset\n" + "".join(rows))
    assert (
        cohort.analyse("train", *LINEAR, "--split-file", split, "--model-name", "some")
        == 0
    )
    lines = capsys.readouterr().err
    assert "not in the split, left out: 3 participants (06, 07, 08)" in lines
    assert "5 participants with rest and maps" in lines


@pytest.mark.slow
def test_few_people_are_praised_on_no_page(cohort, linear, tmp_path):
    words = ("--model", without_people(linear, tmp_path / "old"), "--model-name", "few")
    assert cohort.analyse("evaluate", *words, "--participant-label", *LABELS[:5]) == 0
    words = ("--model", linear.path, "--split-file")
    split = cohort.out / "group/model-own/desc-split_participants.tsv"
    pages = [
        cohort.out / f"group/{name}/report.html"
        for name in ("model-own", "evaluation-few")
    ]
    for page in pages:
        text = page.read_text()
        assert "(8 are needed)" in text
        assert " better than " not in text.split("<table")[0]
    assert cohort.analyse("evaluate", *words, split, "--model-name", "same") == 0
    training, evaluation = (
        read_json(cohort.out / f"group/{name}/desc-models_scores.json")["comparisons"]
        for name in ("model-own", "evaluation-same")
    )
    # The group average is that of the people that the model was trained on.
    store, tested = ArrayStore(cohort.out / "group/cache"), split_of(split)
    maps = [
        store.read(f"{label}/target_maps")
        for label, name in tested.items()
        if name == "test"
    ]
    r = [
        [np.corrcoef(linear.mean[q], measured[q])[0, 1] for q in (0, 1)]
        for measured in maps
    ]
    table = read_table(cohort.out / "group/evaluation-same/desc-models_scores.tsv")
    (average,) = (float(row["r"]) for row in table if row["model"] == "group average")
    assert average == pytest.approx(np.mean(r), abs=1e-3)
    # The same people: the same figures and verdicts, on whichever page. (A bundle rounds.)
    for trained_row, evaluated_row in zip(training, evaluation, strict=True):
        assert trained_row["difference"][0] == pytest.approx(
            evaluated_row["difference"][0], abs=2e-4
        )
        assert {**trained_row, "difference": None} == {
            **evaluated_row,
            "difference": None,
        }
    assert {row["question"] for row in training} == {"individual", "worth using", None}


def test_model_pages_are_on_the_index_and_lead_back_to_it(cohort, linear):
    index = (cohort.out / "index.html").read_text()
    assert 'href="group/model-own/report.html"' in index
    page = (cohort.out / "group/model-own/report.html").read_text()
    assert 'href="../../index.html"' in page
    assert (
        "The model reads the partial form of the connectome: the series of each voxel"
        in page
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("analysis", "words", "code", "message"),
    [
        ("train", LINEAR, 0, "to train: 6 participants"),
        ("train", (*LINEAR, "--contrast", "nosuch"), 2, "which no map is of"),
        (
            "train",
            (*LINEAR, "--contrast", "emotionFace"),
            2,
            "did you mean emotionFaces?",
        ),
        ("finetune", ("--schedule", "new", *NETWORK), 0, "to validate: 2 participants"),
        (
            "evaluate",
            ("--model", "MODEL", "--split-file", "SPLIT"),
            0,
            "to test: 2 participants",
        ),
        (
            "evaluate",
            ("--model", "MODEL", "--model-name", "dry"),
            2,
            "too few to compare",
        ),
        (
            "evaluate",
            ("--model", "MODEL", "--model-name", "other"),
            2,
            "made with another model",
        ),
    ],
)
def test_a_dry_run_finds_what_the_run_will_find_and_writes_nothing(
    cohort, linear, tmp_path, capsys, analysis, words, code, message
):
    earlier = cohort.out / "group/evaluation-other"
    earlier.mkdir(exist_ok=True)
    (earlier / "notes.txt").touch()
    before = tree(cohort.out, but=())
    split = cohort.out / "group/model-own/desc-split_participants.tsv"
    files = {"MODEL": linear.path, "SPLIT": split}
    filled = [files.get(word, word) for word in words]
    name = (
        () if "--model-name" in words or "MODEL" in words else ("--model-name", "dry")
    )
    assert cohort.analyse(analysis, *filled, *name, "--dry-run") == code
    printed = capsys.readouterr()
    assert message in printed.out + printed.err
    assert ("no output was written" in printed.out) == (code == 0)
    assert tree(cohort.out, but=()) == before
    assert cohort.analyse(analysis, *filled, "--dry-run", out=tmp_path / "new") in (
        0,
        2,
    )
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_scores_are_written_before_the_page_is_drawn(
    cohort, linear, tmp_path, monkeypatch
):
    def draw(*maps, **words):
        raise OutputError("the disk is full")

    monkeypatch.setattr(evaluate, "draw_side_by_side", draw)
    model = without_people(linear, tmp_path / "bundle")
    assert cohort.analyse("evaluate", "--model", model) == 1
    folder = cohort.out / "group/evaluation-own"
    assert len(read_table(folder / "desc-models_scores.tsv")) > 1
    assert not (folder / "report.html").exists()


@pytest.mark.slow
def test_evaluation_compares_a_model_with_simple_ones(cohort, linear, tmp_path):
    # Where it is not known who the training people are.
    model = without_people(linear, tmp_path / "bundle")
    assert cohort.analyse("evaluate", "--model", model) == 0
    folder = cohort.out / "group/evaluation-own"
    rows = {row["model"]: row for row in read_table(folder / "desc-models_scores.tsv")}
    simple = ("group average", FITS)
    assert {*simple, "model own", "retest"} <= set(rows)
    assert float(rows["retest"]["identification"]) == 1.0
    assert float(rows["retest"]["identification_low"]) < 0.8
    assert {"own mean prediction", "another person's prediction"} <= set(rows)
    # Fitted on all others, it looks like everybody but oneself.
    assert (rows[FITS]["identification"], rows[FITS]["residual_r"]) == ("n/a", "n/a")
    # The mean of the model's training people is one map for everybody.
    assert float(rows["group average"]["index"]) == pytest.approx(0, abs=1e-6)
    page = (folder / "report.html").read_text()
    example = page[page.index("<h2>Example") : page.index("<h2>Scores")]
    for title in ("Measured", "Predicted", "Group average"):
        assert example.count(f'<p class="small">{title}</p>') == 2  # of each contrast
    assert "is the median" in example
    assert "the average of few people is noisy" in example
    reported = read_json(folder / "desc-models_scores.json")
    linear = [row["score"] for row in reported["comparisons"] if row["against"] == FITS]
    assert linear == ["r"]
    tests = read_table(folder / "desc-tests_scores.tsv")
    tested = {(row["against"], row["score"]) for row in tests if row["p"] != "n/a"}
    assert tested == {
        *((FITS, score) for score in ("r", "dice")),
        *(
            (name, score)
            for name in ("group average", "retest")
            for score in ("r", "dice", "product")
        ),
    }
    assert reported["fitted_on"] == 6
    by_contrast = read_table(folder / "desc-contrasts_scores.tsv")
    retest = [row for row in by_contrast if row["model"] == "retest"]
    # One participant lacks the second contrast, and does not count for it.
    assert [int(row["people"]) for row in retest] == [8, 7]
    matrices = ArrayStore(folder / "arrays")
    # Who lacks a contrast has no r of it.
    assert np.isnan(matrices.read("matrices/Retest")).sum(axis=(1, 2)).tolist() == [
        0,
        15,
    ]
    # What a prediction could reach, for each contrast, and who is predicted well.
    assert [row["retest_people"] for row in retest] == ["8", "7"]
    for row in retest:
        assert float(row["ceiling"]) == pytest.approx(
            float(row["reliability"]) ** 0.5, abs=1e-3
        )
        assert 0 < float(row["residual_ceiling"]) < 1
    people = {
        row["participant_id"]: row
        for row in read_table(folder / "desc-people_scores.tsv")
    }
    assert sorted(people) == [f"sub-{label}" for label in LABELS]
    for row in people.values():
        assert float(row["fd_mean"]) > 0
        assert float(row["minutes"]) > 0
        assert float(row["residual_dof"]) > 0
    parts = {row["part"]: row for row in read_table(folder / "desc-parts_scores.tsv")}
    assert "all" in parts
    assert float(parts["all"]["ceiling"]) > 0.5
    page = " ".join((folder / "report.html").read_text().split())
    assert "from 8 participants whose maps were measured twice" in page


class TestNetwork:
    @pytest.fixture(scope="class")
    def network(self, cohort, linear):
        pytest.importorskip("lightning", reason="the extra `train` is not installed")
        options = ("--architecture", "attention-unet", "--model-name", "net", *NETWORK)
        assert cohort.analyse("train", *options) == 0
        return load_bundle(cohort.out / "group/model-net/bundle")

    @pytest.mark.slow
    def test_the_published_recipe_has_its_loss_and_keeps_the_best_epoch(
        self, cohort, tmp_path
    ):
        split = tmp_path / "split.tsv"
        people = {
            "03": "training",
            "04": "training",
            "05": "validation",
            "06": "validation",
        }
        split.write_text(
            "participant_id\tset\n"
            + "".join(f"sub-{p}\t{s}\n" for p, s in people.items())
        )
        words = ("--recipe", "published", "--architecture", "attention-unet", *NETWORK)
        words += ("--split-file", split, "--model-name", "p")
        assert cohort.analyse("train", *words, "--contrast", CONTRASTS[0]) == 0
        bundle = load_bundle(cohort.out / "group/model-p/bundle")
        assert bundle.correction is None
        assert bundle.card.record["network"]["loss"] == "crr"
        record = bundle.card.record["network"]
        assert record["alpha"] == 0.25
        epochs = {epoch["epoch"]: epoch["validation_r"] for epoch in record["history"]}
        assert epochs[record["best_epoch"]] == max(epochs.values())

    @pytest.mark.slow
    def test_tuning_one_contrast_keeps_the_output_layer(self, cohort, network, capsys):
        words = ("--model", network.path, "--model-name", "two", *NETWORK)
        assert cohort.analyse("finetune", *words) == 2
        assert "--schedule known was given with 2 contrasts" in capsys.readouterr().err
        words = (
            "--model",
            network.path,
            "--contrast",
            CONTRASTS[1],
            "--model-name",
            "tuned",
        )
        assert cohort.analyse("finetune", *words, *NETWORK) == 0
        folder = cohort.out / "group/model-tuned"
        tuned = load_bundle(folder / "bundle")
        assert [contrast.label for contrast in tuned.contrasts] == list(CONTRASTS)
        before, after = network.network().state_dict(), tuned.network().state_dict()
        for name in ("out_block.1.weight", "out_block.1.bias"):
            np.testing.assert_array_equal(before[name], after[name])
        assert not np.array_equal(
            before["in_block.conv.0.weight"], after["in_block.conv.0.weight"]
        )
        assert tuned.card.part.gains[0] == network.card.part.gains[0]
        assert tuned.card.notice == network.card.notice

    @pytest.mark.slow
    def test_contrasts_that_were_not_tuned_keep_their_mean(self, tmp_path):
        """All layers have changed, and so would the mean of what the old row makes of them."""
        pytest.importorskip("lightning", reason="the extra `train` is not installed")
        contrasts = ("languageMath", "languageStory")
        cohort = TinyCohort(tmp_path, lacking=("03",), contrasts=contrasts)
        words = ("--contrast", contrasts[1], "--model-name", "kept", *NETWORK)
        assert cohort.analyse("finetune", *words) == 0
        folder = cohort.out / "group/model-kept"
        old, tuned = load_bundle(cohort.model), load_bundle(folder / "bundle")
        assert old.correction is None
        split = split_of(folder / "desc-split_participants.tsv")
        # Who trained or chose the epoch; 03 lacks the tuned contrast.
        people = [
            label
            for label, name in split.items()
            if name != "test" and label != "sub-03"
        ]
        row = [contrast.label for contrast in old.contrasts].index(contrasts[0])
        before, raw = (mean_of(cohort, people, bundle)[row] for bundle in (old, tuned))
        after = tuned.correction.gains[row] * raw + tuned.correction.offset[row]
        np.testing.assert_allclose(after, before, atol=1e-3 * np.abs(before).max())
        assert np.abs(raw - before).max() > 0.01 * np.abs(before).max()

    @pytest.mark.slow
    def test_every_contrast_is_scored_before_and_after(self, cohort, network):
        words = (
            "--model",
            network.path,
            "--contrast",
            CONTRASTS[1],
            "--model-name",
            "transfer",
        )
        assert cohort.analyse("finetune", *words, *NETWORK) == 0
        folder = cohort.out / "group/model-transfer"
        rows = {
            row["contrast"]: row
            for row in read_table(folder / "desc-transfer_scores.tsv")
        }
        tuned = {name: row["tuned"] for name, row in rows.items()}
        expected = {"mean of 1 not tuned": "false", "mean of 1 tuned": "true"}
        assert tuned == {**expected, CONTRASTS[0]: "false", CONTRASTS[1]: "true"}
        scores = {
            (row["model"], row["contrast"]): float(row["r"])
            for row in read_table(folder / "desc-contrasts_scores.tsv")
        }
        for contrast in CONTRASTS:
            row = {
                key: float(rows[contrast][key])
                for key in ("before", "after", "difference")
            }
            assert row["before"] == pytest.approx(
                scores["before tuning", contrast], abs=1e-4
            )
            assert row["after"] == pytest.approx(scores["tuned", contrast], abs=1e-4)
            assert row["difference"] == pytest.approx(
                row["after"] - row["before"], abs=2e-4
            )
            assert float(rows[contrast]["linear"]) == scores["linear (Tavor)", contrast]
        page = (folder / "report.html").read_text()
        assert "Before and after" in page
        assert "mean of 1 not tuned" in page

    @pytest.mark.slow
    def test_nothing_is_frozen_where_all_learn_and_the_rest_keep_their_rows(
        self, cohort, network
    ):
        words = ("--model", network.path, "--schedule", "all", "--model-name", "all")
        assert (
            cohort.analyse("finetune", *words, "--contrast", CONTRASTS[1], *NETWORK)
            == 0
        )
        tuned = load_bundle(cohort.out / "group/model-all/bundle")
        before, after = network.network().state_dict(), tuned.network().state_dict()
        weight = "out_block.1.weight"
        np.testing.assert_array_equal(before[weight][0], after[weight][0])
        assert not np.array_equal(before[weight][1], after[weight][1])
        options = ("--model", network.path, "--schedule", "all", "--model-name", "both")
        assert cohort.analyse("finetune", *options, *NETWORK) == 0

    @pytest.mark.slow
    def test_the_published_recipe_tunes_for_50_epochs_and_leaves_maps_as_they_are(
        self, cohort
    ):
        published = (
            "--recipe",
            "published",
            "--contrast",
            CONTRASTS[0],
            *SHARES,
            "--batch-size",
            3,
        )
        new = ("--architecture", "attention-unet", *NARROW, "--epochs", 1)
        assert cohort.analyse("train", *new, *published, "--model-name", "raw") == 0
        raw = cohort.out / "group/model-raw/bundle"
        words = ("--model", raw, "--model-name", "as-published", *published)
        assert cohort.analyse("finetune", *words) == 0
        tuned = load_bundle(cohort.out / "group/model-as-published/bundle")
        assert tuned.correction is None
        record = tuned.card.record["network"]
        assert (record["loss"], len(record["history"])) == ("crr", 50)

    @pytest.mark.slow
    def test_a_tuned_model_is_not_judged_on_its_earlier_training_set(
        self, cohort, network, tmp_path, capsys
    ):
        reported = split_of(cohort.out / "group/model-net/desc-split_participants.tsv")
        before = [label for label, name in reported.items() if name == "training"]
        new = [label for label, name in reported.items() if name != "training"]
        sets = dict.fromkeys(new[:2], "training") | dict.fromkeys(
            before[:2], "validation"
        )
        sets |= dict.fromkeys(before[2:], "test")
        split = tmp_path / "split.tsv"
        rows = "".join(f"{label}\t{name}\n" for label, name in sets.items())
        split.write_text("participant_id\tset\n" + rows)
        words = (
            "--model",
            network.path,
            "--contrast",
            CONTRASTS[0],
            "--model-name",
            "leak",
        )
        assert cohort.analyse("finetune", *words, *NETWORK, "--split-file", split) == 0
        reported = capsys.readouterr().err
        assert "left out: 2 participants: the model was trained on them" in reported
        assert "no test participants" in reported

    @pytest.mark.slow
    def test_too_little_memory_is_reported(self, cohort, linear, monkeypatch, capsys):
        def fit(*arguments, **options):
            raise RuntimeError("can't allocate memory: you")

        monkeypatch.setattr("lightning.Trainer.fit", fit)
        unet = ("--architecture", "attention-unet", *NETWORK, "--model-name", "large")
        assert cohort.analyse("train", *unet) == 1
        assert (
            "too little memory to train on 3 participants at once"
            in capsys.readouterr().err
        )

    @pytest.mark.slow
    def test_new_contrasts_get_an_output_layer(self, cohort, network):
        words = ("--model", network.path, "--schedule", "new", "--model-name", "fresh")
        assert (
            cohort.analyse("finetune", *words, "--contrast", CONTRASTS[0], *NETWORK)
            == 0
        )
        fresh = load_bundle(cohort.out / "group/model-fresh/bundle")
        assert [contrast.label for contrast in fresh.contrasts] == [CONTRASTS[0]]
        rows = read_table(cohort.out / "group/model-fresh/desc-transfer_scores.tsv")
        assert [row["contrast"] for row in rows] == ["mean of 1 tuned", CONTRASTS[0]]
        assert all(row["before"] != "n/a" for row in rows)

    @pytest.mark.slow
    def test_contrasts_that_the_model_lacked_have_no_r_before_tuning(
        self, cohort, network
    ):
        assert not {
            contrast.label for contrast in load_bundle(cohort.model).contrasts
        } & {*CONTRASTS}
        words = ("--schedule", "new", "--model-name", "lacked", *NETWORK)
        assert cohort.analyse("finetune", *words) == 0
        folder = cohort.out / "group/model-lacked"
        rows = read_table(folder / "desc-transfer_scores.tsv")
        assert [row["contrast"] for row in rows] == ["mean of 2 tuned", *CONTRASTS]
        scores = {
            row["contrast"]: row["r"]
            for row in read_table(folder / "desc-contrasts_scores.tsv")
            if row["model"] == "tuned"
        }
        for row in rows[1:]:
            assert float(row["after"]) == pytest.approx(
                float(scores[row["contrast"]]), abs=1e-4
            )
        unknown = {
            (row["before"], row["difference"], row["p"], row["verdict"]) for row in rows
        }
        assert unknown == {("n/a",) * 4}
        assert "Before and after" in (folder / "report.html").read_text()


@pytest.mark.slow
def test_a_training_goes_on_and_another_one_begins_anew(tmp_path, capsys):
    pytest.importorskip("lightning", reason="the extra `train` is not installed")
    cohort = TinyCohort(tmp_path)
    words = ("--architecture", "attention-unet", *SHARES, *NARROW, "--batch-size", 3)

    def epochs(name: str, number: int, *options: object) -> list[str]:
        capsys.readouterr()
        assert (
            cohort.analyse(
                "train", *words, "--model-name", name, "--epochs", number, *options
            )
            == 0
        )
        lines = capsys.readouterr().err.splitlines()
        return [line.split(":")[0] for line in lines if line.startswith("epoch")]

    first = epochs("net", 2)
    assert first == ["epoch 1/2", "epoch 2/2"]
    shutil.rmtree(cohort.out / "group/model-net/bundle")
    assert epochs("net", 3) == ["epoch 3/3"]
    shutil.rmtree(cohort.out / "group/model-net/bundle")
    assert len(epochs("net", 3, "--learning-rate", "0.01")) == 3


@pytest.mark.slow
def test_a_model_of_sessions_is_tuned_on_joined_runs(tmp_path):
    pytest.importorskip("lightning", reason="the extra `train` is not installed")
    labels, contrasts = (
        tuple(f"{n:02d}" for n in range(1, 15)),
        ("languageMath", "languageStory"),
    )
    cohort = TinyCohort(tmp_path, labels, contrasts=contrasts)
    for seed, label in enumerate(labels, 50):
        add_rest(cohort.bids, label, entities="run-2", seed=seed)
    shutil.rmtree(cohort.model)
    write_tiny_bundle(cohort.model, sample="session")
    words = (
        "--contrast",
        contrasts[1],
        *sets(labels, 0.72, 0),
        "--epochs",
        1,
        "--batch-size",
        2,
    )
    assert cohort.analyse("finetune", *words) == 0
    tuned = load_bundle(cohort.out / "group/model-own/bundle")
    assert (
        ArrayStore(cohort.out / "group/cache")
        .read("sub-01/connectomes_of_sessions")
        .shape[0]
        == 1
    )
    assert tuned.card.part.segment_seconds == 2 * 600
    assert tuned.half_widths.people == 10
    assert [bool(widths.any()) for widths in tuned.half_widths.values] == [
        False,
        True,
        False,
    ]
