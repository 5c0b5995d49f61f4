"""The linear kind by the command line: few people, a split."""

from __future__ import annotations

import shutil

import pytest
from maps_cohort import CONTRASTS, LABELS, TinyCohort
from maps_job import add_rest, read_table
from split_options import NARROW, sets

from bids_dtg.bundles.overview import bundle_lines
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.files.array_store import ArrayStore
from bids_dtg.files.sidecars import read_inherited

LINEAR = ("--architecture", "linear")
FEW = ("--participant-label", *LABELS[:6])

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return TinyCohort(tmp_path_factory.mktemp("cohort"), lacking=("03",))


@pytest.fixture(scope="module")
def six(cohort):
    """Train on six people; the folder of the model."""
    assert cohort.analyse("train", *LINEAR, *FEW, "--model-name", "six") == 0
    return cohort.out / "group/model-six"


def sets_of(folder):
    rows = read_table(folder / "desc-split_participants.tsv")
    return [row["set"] for row in rows]


@pytest.mark.slow
def test_six_people_all_train_and_nothing_is_promised(six):
    assert sets_of(six) == ["training"] * 6
    bundle = load_bundle(six / "bundle")
    card = bundle.card
    assert (card.kind, card.part.connectome.name) == ("linear", "partial")
    assert card.training.participants == 6
    assert card.part.segment_seconds == 86_400
    assert "none, runs are read whole" in "\n".join(bundle_lines(bundle))
    assert card.part.recentring.left_out_in_turn
    assert card.part.recentring.participants == 6
    assert card.record["linear"]["participants"] == 6
    assert set(card.evaluation) == {"ceilings"}  # of the measured maps alone
    assert (bundle.half_widths.people, bundle.half_widths.left_out_in_turn) == (6, True)
    assert (bundle.half_widths.values > 0).any()
    assert bundle.mean.shape == (len(CONTRASTS), bundle.places.number)
    assert not (six / "report.html").exists()


@pytest.mark.slow
def test_a_participant_s_maps_are_corrected(cohort, six, tmp_path):
    words = ("--participant-label", "07", "--model", six / "bundle")
    assert cohort.run(*words, out=tmp_path) == 0
    (sidecar,) = tmp_path.rglob(f"*contrast-{CONTRASTS[0]}*synthetic_statmap.nii.gz")
    facts = read_inherited(sidecar)
    assert facts["ModelKind"] == "linear"
    assert facts["Recentred"]
    assert facts["RecentringParticipants"] == 6
    assert facts["RecentringLeftOutInTurn"]
    text = " ".join((tmp_path / "logs/CITATION.md").read_text().split())
    assert "leaving each of these people out of the fit in turn" in text
    assert "This was done for each run as a whole; the model turned each run's" in text
    assert "Tavor, I., et al. (2016)" in text


@pytest.mark.slow
def test_runs_are_read_whole_beside_those_that_are_cut(tmp_path, capsys):
    """A quarter of an hour of rest is one connectome for linear models, and two for networks."""
    cohort = TinyCohort(tmp_path, LABELS[:6])
    for label in LABELS[:6]:
        add_rest(cohort.bids, label, frames=90, seed=int(label))
    network = ("--architecture", "attention-unet", *sets(LABELS[:6], 0.34, 0))
    network += (*NARROW, "--epochs", 1, "--batch-size", 2, "--model-name", "net")
    pytest.importorskip("lightning", reason="the extra `train` is not installed")
    assert cohort.analyse("train", *network) == 0
    assert cohort.analyse("train", *LINEAR) == 0
    store = ArrayStore(cohort.out / "group/cache")
    assert len(store.read("sub-01/connectomes")) == 2
    assert len(store.read("sub-01/partial_connectomes_of_whole_runs")) == 1
    linear = cohort.out / "group/model-own/bundle"
    # A kind that cuts runs does so with the grid of a model that does not.
    shutil.rmtree(cohort.out / "group/model-net")
    assert cohort.analyse("train", *network, "--model", linear) == 0
    assert (
        load_bundle(cohort.out / "group/model-net/bundle").card.part.segment_seconds
        == 432
    )
    assert cohort.run("--participant-label", "01", "--model", linear) == 0
    (sidecar,) = cohort.out.rglob(
        f"sub-01/**/*contrast-{CONTRASTS[0]}*synthetic_statmap.nii.gz"
    )
    assert read_inherited(sidecar)["NSegments"] == 1
