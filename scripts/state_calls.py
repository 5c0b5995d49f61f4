"""The calls whose outputs `compare_states.py` compares: every workflow, analysis and kind of input.

All paths are relative to the folder of the state, in which the calls run one after another. What
is called `inputs` is made first, without the program; `shared` leads to the shared test data.
"""

from __future__ import annotations

import random

from state_arrays import ARRAY_CALLS
from state_call import ONE_CORE, Call
from state_networks import NETWORK_CALLS, region_table
from state_statistics import PARTS, PEOPLE, STATISTICS_CALLS, people_table

# Of the simulated people; calibration needs ten, deviations from the cohort eleven.
PARTICIPANTS, FRAMES, SECONDS = 11, 102, 2.5
STEM = "sub-sim001_task-rest"
FUNC = f"{PEOPLE}/sub-sim001/func/{STEM}"
BOLD = f"{FUNC}_space-MNI152NLin6Asym_res-2_desc-preproc_bold"
MASK = f"{FUNC}_space-MNI152NLin6Asym_res-2_desc-brain_mask.nii.gz"
DEMO_MODEL = "inputs/format1"  # the demo model of the first format, see `compare_states.py`
REAL = "shared/data/real/fmriprep_like"
CHECKPOINT = "shared/reference/deeptaskgen/random_fdim64.ckpt"
SMALL_MODEL = "small/out/group/model-small/bundle"  # three contrasts: maps and pages in a moment
ALL_OUTPUTS = "--half-maps --write-connectome --combine participant"


def _maps(name: str, words: str, *, data: str = PEOPLE, model: str = "demo") -> str:
    return f"bids_dtg {data} {name}/out participant --model {model} {ONE_CORE} {words}"


def _person(name: str, words: str, model: str = "demo") -> str:
    return _maps(name, f"--participant-label sim001 {words}", model=model)


def _small(name: str, words: str) -> str:
    return _person(name, words, model=SMALL_MODEL)


def _real(name: str, words: str, model: str = "demo") -> str:
    return _maps(name, f"--min-minutes 2 {words}", data=REAL, model=model)


def _group(analysis: str, words: str, out: str = "cohort/out") -> str:
    data = f"-d fmriprep={PEOPLE} -d statmaps=phantom/out/statmaps"
    return f"bids_dtg {PEOPLE} {out} group --analysis {analysis} {data} {ONE_CORE} {words}"


TEXTS = (
    *(f"{program} --help" for program in ("bids_dtg", "dtg-models", "dtg-phantom", "dtg-demo")),
    *(f"{program} --version" for program in ("bids_dtg", "dtg-models", "dtg-phantom", "dtg-demo")),
    *(
        f"dtg-models {command} --help"
        for command in ("list", "fetch", "verify", "info", "remove", "convert")
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
    _group("calibrate", "--model demo --participant-label sim001 sim002"),
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
        _maps(f"layouts/maps/{name}", words, data=f"layouts/{name}", model=SMALL_MODEL)
        for name in ("hcp", "ukb", "xcpd")
        for words in ("--dry-run", f"--input-type {name}")  # the first sees what it is
    ),
    _small("layouts/maps/fmriprep", "--input-type fmriprep --dry-run"),
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
        _maps(f"runs/maps/{name}", words, data="runs/people", model=SMALL_MODEL)
        for name, words in {
            "sessions": "--half-maps",
            "people": "--combine participant --no-reports",
            "runs": "--combine run",
        }.items()
    ),
    f"bids_dtg runs/people runs/maps/runs/out group --model {SMALL_MODEL} {ONE_CORE}",
)

# A person's maps on surfaces and in other spaces; the data have no T1w image, and their T1w space
# is that of the co-registered reference.
HAPPY = "surfaces/data/sub-HAPPYTEST"
SURFACES = (
    f"copy {REAL}/dataset_description.json surfaces/data/dataset_description.json",
    f"copy {REAL}/sub-HAPPYTEST {HAPPY}",
    f"copy {HAPPY}/func/sub-HAPPYTEST_task-rest_desc-coreg_boldref.nii.gz "
    f"{HAPPY}/anat/sub-HAPPYTEST_desc-preproc_T1w.nii.gz",
    *(
        _maps(
            "surfaces",
            f"--min-minutes 2 --surfaces fsLR fsaverage --output-spaces T1w MNI152NLin2009cAsym "
            f"{words}",
            data="surfaces/data",
            model=SMALL_MODEL,
        )
        for words in ("", "--reports-only", "--verify")
    ),
)
MAP = f"sub-sim001/func/{STEM}_space-MNI152NLin6Asym_res-2_contrast-wm2bk_stat-z_desc-synthetic"
DAMAGED = (
    "copy cleaning_none/out damaged/out",
    f"copy inputs/raw.json damaged/out/{MAP}_statmap.nii.gz",
    _small("damaged", "--denoise-strategy none --verify"),
)

SETS = (
    _person("sets", "--dry-run"),
    _person("sets", "--boilerplate-only"),
    _maps("sets", "--participant-label sim001 sim002 --no-reports"),
    _person("sets", ""),
    _person("sets", "--dry-run"),
    _person(
        "sets", "--combine run --interval-level 80 --config-file inputs/options.toml --no-reports"
    ),
    _person("sets", "--reports-only"),
    f"bids_dtg {PEOPLE} sets/out group --model demo {ONE_CORE}",
)

THREE = "--contrast emotionFaces wm2bk languageMath"
SMALL = (
    _group(
        "train",
        f"--model demo --architecture linear --model-name small {THREE} --participant-label "
        + " ".join(f"sim{number:03d}" for number in range(1, 6)),
        "small/out",
    ),
    f"untime {SMALL_MODEL}",
)
FEW = f"{THREE} --held-out 0.2 0.3"
NETWORK = "--features 2 --epochs 1 --batch-size 3 --learning-rate 0.01"
COHORT = (
    _group("train", f"--model demo --architecture local-ridge --model-name ridge {FEW}"),
    _group(
        "train",
        f"--model demo --architecture attention-unet --model-name net {FEW} {NETWORK} --epochs 2",
    ),
    _group(
        "train",
        "--model demo --architecture attention-unet --recipe published --seed 3 "
        f"--model-name published {FEW} {NETWORK}",
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
    "dtg-models verify models/random",
    _person("models", "--no-reports", model="models/random"),
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
    Call("small", SMALL, ("phantom",)),
    Call("refused", REFUSED, ("phantom",), exit_code=2),
    Call("real_6asym", (_real("real_6asym", "", SMALL_MODEL),), ("small",), exit_code=1),
    Call(
        "real_6asym_all", (_real("real_6asym_all", f"--participant-label HAPPYTEST {ALL_OUTPUTS}"),)
    ),
    Call(
        "real_2009c",
        (_real("real_2009c", f"--space MNI152NLin2009cAsym {ALL_OUTPUTS}", SMALL_MODEL),),
        ("small",),
        exit_code=1,
    ),
    Call(
        "real_native",
        (_real("real_native", f"--space boldref {ALL_OUTPUTS}", SMALL_MODEL),),
        ("small",),
        exit_code=1,
    ),
    Call(
        "real_no_motion",
        (
            _real(
                "real_no_motion",
                "--participant-label RAPIDTIDETEST --denoise-strategy compcor",
                SMALL_MODEL,
            ),
            f"bids_dtg {REAL} real_no_motion/out group --model {SMALL_MODEL} {ONE_CORE}",
        ),
        ("small",),
    ),
    *(
        Call(f"cleaning_{name}", (_small(f"cleaning_{name}", words),), ("small",))
        for name, words in CLEANING.items()
    ),
    Call(
        "nearest",
        (
            _real(
                "nearest",
                "--participant-label HAPPYTEST --space boldref --interpolation nearest",
                SMALL_MODEL,
            ),
        ),
        ("small",),
    ),
    Call("surfaces", SURFACES, ("small",)),
    Call("damaged", DAMAGED, ("cleaning_none",), exit_code=1),
    Call("layouts", LAYOUTS, ("small",)),
    Call("runs", SEVERAL_RUNS, ("small",)),
    Call("sets", SETS, ("phantom",)),
    Call(
        "processes",
        (
            _maps(
                "processes",
                "--participant-label sim001 sim002 sim003 --no-reports --nprocs 2",
                model=SMALL_MODEL,
            ),
        ),
        ("small",),
    ),
    Call("format1", (_person("format1", "--no-reports", model=DEMO_MODEL),), ("phantom",)),
    Call("models", MODELS, ("phantom",)),
    Call("cohort", COHORT, ("phantom",)),
    Call("trained", TRAINED, ("cohort",)),
    Call("api", (f"api {BOLD}.nii.gz {SMALL_MODEL} sets/out api/files",), ("small", "sets")),
    *STATISTICS_CALLS,
    *ARRAY_CALLS,
    *NETWORK_CALLS,
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
        "people.tsv": people_table(PARTICIPANTS),
        "regions.tsv": region_table(),
        "raw.json": '{"Name": "Task", "BIDSVersion": "1.10.0", "DatasetType": "raw"}\n',
    }
