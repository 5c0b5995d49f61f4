"""The calls whose outputs `compare_states.py` compares: every workflow, analysis and kind of input.

All paths are relative to the folder of the state, in which the calls run one after another. What
is called `inputs` is made first, without the program; `shared` leads to the shared test data.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

PARTICIPANTS, FRAMES, SECONDS = 10, 130, 2.0  # of the simulated people; calibration needs ten
PEOPLE = "phantom/out/fmriprep"
STEM = "sub-sim001_task-rest"
FUNC = f"{PEOPLE}/sub-sim001/func/{STEM}"
BOLD = f"{FUNC}_space-MNI152NLin6Asym_res-2_desc-preproc_bold"
MASK = f"{FUNC}_space-MNI152NLin6Asym_res-2_desc-brain_mask.nii.gz"
DEMO_MODEL = "inputs/format1"  # the demo model of the first format, see `compare_states.py`
REAL = "shared/data/real/fmriprep_like"
CHECKPOINT = "shared/reference/deeptaskgen/random_fdim64.ckpt"
ONE_CORE = "--device cpu --nprocs 1 --omp-nthreads 1"
ALL_OUTPUTS = "--half-maps --write-connectome --combine participant"


@dataclass(frozen=True)
class Call:
    """What makes one folder of a state, and one row of the table of differences."""

    name: str  # of its folder
    steps: tuple[str, ...]  # command lines: a program of the project, or `copy`, `untime`
    needs: tuple[str, ...] = ()  # calls that must have been made before
    exit_code: int = 0  # of each step


def _maps(name: str, words: str, *, data: str = PEOPLE, model: str = "demo") -> str:
    return f"bids_dtg {data} {name}/out participant --model {model} {ONE_CORE} {words}"


def _person(name: str, words: str, model: str = "demo") -> str:
    return _maps(name, f"--participant-label sim001 {words}", model=model)


def _real(name: str, words: str) -> str:
    return _maps(name, f"--min-minutes 2 {words}", data=REAL)


def _group(analysis: str, words: str) -> str:
    data = f"-d fmriprep={PEOPLE} -d statmaps=phantom/out/statmaps"
    return f"bids_dtg {PEOPLE} cohort/out group --analysis {analysis} {data} {ONE_CORE} {words}"


TEXTS = (
    *(f"{program} --help" for program in ("bids_dtg", "dtg-models", "dtg-phantom", "dtg-demo")),
    *(f"{program} --version" for program in ("bids_dtg", "dtg-models", "dtg-phantom", "dtg-demo")),
    *(
        f"dtg-models {command} --help"
        for command in ("list", "fetch", "verify", "info", "remove", "pack", "unpack", "convert")
    ),
    "dtg-models list",
    "dtg-models info demo",
    "dtg-models verify demo",
)

REFUSED = (
    "bids_dtg",
    "bids_dtg nowhere refused/out participant",
    _maps("refused", "", data="nowhere"),
    _maps("refused", "--participant-label nobody"),
    _maps("refused", "", model="nothing"),
    _maps("refused", "", model="hcp-ya"),
    _person("refused", "--denoise-strategy fancy"),
    _person("refused", "--denoise-strategy compcor --confound-model 36P"),
    _person("refused", "--high-pass 0.2 --low-pass 0.1"),
    _person("refused", "--device tpu"),
    _person("refused", "--config-file inputs/wrong.toml"),
    _group("train", "--model demo --architecture forest"),
    _group("train", "--model demo --contrast nothing"),
    f"bids_dtg {PEOPLE} refused/out group --analysis evaluate --model demo",
    _group("calibrate", "--model demo --contrast wm2bk"),
    "dtg-models info nothing",
    "dtg-models fetch nothing",
    "dtg-phantom refused/out --participants 0",
    "dtg-demo inputs",
)

CLEANING = {
    "none": "--denoise-strategy none",
    "simple": "--denoise-strategy simple --dummy-scans 4 --no-reports",
    "scrubbing": "--denoise-strategy scrubbing --fd-threshold 0.4 --std-dvars-threshold 2"
    " --min-minutes 1",
    "compcor": "--denoise-strategy compcor",
    "aroma": "--denoise-strategy ica_aroma",
    "aroma_aggressive": "--denoise-strategy ica_aroma --aroma-denoising aggr --no-reports",
    "36p": "--confound-model 36P",
    "gsr": "--denoise-strategy scrubbing --gsr --min-minutes 1",
    "band": "--high-pass 0.01 --low-pass 0.15",
    "smoothing": "--smoothing-fwhm 6 --atlases Schaefer400 HCP",
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
    *(
        _maps(f"layouts/maps/{name}", words, data=f"layouts/{name}")
        for name, words in {"hcp": "", "ukb": "--no-reports", "xcpd": "--no-reports"}.items()
    ),
)

# A person with two sessions, one of them with two runs, of which one is long enough to be cut.
RUNS = {"ses-A_task-rest_run-1": "runs/long", "ses-A_task-rest_run-2": "phantom/out"}
RUNS |= {"ses-B_task-rest": "phantom/out"}
PARTS = (
    *(f"_space-MNI152NLin6Asym_res-2_desc-preproc_bold{end}" for end in (".nii.gz", ".json")),
    "_space-MNI152NLin6Asym_res-2_desc-brain_mask.nii.gz",
    *(f"_desc-confounds_timeseries{end}" for end in (".tsv", ".json")),
)
SEVERAL_RUNS = (
    "dtg-phantom runs/long --participants 1 --frames 330 --repetition-time 2 --seed 1",
    f"copy {PEOPLE}/dataset_description.json runs/people/dataset_description.json",
    *(
        f"copy {source}/fmriprep/sub-sim001/func/{STEM}{part} "
        f"runs/people/sub-01/{run[:5]}/func/sub-01_{run}{part}"
        for run, source in RUNS.items()
        for part in PARTS
    ),
    _maps("runs/maps/sessions", "--half-maps", data="runs/people"),
    _maps("runs/maps/people", "--combine participant --no-reports", data="runs/people"),
    _maps("runs/maps/runs", "--combine run", data="runs/people"),
    f"bids_dtg runs/people runs/maps/runs/out group --model demo {ONE_CORE}",
)

SETS = (
    _person("sets", "--dry-run"),
    _person("sets", "--boilerplate-only"),
    _maps("sets", "--participant-label sim001 sim002 --no-reports"),
    _person("sets", ""),
    _person("sets", "--dry-run"),
    _person("sets", "--combine run --interval-level 80 --config-file inputs/options.toml"),
    _person("sets", "--reports-only"),
    f"bids_dtg {PEOPLE} sets/out group --model demo {ONE_CORE}",
)

FEW = "--contrast emotionFaces wm2bk languageMath --held-out 0.2 0.2"
NETWORK = "--features 2 --epochs 1 --batch-size 3 --learning-rate 0.01"
COHORT = (
    _group("train", f"--model demo --architecture local-ridge --model-name ridge {FEW}"),
    _group(
        "train",
        f"--model demo --architecture attention-unet --model-name net {FEW} {NETWORK} --epochs 2",
    ),
    _group(
        "train",
        "--model demo --architecture attention-unet --recipe published --choose-by loss "
        f"--batch-part 2 --seed 3 --model-name published {FEW} {NETWORK}",
    ),
    _group("train", f"--model demo --architecture blend --model-name blend {FEW} {NETWORK}"),
    *(f"untime cohort/out/group/model-{name}/bundle" for name in ("ridge", "net", "blend")),
    _group(
        "finetune",
        f"--model cohort/out/group/model-net/bundle --contrast wm2bk --model-name tuned {NETWORK}",
    ),
    _group(
        "finetune",
        "--model cohort/out/group/model-net/bundle --schedule new --contrast wm2bk "
        f"--model-name fresh {NETWORK} --epochs 2",
    ),
    _group("evaluate", "--model cohort/out/group/model-blend/bundle --model-name few"),
    _group("calibrate", "--model demo --model-name sure"),
    *(f"untime cohort/out/group/model-{name}/bundle" for name in ("tuned", "sure")),
)
TRAINED = tuple(
    _person(f"trained/{name}", words, model=f"cohort/out/group/model-{name}/bundle")
    for name, words in {
        "ridge": "",
        "net": "--no-reports",
        "blend": "",
        "tuned": "--no-reports",
        "sure": "--interval-level 80",
    }.items()
)

MODELS = (
    f"dtg-models convert {CHECKPOINT} models/random --name random --maps {DEMO_MODEL}/maps.nii.gz "
    f"--brain-mask {DEMO_MODEL}/brain_mask.nii.gz --mask {DEMO_MODEL}/mask.nii.gz",
    "dtg-models info models/random",
    "dtg-models pack models/random models/random.tar",
    "dtg-models unpack models/random.tar models/unpacked",
    "dtg-models verify models/unpacked",
    _person("models", "", model="models/random.tar"),
)

CALLS = (
    Call("texts", TEXTS),
    Call("demo", ("dtg-demo demo/out --participants 2 --broken-run",), exit_code=1),
    Call(
        "phantom",
        (
            f"dtg-phantom phantom/out --participants {PARTICIPANTS} --frames {FRAMES}"
            f" --repetition-time {SECONDS:g} --seed 1",
            f"copy inputs/mixing.tsv {FUNC}_desc-MELODIC_mixing.tsv",
            f"copy inputs/noise.csv {FUNC}_AROMAnoiseICs.csv",
        ),
    ),
    Call("refused", REFUSED, ("phantom",), exit_code=2),
    Call("real_6asym", (_real("real_6asym", ""),), exit_code=1),
    Call(
        "real_6asym_all", (_real("real_6asym_all", f"--participant-label HAPPYTEST {ALL_OUTPUTS}"),)
    ),
    Call(
        "real_2009c",
        (_real("real_2009c", f"--space MNI152NLin2009cAsym {ALL_OUTPUTS}"),),
        exit_code=1,
    ),
    Call("real_native", (_real("real_native", f"--space boldref {ALL_OUTPUTS}"),), exit_code=1),
    Call(
        "real_no_motion",
        (
            _real("real_no_motion", "--participant-label RAPIDTIDETEST --denoise-strategy compcor"),
            f"bids_dtg {REAL} real_no_motion/out group --model demo {ONE_CORE}",
        ),
    ),
    *(
        Call(f"cleaning_{name}", (_person(f"cleaning_{name}", words),), ("phantom",))
        for name, words in CLEANING.items()
    ),
    Call(
        "nearest",
        (
            _real(
                "nearest", "--participant-label HAPPYTEST --space boldref --interpolation nearest"
            ),
        ),
    ),
    Call("layouts", LAYOUTS, ("phantom",)),
    Call("runs", SEVERAL_RUNS, ("phantom",)),
    Call("sets", SETS, ("phantom",)),
    Call(
        "processes",
        (_maps("processes", "--participant-label sim001 sim002 sim003 --no-reports --nprocs 2"),),
        ("phantom",),
    ),
    Call("format1", (_person("format1", "--no-reports", model=DEMO_MODEL),), ("phantom",)),
    Call("models", MODELS, ("phantom",)),
    Call("cohort", COHORT, ("phantom",)),
    Call("trained", TRAINED, ("cohort",)),
)


def written_inputs() -> dict[str, str]:
    """Make the small input files that no program here writes: their names and contents."""
    rng = random.Random(0)

    def table(columns: int) -> list[str]:
        return ["\t".join(f"{rng.gauss(0, 1):.5f}" for _ in range(columns)) for _ in range(FRAMES)]

    return {
        "mixing.tsv": "\n".join(table(12)) + "\n",
        "noise.csv": "2,5,7\n",
        "custom.tsv": "\n".join(["breath\tpulse", *table(2)]) + "\n",
        "xcpd.json": '{"Name": "XCP-D", "BIDSVersion": "1.10.0", "DatasetType": "derivative", '
        '"GeneratedBy": [{"Name": "xcp_d", "Version": "0.7.0"}]}\n',
        "options.toml": '[cleaning]\ndenoise_strategy = "simple"\ngsr = true\n',
        "wrong.toml": '[cleaning]\ndenoise = "simple"\n',
    }
