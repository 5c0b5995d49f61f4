"""The calls of the analyses over people: tests, associations, predictions, norms, first levels."""

from __future__ import annotations

from state_call import ONE_CORE, Call

PEOPLE = "phantom/out/fmriprep"
MEASURED = "-d statmaps=phantom/out/statmaps"
KNOWN = "-p inputs/people.tsv"
# Files of a run of the phantom: what stands behind its name.
PARTS = (
    *(f"_space-MNI152NLin6Asym_res-2_desc-preproc_bold{end}" for end in (".nii.gz", ".json")),
    "_space-MNI152NLin6Asym_res-2_desc-brain_mask.nii.gz",
    *(f"_desc-confounds_timeseries{end}" for end in (".tsv", ".json")),
)


def _group(analysis: str, words: str) -> str:
    return f"bids_dtg {PEOPLE} study/out group --analysis {analysis} {words} {ONE_CORE}"


# All people's maps by a model of three contrasts, and the questions that are asked of them.
STUDY = (
    f"bids_dtg {PEOPLE} study/out participant --model small/out/group/model-small/bundle "
    f"--no-reports {ONE_CORE}",
    f"bids_dtg {PEOPLE} study/out group {ONE_CORE}",
    _group("deviation", ""),
    _group("figure", "--contrast wm2bk"),
    _group("stats", f"{MEASURED} --permutations 20 --contrast wm2bk"),
    _group("stats", f"{KNOWN} --phenotype sex --covariates age --permutations 20 --name sexes"),
    _group(
        "stats",
        f"{KNOWN} --phenotype reasoning --feature-sets deviations --permutations 5 --name reason"
        " --contrast wm2bk --within-families",
    ),
    _group("stats", "--tfce --permutations 1 --contrast wm2bk --name tfce"),
    _group("associate", f"{KNOWN} --phenotype reasoning --covariates age sex --permutations 20"),
    _group(
        "associate",
        "--phenotype sex --feature-sets maps --contrast wm2bk --permutations 5 --name voxels",
    ),
    _group(
        "phenotypes",
        f"{KNOWN} {MEASURED} --phenotype reasoning sex --covariates age --contrast wm2bk "
        "--folds 3 --repeats 2 --permutations 5",
    ),
    _group(
        "phenotypes",
        f"{KNOWN} --phenotype reasoning --feature-sets edges regions --leave-site-out "
        "--permutations 0 --name sites",
    ),
    _group("embed", f"{KNOWN} {MEASURED}"),
)

# Two people's runs of rest, taken for runs of a task; their voxels are large.
RUNS = {"01_task-motor_run-1": "01", "01_task-motor_run-2": "02", "02_task-motor_run-1": "03"}


def _copies(run: str, source: str) -> tuple[str, ...]:
    """Copy a simulated person's run to another name, and give it events."""
    there = f"glm/phantom/fmriprep/sub-sim{source}/func/sub-sim{source}_task-rest"
    here = f"glm/data/derivatives/fmriprep/sub-{run[:2]}/func/sub-{run}"
    events = f"glm/data/sub-{run[:2]}/func/sub-{run}_events.tsv"
    parts = (part.replace("res-2", "res-4") for part in PARTS)
    return (
        f"copy inputs/events.tsv {events}",
        *(f"copy {there}{part} {here}{part}" for part in parts),
    )


GLM = (
    "dtg-phantom glm/phantom --workflow dynamics --participants 3 --frames 130 --repetition-time 2",
    "copy inputs/raw.json glm/data/dataset_description.json",
    "copy glm/phantom/fmriprep/dataset_description.json "
    "glm/data/derivatives/fmriprep/dataset_description.json",
    *(step for run, source in RUNS.items() for step in _copies(run, source)),
    f"bids_dtg glm/data glm/out group --analysis glm --glm-model inputs/motor.toml {ONE_CORE}",
)

STATISTICS_CALLS = (
    Call("study", STUDY, ("phantom", "small")),
    Call("glm", GLM),
)


def people_table(participants: int) -> str:
    """Make a table of what is known of the phantom's people, with families and sites."""
    header = "participant_id\tage\tsex\treasoning\tfamily_id\tsite"
    rows = [
        f"sub-sim{number:03d}\t{20 + number * number % 17}\t{'FM'[number % 2]}\t"
        f"{100 + 7 * number % 13 - number}\tf{(number + 1) // 2}\t{'AB'[number * 3 // 2 % 2]}"
        for number in range(1, participants + 1)
    ]
    return "\n".join([header, *rows]) + "\n"


def events_table() -> str:
    """Make events of a run of 260 seconds: blocks of two hands in turn."""
    rows = [f"{onset}\t12\t{'LR'[onset // 24 % 2]}H" for onset in range(10, 240, 24)]
    return "\n".join(["onset\tduration\ttrial_type", *rows]) + "\n"
