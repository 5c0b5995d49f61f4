"""The calls of the workflows `dynamics` and `twin`: demos, whole chains, and people as arrays.

A chain goes from simulated images to people whom the model was not fitted to. People, epochs and
layers are as few as all of the code needs.
"""

from __future__ import annotations

from state_call import ONE_CORE, Call

RUNS = "--frames 130 --repetition-time 2"
ATLAS = "atlas/tpl-MNI152NLin6Asym/tpl-MNI152NLin6Asym_atlas-SimulatedRegions_res-4_dseg.nii.gz"
THREE_SIMULATIONS = "--simulations 3"
SMALL_NETWORK = "--architecture network --epochs 2 --states 2 --region-parameters 2"


def _dynamics(data: str, out: str, words: str) -> str:
    return f"bids_dtg {data} {out} {words} --workflow dynamics {ONE_CORE}"


def _runs(out: str, words: str, connectomes: str = "dynamics/data/connectomes") -> str:
    atlas = f"--atlases dynamics/data/{ATLAS} --structural-connectivity {connectomes}"
    return _dynamics("dynamics/data/fmriprep", out, f"participant {atlas} {words}")


def _study(analysis: str, words: str) -> str:
    words = f"group --analysis {analysis} {words}"
    return _dynamics("dynamics/data/fmriprep", "dynamics/study", words)


NETWORK = "dynamics/study/group/model-small/bundle"
STUDY_CORE = "dynamics/study/group/model-core/bundle"
COUNTS = "--array-key structural=sift_radius2_count"
DYNAMICS = (
    f"dtg-phantom dynamics/data --workflow dynamics --participants 5 {RUNS}",
    _runs("dynamics/study", "--dry-run"),
    _runs("dynamics/study", "--boilerplate-only"),
    _runs("dynamics/study", f"--no-reports {COUNTS}", "dynamics/data/qsirecon"),
    _study("train", f"--model-name small --participant-label sim01 sim02 sim03 {SMALL_NETWORK}"),
    f"untime {NETWORK}",
    _study("evaluate", f"--model {NETWORK} {THREE_SIMULATIONS}"),
    _study("simulate", f"--model {NETWORK} {THREE_SIMULATIONS}"),
    _study("fixed-points", f"--model {NETWORK} --participant-label sim01"),
    f"dtg-models info {NETWORK}",
    _study("train", "--model-name core"),
    f"untime {STUDY_CORE}",
    _runs("dynamics/core", f"--model {STUDY_CORE} --no-reports"),
    _runs("dynamics/core", "--reports-only"),
    _runs("dynamics/core", "--verify"),
    _dynamics(
        "dynamics/data/fmriprep",
        "dynamics/core",
        "group --analysis associate --phenotype fd_mean --permutations 20",
    ),
)

PUBLISHED = "dynamics_arrays/out/group/model-published/bundle"


def _dynamics_arrays(analysis: str, words: str) -> str:
    words = f"group --analysis {analysis} --input-arrays dynamics/data/truth/networks.npz {words}"
    return _dynamics("dynamics/data/fmriprep", "dynamics_arrays/out", words)


DYNAMICS_ARRAYS = (
    _dynamics_arrays("train", "--dry-run"),
    _dynamics_arrays(
        "train",
        "--model-name published --architecture network --recipe published --epochs 2 --restarts 2",
    ),
    f"untime {PUBLISHED}",
    _dynamics_arrays(
        "evaluate", f"--model {PUBLISHED} {THREE_SIMULATIONS} --region-maps inputs/regions.tsv"
    ),
    _dynamics_arrays("simulate", f"--model {PUBLISHED} {THREE_SIMULATIONS}"),
    _dynamics_arrays("train", "--model-name core"),
)


def _twin(out: str, words: str) -> str:
    return f"bids_dtg twin/data/bids {out} {words} --workflow twin {ONE_CORE}"


def _rest(out: str, words: str) -> str:
    derivatives = f"--derivatives twin/data/fmriprep --atlases twin/data/{ATLAS}"
    return _twin(out, f"participant {derivatives} {words}")


FITTED = "--participant-label " + " ".join(f"c3p{number:04d}" for number in range(6))
OWN_TWIN = "twin/study/group/model-small/bundle"
TWIN = (
    f"dtg-phantom twin/data --workflow twin --participants 9 {RUNS}",
    _rest("twin/study", "--dry-run"),
    _rest("twin/study", "--boilerplate-only"),
    _rest("twin/study", "--no-reports"),
    _twin(
        "twin/study",
        f"group --analysis train --model-name small --epochs 2 --task-file stroop {FITTED}",
    ),
    f"untime {OWN_TWIN}",
    _twin("twin/study", f"group --analysis evaluate --model {OWN_TWIN}"),
    _twin(
        "twin/study",
        f"group --analysis evaluate --model {OWN_TWIN} --own-trials 5 --model-name first",
    ),
    _twin("twin/study", f"group --analysis intervene --model {OWN_TWIN} --permutations 2"),
    _rest("twin/new", f"--model {OWN_TWIN} --participant-label c3p0007"),
    _rest("twin/new", "--reports-only"),
    _rest("twin/new", "--verify"),
    f"dtg-models info {OWN_TWIN}",
)


def _twin_arrays(analysis: str, words: str) -> str:
    arrays = "--input-arrays twin/data/truth/connectomes.npz"
    return _twin("twin_arrays/out", f"group --analysis {analysis} {arrays} {words}")


HYPERNETWORK = "twin_arrays/out/group/model-published/bundle"
TWIN_ARRAYS = (
    _twin_arrays("train", "--dry-run"),
    _twin_arrays(
        "train",
        "--architecture published --task-file faces --model-name published "
        f"--epochs 2 --batch-size 3 {FITTED}",
    ),
    f"untime {HYPERNETWORK}",
    _twin_arrays("evaluate", f"--model {HYPERNETWORK}"),
    _twin_arrays("evaluate", "--folds 2 --epochs 2 --model-name small"),
)

NETWORK_CALLS = (
    Call(
        "demo_dynamics",
        (
            "dtg-demo demo_dynamics/out --workflow dynamics --participants 6",
            "dtg-demo demo_dynamics/published --workflow dynamics --published --participants 2",
        ),
    ),
    Call("demo_twin", ("dtg-demo demo_twin/out --workflow twin --participants 12",)),
    Call("dynamics", DYNAMICS),
    Call("dynamics_arrays", DYNAMICS_ARRAYS, ("dynamics",)),
    Call("twin", TWIN),
    Call("twin_arrays", TWIN_ARRAYS, ("twin",)),
)


def region_table() -> str:
    """Make a table of maps by the names of the simulated regions."""
    names = [f"{side}-r{number:02d}" for side in ("lh", "rh") for number in range(1, 11)]
    rows = [f"{name}\t{number % 7}\t{number * number % 11}" for number, name in enumerate(names)]
    return "\n".join(["region\tthickness\tmyelin", *rows]) + "\n"
