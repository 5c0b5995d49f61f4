"""Sums of a weighted linear model go from site to site in two rounds, and make one model."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from weighted_people import MINUTES, PLACES, SETS, lacking, simulated

from bids_dtg.connectome.form import Form
from bids_dtg.contrasts.kind import LINEAR_MEANS, LINEAR_SUMS, FitPlan, FitTask, ModelSpace
from bids_dtg.contrasts.linear_kind import WHOLE_BRAIN
from bids_dtg.errors import BundleError, DatasetError
from bids_dtg.files.tensors import read_arrays, write_arrays
from bids_dtg.imaging.places import ListedPlaces
from bids_dtg.settings import ModellingOptions

CONTRASTS = ("a", "b", "c", "d")
ROI_MAPS = np.ones((sum(SETS), PLACES), np.float16)
SPACE = ModelSpace(
    ListedPlaces(tuple(f"V{n}" for n in range(PLACES))),
    *(ROI_MAPS, "m", "a", "b"),
    form=Form("partial", fixed=0.06, sets=SETS),
)


class Site:
    """People of a place, and what their training leaves for others."""

    def __init__(self, folder, people):
        self.folder, self.people = folder, people
        folder.mkdir()

    def task(self, *files):
        return FitTask(
            options=ModellingOptions(add_sums=tuple(map(str, files))),
            space=SPACE,
            contrasts=CONTRASTS,
            training=self.people,
            validation=(),
            device="cpu",
            folder=self.folder,
            report=lambda line: None,
        )

    def train(self, *sites, rounds=2):
        names = (LINEAR_MEANS, LINEAR_SUMS)[:rounds]
        return WHOLE_BRAIN.fit(self.task(*(site.folder / n for site in sites for n in names)))

    def exchange(self, *sites):
        """Make the second round of sums by everybody's means."""
        with pytest.raises(BundleError, match="is of the first round, and gives means alone"):
            self.train(*sites, rounds=1)


def sites_of(tmp_path, people, *sizes):
    """Return sites that have all exchanged both rounds."""
    ends = np.cumsum(sizes)
    made = [
        Site(tmp_path / f"site{n}", people[end - size : end])
        for n, (size, end) in enumerate(zip(sizes, ends, strict=True))
    ]
    for site in made:
        site.train()
    for site in made:
        site.exchange(*(other for other in made if other is not site))
    return made


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("sizes", [(6, 7), (5, 5, 6)])
def test_sums_of_sites_are_one_fit(tmp_path, sizes, complete):
    people = simulated(sum(sizes))
    if not complete:
        people = lacking(lacking(people, 1, 1), 8, 3)
        people[3].maps[2, :9] = np.nan
    sites = sites_of(tmp_path, people, *sizes)
    pooled = Site(tmp_path / "pooled", people).train()
    for site in sites:
        found = site.train(*(other for other in sites if other is not site))
        for name in ("means", "weights", "coefficients", "squares"):
            one, other = (getattr(fitted.model, name) for fitted in (found, pooled))
            np.testing.assert_allclose(one, other, atol=1e-6)
        for name in ("minutes", "factors"):
            one, other = (getattr(fitted.model.short, name) for fitted in (found, pooled))
            np.testing.assert_allclose(one, other, atol=1e-6)
            assert (other != 1).all()
        np.testing.assert_allclose(found.correction.offset, pooled.correction.offset, atol=1e-6)
        record = found.record.to_json()["linear"]
        assert record["participants"] == len(site.people)
        assert record["participants"] + record["participants_of_other_sites"] == len(people)
        assert record["minutes"] == pytest.approx(MINUTES * len(people))
        # The last gains are those of one's own people: alike, not the same.
        np.testing.assert_allclose(found.correction.gains, pooled.correction.gains, atol=0.5)
    alone = Site(tmp_path / "alone", people[: sizes[0]]).train()
    assert np.abs(alone.model.coefficients - pooled.model.coefficients).max() > 1e-3


def test_two_people_can_join_five(tmp_path):
    people = simulated(7)
    five, two = (Site(tmp_path / n, own) for n, own in (("5", people[:5]), ("2", people[5:])))
    five.train()
    with pytest.raises(DatasetError, match="2 training participants: too few"):
        two.train()
    two.exchange(five)
    five.exchange(two)
    assert two.train(five).of_other_sites == 5


def test_the_first_round_alone_is_refused_by_name(tmp_path):
    people = simulated(12)
    ours, theirs = (Site(tmp_path / n, own) for n, own in (("o", people[:6]), ("t", people[6:])))
    theirs.train()
    name = theirs.folder / LINEAR_MEANS
    line = f"{name} is of the first round, and gives means alone. *Expected: {LINEAR_SUMS} of its"
    with pytest.raises(BundleError, match=line) as found:
        ours.train(theirs, rounds=1)
    assert str(ours.folder / LINEAR_SUMS) in str(found.value)
    assert (ours.folder / LINEAR_SUMS).is_file()


def test_sums_by_other_means_are_refused(tmp_path):
    """A third site changes everybody's means."""
    sites = sites_of(tmp_path, simulated(15), 5, 5)
    third = Site(tmp_path / "third", simulated(5, seed=3))
    third.train()
    third.exchange(*sites)
    with pytest.raises(BundleError, match="has sums by the means of others than one's own people"):
        sites[0].train(sites[1], third)


def test_sums_of_something_else_are_refused(tmp_path):
    ours, theirs = sites_of(tmp_path, simulated(12), 6, 6)

    def check(*files, **change):
        options = ModellingOptions(add_sums=tuple(map(str, files)))
        space = dataclasses.replace(SPACE, **change)
        WHOLE_BRAIN.check_plan(FitPlan(options, space, CONTRASTS, training=6, incomplete=()))

    first, second = theirs.folder / LINEAR_MEANS, theirs.folder / LINEAR_SUMS
    check(first, second)
    for change, word in (
        ({"mask_sha256": "c"}, "mask"),
        ({"roi_maps_sha256": "c"}, "roi_maps"),
        ({"form": Form("partial", fixed=0.1, sets=SETS)}, "form"),
        ({"form": Form("partial", fixed=0.06, sets=(4, 4))}, "sets"),
    ):
        for file in (first, second):
            with pytest.raises(BundleError, match=f"has sums of another {word}"):
                check(file, **change)
    with pytest.raises(BundleError, match=f"{second} has sums of people whose means are in no"):
        check(second)
    for files in ((first, first), (first, second, second)):
        with pytest.raises(BundleError, match="6 participants whose data were added already"):
            check(*files)
    with pytest.raises(BundleError, match="whose data were added already"):
        ours.train(ours)


@pytest.mark.parametrize(
    ("file", "name", "change", "fault"),
    [
        (LINEAR_MEANS, "feature_sum", lambda a: a[1:], r"feature_sum is float64 \(7, 60\)"),
        (LINEAR_MEANS, "spread", lambda a: -a, "spread has values below 0"),
        (LINEAR_MEANS, "measured", lambda a: a + 9, "measured has numbers beyond 0 to 6"),
        (LINEAR_MEANS, "connectomes", lambda a: 0 * a, "connectomes are fewer than people"),
        (LINEAR_SUMS, "0.shorter", lambda a: a * np.nan, "0.shorter has values that are not"),
        (LINEAR_SUMS, "0.shorter", lambda a: a[1:], "0.shorter is"),
        (LINEAR_SUMS, "0.cross", lambda a: a[1:], "0.cross is"),
        (LINEAR_SUMS, "1.gram", lambda a: -a, "1.gram has sums of squares below 0"),
        (LINEAR_SUMS, "3.fitted", lambda a: a + 9, "3.fitted has numbers beyond 0 to 6"),
        (LINEAR_SUMS, "2.gram", lambda a: a[0], "2.gram is"),
    ],
)
def test_sums_that_cannot_be_are_refused(tmp_path, file, name, change, fault):
    ours, theirs = sites_of(tmp_path, simulated(12), 6, 6)
    path = theirs.folder / file
    arrays, notes = read_arrays(path)
    write_arrays(path, arrays | {name: change(arrays[name])}, notes)
    with pytest.raises(BundleError, match=f"{file} holds no sums of .*: {fault}"):
        ours.train(theirs)


def test_files_have_hashes_of_people_and_no_labels(tmp_path):
    (site, _) = sites_of(tmp_path, simulated(10), 5, 5)
    for name in (LINEAR_MEANS, LINEAR_SUMS):
        _, notes = read_arrays(site.folder / name)
        assert [len(text) for text in json.loads(notes["people"])] == [16] * 5
