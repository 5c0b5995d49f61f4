"""The calls whose values `compare_states.py` compares: every workflow and analysis that stays.

All paths are relative to the folder of the state, in which the calls run one after another. What
is called `inputs` is made first, without the program; `shared` leads to the shared test data.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

Step = str | tuple[str, str]  # a command line, or how it was written before, and is now

ONE_CORE = "--device cpu --nprocs 1 --omp-nthreads 1"


@dataclass(frozen=True)
class Call:
    """What makes one folder of a state, and one row of the table of differences."""

    name: str  # of its folder
    steps: tuple[Step, ...]  # each a program of the project, the script `api`, or `copy`
    needs: tuple[str, ...] = ()  # calls that must have been made before
    exit_code: int = 0  # of each step


PARTICIPANTS, FRAMES, SECONDS = 11, 102, 2.5
PEOPLE = "phantom/out/fmriprep"
STEM = "sub-sim001_task-rest"
FUNC = f"{PEOPLE}/sub-sim001/func/{STEM}"
BOLD = f"{FUNC}_space-MNI152NLin6Asym_res-2_desc-preproc_bold"
MASK = f"{FUNC}_space-MNI152NLin6Asym_res-2_desc-brain_mask.nii.gz"
REAL = "shared/data/real/fmriprep_like"
CHECKPOINT = "shared/reference/deeptaskgen/random_fdim64.ckpt"
SMALL_MODEL = "cohort/out/group/model-net/bundle"  # three contrasts: maps in a moment
ATLASES = "--atlases Schaefer400 HCP"


def _maps(name: str, words: str, *, data: str = PEOPLE, model: str = SMALL_MODEL) -> str:
    return f"bids_dtg {data} {name}/out participant --model {model} --no-reports {ONE_CORE} {words}"


def _person(name: str, words: str, model: str = SMALL_MODEL) -> str:
    return _maps(name, f"--participant-label sim001 {words}", model=model)


def _real(name: str, words: str, model: str = SMALL_MODEL) -> str:
    return _maps(name, f"--min-minutes 2 {words}", data=REAL, model=model)


def _group(analysis: str, words: str, out: str = "cohort/out") -> str:
    data = f"-d fmriprep={PEOPLE} -d statmaps=phantom/out/statmaps"
    return f"bids_dtg {PEOPLE} {out} group --analysis {analysis} {data} {ONE_CORE} {words}"


CLEANING = {
    "none": "--denoise-strategy none",
    "simple": "--denoise-strategy simple --dummy-scans 4",
    "scrubbing": "--denoise-strategy scrubbing --fd-threshold 0.4 --min-minutes 1",
    "compcor": "--denoise-strategy compcor",
    "aroma": "--denoise-strategy ica_aroma",
    "36p": "--denoise-strategy 36p",
    "gsr": "--denoise-strategy scrubbing --gsr --min-minutes 1",
    "band": "--high-pass 0.01 --low-pass 0.15",
    "smoothing": f"--smoothing-fwhm 6 {ATLASES}",
    "custom": "--custom-confounds inputs/custom.tsv",
}

XCPD = "layouts/xcpd/sub-01/func/sub-01_task-rest_space-MNI152NLin6Asym_res-2_desc-denoised_bold"
HCP = "layouts/hcp/100307/MNINonLinear/Results/rfMRI_REST1_LR"
UKB = "layouts/ukb/1234567_20227_2_0/fMRI"
LAYOUTS = (
    f"copy {BOLD}.nii.gz {HCP}/rfMRI_REST1_LR_hp2000_clean.nii.gz",
    f"copy {MASK} {HCP}/brainmask_fs.2.nii.gz",
    f"copy {BOLD}.nii.gz {UKB}/rfMRI.ica/filtered_func_data_clean_standard.nii.gz",
    f"copy {BOLD}.json {UKB}/rfMRI.json",
    f"copy {BOLD}.nii.gz {XCPD}.nii.gz",
    f"copy {BOLD}.json {XCPD}.json",
    "copy inputs/xcpd.json layouts/xcpd/dataset_description.json",
    *(_maps(f"layouts/maps/{name}", "", data=f"layouts/{name}") for name in ("hcp", "ukb", "xcpd")),
)

# Files of a run of the phantom: what stands behind its name.
PARTS = (
    *(f"_space-MNI152NLin6Asym_res-2_desc-preproc_bold{end}" for end in (".nii.gz", ".json")),
    "_space-MNI152NLin6Asym_res-2_desc-brain_mask.nii.gz",
    *(f"_desc-confounds_timeseries{end}" for end in (".tsv", ".json")),
)
# A person with two sessions, one of them with two runs, of which one is long enough to be cut.
RUNS = {"ses-A_task-rest_run-1": "runs/long", "ses-A_task-rest_run-2": "phantom/out"}
RUNS |= {"ses-B_task-rest": "phantom/out"}
SEVERAL_RUNS = (
    f"dtg-phantom runs/long --participants 1 --frames 264 --repetition-time {SECONDS:g} --seed 1",
    f"copy {PEOPLE}/dataset_description.json runs/people/dataset_description.json",
    *(
        f"copy {source}/fmriprep/sub-sim001/func/{STEM}{part} "
        f"runs/people/sub-01/{run[:5]}/func/sub-01_{run}{part}"
        for run, source in RUNS.items()
        for part in PARTS
    ),
    *(
        _maps(f"runs/maps/{name}", words, data="runs/people")
        for name, words in {
            "sessions": "--write maps connectome",
            "people": "--combine participant",
            "runs": "--combine run",
        }.items()
    ),
)

# A person's maps on surfaces and in other spaces; the data have no T1w image, and their T1w space
# is that of the co-registered reference.
HAPPY = "surfaces/data/sub-HAPPYTEST"
SURFACES = (
    f"copy {REAL}/dataset_description.json surfaces/data/dataset_description.json",
    f"copy {REAL}/sub-HAPPYTEST {HAPPY}",
    f"copy {HAPPY}/func/sub-HAPPYTEST_task-rest_desc-coreg_boldref.nii.gz "
    f"{HAPPY}/anat/sub-HAPPYTEST_desc-preproc_T1w.nii.gz",
    _maps(
        "surfaces",
        "--min-minutes 2 --surfaces fsLR fsaverage --output-spaces T1w MNI152NLin2009cAsym",
        data="surfaces/data",
    ),
)

THREE = "--contrast emotionFaces wm2bk languageMath --held-out 0.2 0.3"
NETWORK = "--features 2 --epochs 1 --batch-size 3 --learning-rate 0.01"
COHORT = (
    _group(
        "train",
        f"--model demo --architecture attention-unet --model-name net {THREE} {NETWORK} --epochs 2",
    ),
    _group(
        "train",
        "--model demo --architecture attention-unet --recipe published --seed 3 "
        f"--model-name published {THREE} {NETWORK}",
    ),
    _group(
        "finetune",
        f"--model {SMALL_MODEL} --contrast wm2bk --model-name tuned {NETWORK}",
    ),
    _group(
        "finetune",
        f"--model {SMALL_MODEL} --schedule new --contrast wm2bk "
        f"--model-name fresh {NETWORK} --epochs 2",
    ),
    _group("evaluate", f"--model {SMALL_MODEL} --model-name few"),
)

DEMO = "code/bids_dtg/bundles/demo"  # of the checkout
MODELS = (
    f"dtg-models convert {CHECKPOINT} models/random --name random --maps {DEMO}/maps.nii.gz "
    f"--brain-mask {DEMO}/brain_mask.nii.gz --mask {DEMO}/mask.nii.gz",
    _person("models", "", model="models/random"),
)


def _study(analysis: str, words: str) -> str:
    return f"bids_dtg {PEOPLE} study/out group --analysis {analysis} {words} {ONE_CORE}"


MEASURED = "-d statmaps=phantom/out/statmaps"
KNOWN = "-p inputs/people.tsv"
# All people's maps by a model of three contrasts, and the questions that are asked of them.
STUDY = (
    _maps("study", ATLASES),
    f"bids_dtg {PEOPLE} study/out group {ONE_CORE}",
    _study("stats", f"{MEASURED} --permutations 20 --contrast wm2bk"),
    _study("stats", f"{KNOWN} --phenotype sex --covariates age --permutations 20 --name sexes"),
    _study("associate", f"{KNOWN} --phenotype reasoning --covariates age sex --permutations 20"),
    _study(
        "phenotypes",
        f"{KNOWN} {MEASURED} --phenotype reasoning sex --covariates age --contrast wm2bk "
        "--folds 3 --repeats 2 --permutations 5",
    ),
    _study("embed", f"{KNOWN} {MEASURED}"),
)

# The workflows `dynamics` and `twin`: a chain goes from simulated images to people whom the model
# was not fitted to, with as few people and epochs as all of the code needs.
SIMULATED = "--frames 130 --repetition-time 2"
ATLAS = "atlas/tpl-MNI152NLin6Asym/tpl-MNI152NLin6Asym_atlas-SimulatedRegions_res-4_dseg.nii.gz"
THREE_SIMULATIONS = "--simulations 3"
TWO_EPOCHS = "--epochs 2 --restarts 1"


def _dynamics(out: str, words: str) -> str:
    return f"bids_dtg dynamics/data/fmriprep {out} {words} --workflow dynamics {ONE_CORE}"


def _dynamics_rest(out: str, words: str) -> str:
    connectomes = "--structural-connectivity dynamics/data/connectomes"
    atlas = f"--atlases dynamics/data/{ATLAS} {connectomes}"
    return _dynamics(out, f"participant {atlas} --no-reports {words}")


def _dynamics_train(words: str, recipe: tuple[str, str]) -> tuple[str, str]:
    before, now = (
        _dynamics("dynamics/study", f"group --analysis train {words} {each}") for each in recipe
    )
    return before, now


def _dynamics_study(analysis: str, words: str) -> str:
    return _dynamics("dynamics/study", f"group --analysis {analysis} {words}")


PUBLISHED = "dynamics/study/group/model-published/bundle"
CORE = "dynamics/study/group/model-core/bundle"
DYNAMICS = (
    f"dtg-phantom dynamics/data --workflow dynamics --participants 5 {SIMULATED}",
    _dynamics_rest("dynamics/study", ""),
    _dynamics_train(
        f"--model-name published --participant-label sim01 sim02 sim03 {TWO_EPOCHS}",
        ("--recipe published-code", "--architecture network --recipe published"),
    ),
    _dynamics_study("evaluate", f"--model {PUBLISHED} {THREE_SIMULATIONS}"),
    _dynamics_study("simulate", f"--model {PUBLISHED} {THREE_SIMULATIONS}"),
    _dynamics_study("fixed-points", f"--model {PUBLISHED} --participant-label sim01"),
    _dynamics_train("--model-name core", ("--recipe linear", "--architecture linear")),
    _dynamics_rest("dynamics/core", f"--model {CORE}"),
    _dynamics("dynamics/core", "group --analysis associate --phenotype fd_mean --permutations 20"),
)


def _twin(out: str, words: str) -> str:
    return f"bids_dtg twin/data/bids {out} {words} --workflow twin {ONE_CORE}"


def _twin_rest(out: str, words: str) -> str:
    derivatives = f"--derivatives twin/data/fmriprep --atlases twin/data/{ATLAS}"
    return _twin(out, f"participant {derivatives} --no-reports {words}")


FITTED = "--participant-label " + " ".join(f"c3p{number:04d}" for number in range(6))
OWN_TWIN = "twin/study/group/model-small/bundle"
ARRAYS = "--input-arrays twin/data/truth/connectomes.npz"
HYPERNETWORK = "twin/arrays/group/model-published/bundle"
TWIN = (
    f"dtg-phantom twin/data --workflow twin --participants 9 {SIMULATED}",
    _twin_rest("twin/study", ""),
    _twin(
        "twin/study",
        f"group --analysis train --model-name small --epochs 2 --task-file stroop {FITTED}",
    ),
    _twin("twin/study", f"group --analysis evaluate --model {OWN_TWIN}"),
    _twin("twin/study", f"group --analysis intervene --model {OWN_TWIN} --permutations 2"),
    _twin_rest("twin/new", f"--model {OWN_TWIN} --participant-label c3p0007"),
    _twin_rest("twin/all", f"--model {OWN_TWIN}"),
    _twin("twin/all", "group --analysis associate --phenotype fd_mean --permutations 20"),
    _twin(
        "twin/arrays",
        f"group --analysis train {ARRAYS} --architecture hypernetwork --task-file faces "
        f"--model-name published --epochs 2 --batch-size 3 {FITTED}",
    ),
    _twin("twin/arrays", f"group --analysis evaluate {ARRAYS} --model {HYPERNETWORK}"),
    _twin(
        "twin/arrays",
        f"group --analysis evaluate {ARRAYS} --folds 2 --epochs 2 --model-name small",
    ),
)

CALLS = (
    Call(
        "phantom",
        (
            f"dtg-phantom phantom/out --participants {PARTICIPANTS} --frames {FRAMES}"
            f" --repetition-time {SECONDS:g} --seed 1",
            f"copy inputs/mixing.tsv {FUNC}_desc-MELODIC_mixing.tsv",
            f"copy inputs/noise.csv {FUNC}_AROMAnoiseICs.csv",
        ),
    ),
    Call("demo", (_person("demo", "--write", "maps", "connectome", model="demo"),), ("phantom",)),
    Call("models", MODELS, ("phantom",)),
    Call("cohort", COHORT, ("phantom",)),
    Call("real_6asym", (_real("real_6asym", "--participant-label HAPPYTEST", "demo"),)),
    Call(
        "real_2009c",
        (
            _real(
                "real_2009c",
                f"--participant-label HAPPYTEST --space MNI152NLin2009cAsym {ATLASES}",
            ),
        ),
        ("cohort",),
    ),
    Call(
        "real_native",
        (_real("real_native", "--participant-label HAPPYTEST --space boldref"),),
        ("cohort",),
    ),
    *(
        Call(f"cleaning_{name}", (_person(f"cleaning_{name}", words),), ("cohort",))
        for name, words in CLEANING.items()
    ),
    Call("surfaces", SURFACES, ("cohort",)),
    Call("layouts", LAYOUTS, ("cohort",)),
    Call("runs", SEVERAL_RUNS, ("cohort",)),
    Call("study", STUDY, ("cohort",)),
    Call("api", (f"api {BOLD}.nii.gz {SMALL_MODEL} study/out api/files",), ("cohort", "study")),
    Call("dynamics", DYNAMICS),
    Call("twin", TWIN),
)


def write_inputs(folder: Path) -> None:
    """Write the small input files that no program here writes."""
    rng = random.Random(0)
    folder.mkdir()

    def table(columns: int) -> list[str]:
        return ["\t".join(f"{rng.gauss(0, 1):.5f}" for _ in range(columns)) for _ in range(FRAMES)]

    people = [
        f"sub-sim{number:03d}\t{20 + number * number % 17}\t{'FM'[number % 2]}\t"
        f"{100 + 7 * number % 13 - number}\tf{(number + 1) // 2}\t{'AB'[number * 3 // 2 % 2]}"
        for number in range(1, PARTICIPANTS + 1)
    ]
    header = "participant_id\tage\tsex\treasoning\tfamily_id\tsite"
    contents = {
        "mixing.tsv": "\n".join(table(12)),
        "noise.csv": "2,5,7",
        "custom.tsv": "\n".join(["breath\tpulse", *table(2)]),
        "xcpd.json": '{"Name": "XCP-D", "BIDSVersion": "1.10.0", "DatasetType": "derivative", '
        '"GeneratedBy": [{"Name": "xcp_d", "Version": "0.7.0"}]}',
        "people.tsv": "\n".join([header, *people]),
    }
    for name, text in contents.items():
        (folder / name).write_text(f"{text}\n", "utf-8")
