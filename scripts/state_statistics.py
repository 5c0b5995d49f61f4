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

STATISTICS_CALLS = (Call("study", STUDY, ("phantom", "small")),)


def people_table(participants: int) -> str:
    """Make a table of what is known of the phantom's people, with families and sites."""
    header = "participant_id\tage\tsex\treasoning\tfamily_id\tsite"
    rows = [
        f"sub-sim{number:03d}\t{20 + number * number % 17}\t{'FM'[number % 2]}\t"
        f"{100 + 7 * number % 13 - number}\tf{(number + 1) // 2}\t{'AB'[number * 3 // 2 % 2]}"
        for number in range(1, participants + 1)
    ]
    return "\n".join([header, *rows]) + "\n"
