"""Models scored on the same people, the page's first sentences, and each voxel's tissue."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from bids_dtg.contrasts.analyses import judge
from bids_dtg.contrasts.analyses.evaluation_page import flags
from bids_dtg.contrasts.analyses.judge import TISSUES, score_models, tissues_of
from bids_dtg.contrasts.analyses.simple_models import SimpleModels
from bids_dtg.contrasts.judging.scores import (
    ANOTHER,
    GROUP_AVERAGE,
    LINEAR,
    OWN_MEAN,
    RETEST,
)
from bids_dtg.contrasts.judging.tables import comparison_rows, part_rows, summary_row
from bids_dtg.contrasts.people import Person
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.imaging.grid import Grid
from bids_dtg.imaging.places import ListedPlaces, VoxelPlaces

PEOPLE = 12
CONTRASTS = 2
VOXELS = 400
RNG = np.random.default_rng(3)
MEAN = RNG.normal(2, 1, (CONTRASTS, VOXELS)).astype(np.float32)
MAPS = MEAN + RNG.normal(size=(PEOPLE, CONTRASTS, VOXELS)).astype(np.float32)
AGAIN = MAPS + 0.3 * RNG.normal(size=MAPS.shape).astype(np.float32)
AGAIN[4, :, :100] = np.nan  # outside the field of view
HERE = {"cortex": np.arange(VOXELS) < 250, "cerebellum": np.arange(VOXELS) >= 300}


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    nothing = np.zeros((1, 1, VOXELS), np.float16)
    people = [
        Person(str(n), nothing, (1.0,), maps)
        for n, maps in enumerate(zip(MAPS, AGAIN, strict=True))
    ]
    noise = RNG.normal(size=MAPS.shape).astype(np.float32)

    def half(person: Person) -> np.ndarray:
        """Know people in the first contrast only."""
        maps = person.maps + 0.5 * noise[int(person.label)]
        maps[1] = 7.0
        return maps

    averages = {GROUP_AVERAGE: lambda person: MEAN, LINEAR: lambda person: MEAN}
    simple = SimpleModels(averages, {}, PEOPLE, MEAN, leave_one_out=(LINEAR,))
    models = {"half": half, "model": lambda person: person.maps}
    plan = SimpleNamespace(
        store=ArrayStore(tmp_path_factory.mktemp("store")),
        bundle=SimpleNamespace(places=None),
    )
    files = SimpleNamespace(
        families=SimpleNamespace(by_label={}),
        contrast_labels=[str(q) for q in range(CONTRASTS)],
    )
    cohort = SimpleNamespace(plan=plan, files=files)
    with pytest.MonkeyPatch.context() as patch:
        nowhere = {"subcortex": np.zeros(VOXELS, bool)}
        patch.setattr(judge, "tissues_of", lambda places: HERE | nowhere)
        return score_models(cohort, simple, models, people, "model", lambda line: None)


def test_models_stand_in_their_order_and_the_judged_one_is_followed_by_its_mean(scores):
    assert scores.models == [
        GROUP_AVERAGE,
        LINEAR,
        "half",
        "model",
        OWN_MEAN,
        ANOTHER,
        RETEST,
    ]


def test_what_knows_everybody_else_has_r_and_no_score_of_individuality(scores):
    row = summary_row(scores, LINEAR)
    assert "r_minus_group_average" in row
    assert not {"residual_r", "index", "ratio", "identification", "fingerprint"} & set(
        row
    )
    assert LINEAR not in scores.matrices
    rows = comparison_rows(scores, "model")
    assert {row["score"] for row in rows if row["against"] == LINEAR} == {"r"}


def test_tissues_have_scores_of_their_own_places(scores):
    group = scores.of(GROUP_AVERAGE, "cerebellum").loc["0", "r"]
    expected = [np.corrcoef(MEAN[0, 300:], maps[0, 300:])[0, 1] for maps in MAPS]
    np.testing.assert_allclose(group, expected, atol=1e-5)
    assert scores.of("half", "cerebellum").empty
    assert scores.of("model", "subcortex").empty
    places = {"cortex": 250, "cerebellum": 100}
    rows = {row["part"]: row for row in part_rows(scores, "model", places, {})}
    assert {name: row["places"] for name, row in rows.items()} == {
        "all": None,
        **places,
    }
    above = 1 - scores.of(GROUP_AVERAGE, "cerebellum")["r"].mean()
    assert rows["cerebellum"]["r_minus_group_average"][0] == pytest.approx(
        above, abs=1e-4
    )


def compared(against, verdict, score="r", question=None):
    difference = {"worse": [-0.2, -0.3, -0.1], "better": [0.002, 0.001, 0.003]}
    return {
        "question": question,
        "score": score,
        "against": against,
        "people": 40,
        "difference": difference.get(verdict, [0.0, -0.1, 0.1]),
        "p": 0.00012,
        "verdict": verdict,
    }


@pytest.mark.parametrize(
    ("verdict", "level"),
    [("better", "good"), ("interval holds 0", "warning"), ("worse", "warning")],
)
def test_the_two_questions_come_first_and_alone_are_good(verdict, level):
    rows = [
        compared("another person's prediction", verdict, question="individual"),
        compared("own mean prediction", verdict, question="worth using"),
        compared("group average", "better"),
    ]
    first, second, *rest = flags(rows, 40, "0 of 2 contrasts", [])
    assert [first.level, second.level] == [level, level]
    assert first.text.startswith("Individual?")
    assert second.text.startswith("Worth using?")
    if verdict == "better":  # a difference that is small and sure shows its sign
        assert "better (0.0020, 95 % from 0.0010 to 0.0030, p < 0.001)" in first.text
    # Its mean map alone is above simple models.
    assert any("to predict individuals" in flag.text for flag in rest) == (
        verdict != "better"
    )


def test_a_simple_model_that_wins_is_a_warning():
    (flag,) = flags([compared("group average", "worse")], 40, "", [])
    assert flag.level == "warning"
    assert "r against group average: worse (\u22120.200" in flag.text


@pytest.mark.parametrize(
    ("verdict", "people"), [("above, no verdict", 300), ("better", 9)]
)
def test_to_be_above_the_average_of_few_others_is_not_praised(verdict, people):
    last = flags([compared("group average", verdict)], people, "", [])[-1]
    assert f"fitted on {people} people: the fewer, the noisier" in last.text


def test_few_people_give_no_verdict_and_one_map_for_everybody_is_named():
    row = {**compared("group average", "too few people"), "people": 4}
    first, second = flags([row], 5, "1 of 2 contrasts", ["faces"])
    assert first.text.startswith("No verdict with 4 participants (8 are needed)")
    assert (
        second.text
        == "The predicted map is the same for everybody in 1 of 2 contrasts: faces"
    )


AFFINE = np.array([[-8.0, 0, 0, 90], [0, 8, 0, -126], [0, 0, 8, -72], [0, 0, 0, 1]])
SHAPE = (23, 28, 23)


@pytest.fixture(scope="module")
def places():
    return VoxelPlaces.within(Grid(SHAPE, AFFINE), np.ones(SHAPE, bool))


def test_voxels_lie_where_their_tissue_does(places):
    tissues = tissues_of(places)
    assert set(tissues) == set(TISSUES)
    assert sum(here.astype(int) for here in tissues.values()).max() == 1
    _, y, z = places.points[tissues["cerebellum"]].T
    assert z.max() < 10
    assert y.max() < -25
    inner = places.points[tissues["subcortex"]]
    assert np.abs(inner[:, 0]).max() < 45
    assert tissues["cortex"].sum() > 5 * tissues["subcortex"].sum()


@pytest.mark.slow
def test_a_tissue_with_few_places_is_left_out(places):
    here = tissues_of(places)
    mask = np.zeros(SHAPE, bool)
    index = places.index if places.index.shape[0] == 3 else places.index.T
    for tissue, number in (("cortex", 100), ("cerebellum", 5)):
        mask[tuple(index[:, np.flatnonzero(here[tissue])[:number]])] = True
    assert list(tissues_of(VoxelPlaces.within(Grid(SHAPE, AFFINE), mask))) == ["cortex"]
    # Nor does one atlas without a place here hide the other.
    inner = np.zeros(SHAPE, bool)
    inner[tuple(index[:, np.flatnonzero(here["cerebellum"])])] = True
    assert list(tissues_of(VoxelPlaces.within(Grid(SHAPE, AFFINE), inner))) == [
        "cerebellum"
    ]


def test_places_with_names_alone_and_those_of_another_template_have_none():
    assert tissues_of(ListedPlaces(("a", "b"))) == {}
    other_grid = Grid(SHAPE, AFFINE, space="MNI152NLin2009cAsym")
    assert tissues_of(VoxelPlaces.within(other_grid, np.ones(SHAPE, bool))) == {}
