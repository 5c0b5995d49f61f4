"""Digital twins from simulated images to new people, as a user types it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bids_check import require_every_file_seen, require_listed_names, validate

from bids_dtg.cli.phantom import main as write_phantom
from bids_dtg.cli.run import main
from bids_dtg.phantom.regions import RegionPlan
from bids_dtg.twin.phantom.dataset import TwinPhantom

pytestmark = pytest.mark.slow

PEOPLE = 24
NEW = 10
FRAMES = 200
LABELS = [f"c3p{number:04d}" for number in range(PEOPLE + NEW)]
# Of 10 people, r is above 0.76 by chance in 5 of 1,000. Measured: 0.95.
FLOOR = 0.76


@pytest.fixture(scope="module")
def chain(tmp_path_factory) -> Path:
    """Outputs of twins that were fitted to some simulated people, and met others."""
    folder = tmp_path_factory.mktemp("chain")
    data, study = folder / "data", folder / "study"
    simulated = ["--workflow", "twin", "--participants", str(len(LABELS))]
    simulated += ["--frames", str(FRAMES)]
    assert write_phantom([str(data), *simulated]) == 0
    (atlas,) = (data / "atlas").rglob("*_dseg.nii.gz")
    common = ["--workflow", "twin", "--omp-nthreads", "1"]
    of_runs = [
        *common,
        "--derivatives",
        str(data / "fmriprep"),
        "--atlases",
        str(atlas),
    ]
    call = [str(data / "bids"), str(study)]
    first = ["--no-reports", "--participant-label", *LABELS[:PEOPLE]]
    assert main([*call, "participant", *of_runs, *first]) == 0
    few = ["--epochs", "20", "--task-file", "stroop"]
    training = ["--analysis", "train", "--model-name", "chain", *few]
    assert main([*call, "group", *common, *training]) == 0
    model = ["--model", str(study / "group/model-chain/bundle")]
    new = ["--participant-label", *LABELS[PEOPLE:]]
    assert main([*call, "participant", *of_runs, *model, *new]) == 0
    assert main([*call, "group", *common, "--analysis", "evaluate", *model]) == 0
    moving = ["--analysis", "intervene", *model, "--permutations", "2"]
    assert main([*call, "group", *common, *moving]) == 0
    for folds in ("3", "halves"):
        judging = [
            "--analysis",
            "evaluate",
            "--folds",
            folds,
            "--model-name",
            folds,
            *few,
        ]
        assert main([*call, "group", *common, *judging]) == 0
    return folder


def _truth(chain: Path) -> pd.DataFrame:
    table = pd.read_csv(
        chain / "data/truth/truth.tsv", sep="\t", index_col="participant_id"
    )
    times = table[
        ["mean_rt_seconds_congruent", "mean_rt_seconds_incongruent"]
    ].to_numpy()
    return pd.DataFrame(
        {"rt": times.mean(axis=1), "effect": times[:, 1] - times[:, 0]}, table.index
    )


def _behaviour(chain: Path) -> pd.DataFrame:
    """Return what participants' own tables say of the Stroop task, a row a person."""
    rows = []
    for path in sorted((chain / "study").rglob("*_desc-twin_behaviour.tsv")):
        table = pd.read_csv(path, sep="\t", index_col="condition")
        conditions = table.loc[["congruent", "incongruent"]].mean(numeric_only=True)
        rows.append(conditions.rename(path.name.split("_")[0]))
    return pd.DataFrame(rows)


def _r(first: pd.Series, second: pd.Series) -> float:
    return float(np.corrcoef(first, second.loc[first.index])[0, 1])


def test_connectomes_are_those_that_were_simulated(chain):
    with np.load(chain / "data/truth/connectomes.npz") as file:
        people, regions, edges = (file[name] for name in ("people", "places", "edges"))
    assert list(people) == LABELS
    above = np.triu_indices(len(regions), 1)
    for label, true in zip(people, edges, strict=True):
        (path,) = (chain / f"study/sub-{label}").rglob("*_stat-fisherz_relmat.tsv")
        connectome = pd.read_csv(path, sep="\t", index_col=0)
        assert tuple(connectome.columns) == tuple(connectome.index) == tuple(regions)
        assert np.corrcoef(connectome.to_numpy()[above], true)[0, 1] > 0.85


def test_twins_of_people_never_met_tell_who_is_fast(chain):
    behaviour, truth = _behaviour(chain), _truth(chain)
    assert list(behaviour.index) == [f"sub-{label}" for label in LABELS[PEOPLE:]]
    assert _r(behaviour["predicted_rt_seconds"], truth["rt"]) > FLOOR
    assert _r(behaviour["observed_rt_seconds"], truth["rt"]) > FLOOR
    assert behaviour["group_rt_seconds"].nunique() == 1  # it knows no connectome


def test_the_evaluation_uses_people_outside_the_training_set(chain):
    folder = chain / "study/group/evaluation-chain"
    people = pd.read_csv(folder / "desc-people_predicted.tsv", sep="\t", index_col=0)
    assert list(people.index) == [f"sub-{label}" for label in LABELS[PEOPLE:]]
    assert _r(people["twin_stroop_rt"], _truth(chain)["rt"]) > FLOOR
    scores = pd.read_csv(folder / "desc-scores_models.tsv", sep="\t")
    assert {"twin", "group_network", "connectome_ridge"} <= set(scores["model"])


def test_folds_judge_everybody_and_halves_the_same_people_later(chain):
    truth = _truth(chain)["rt"]
    for name, reference in (("3", "connectome_ridge"), ("halves", "own_first_half")):
        (folder,) = (chain / "study/group").glob(f"*-{name}")
        people = pd.read_csv(
            folder / "desc-people_predicted.tsv", sep="\t", index_col=0
        )
        assert sorted(people.index) == [f"sub-{label}" for label in LABELS]
        scores = pd.read_csv(folder / "desc-scores_models.tsv", sep="\t")
        assert {"twin", reference} <= set(scores["model"])
        for model in ("twin", reference):
            assert _r(people[f"{model}_stroop_rt"], truth) > 0.5


def test_a_move_has_about_its_true_effect(chain):
    folder = chain / "study/group/intervention-chain"
    table = pd.read_csv(folder / "desc-moves_judged.tsv", sep="\t")
    (move,) = table[
        (table["function"] == "stroop_rt") & (table["way"] == "all")
    ].itertuples()
    with np.load(folder / "desc-directions_edges.npz") as file:
        step = file["steps"][list(file["moves"]).index("stroop_rt all")]
    phantom = TwinPhantom.of(RegionPlan(people=len(LABELS), frames=FRAMES))
    people = phantom.people.select(range(PEOPLE, PEOPLE + NEW))
    before = people.mean_rt_seconds("stroop").mean()
    true = people.after(2 * step).mean_rt_seconds("stroop").mean() - before
    assert move.change < 0
    assert true < -0.02
    assert 1 / 1.5 < move.calibrated / true < 1.5


def test_what_is_written_is_bids(chain, tmp_path):
    validation = validate(chain / "study")
    assert (validation.errors, validation.warnings) == ([], [])
    require_listed_names(chain / "study", "twin", tmp_path)
    assert require_every_file_seen(chain / "study", tmp_path) > 400
