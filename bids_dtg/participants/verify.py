"""Whether what was written of participants still is what was written: all of it is read."""

from __future__ import annotations

from bids_dtg.errors import OutputError
from bids_dtg.files.derivatives import DerivativeDataset, participants_in
from bids_dtg.files.provenance import completed_titles, verify_outputs
from bids_dtg.notices import counted, say, show
from bids_dtg.participants.reports import existing_output, participants_asked
from bids_dtg.report.presentation import presentation_of
from bids_dtg.settings import Settings

_REMEDY = "the same participant call without --verify makes damaged ones again"


def verify_participants(settings: Settings) -> int:
    """Compare participants' files with their completion records; print a line for each.

    A damaged average is marked in its record, so that the next call makes it again; nothing
    else is written, and no model runs.

    Returns
    -------
    How many participants are not whole.

    Raises
    ------
    DatasetError
        The output folder has no such participants.
    """
    output = existing_output(settings.inputs.output_dir)
    titles: dict[str, list[str]] = {label: [] for label in participants_in(output.root)}
    for title in completed_titles(output):
        label = title.partition("_")[0]
        if label.startswith("sub-"):
            titles.setdefault(label.removeprefix("sub-"), []).append(title)
    labels = participants_asked(settings.inputs.participant_label, sorted(titles), output.root)
    results = presentation_of(output).made
    damaged = sum(not _is_whole(output, label, titles[label], results) for label in labels)
    remedy = f"; {_REMEDY}" if damaged else ""
    say(f"{counted(len(labels), 'participant')} read, {damaged} not whole{remedy}")
    return damaged


def _is_whole(output: DerivativeDataset, label: str, titles: list[str], results: str) -> bool:
    """Print whether a participant is whole, and return it; `results` is what averages are of."""
    found: list[str] = []
    for title in titles:
        try:
            found += verify_outputs(output, title)
        except OutputError as err:
            found.append(f"{title}, which cannot be marked for the next call ({err})")
    if not titles:
        show(f"sub-{label}: no average of {results} is complete")
    elif found:
        show(f"sub-{label}: damaged: {', '.join(found)}")
    else:
        show(f"sub-{label}: whole ({counted(len(titles), 'average')} of {results})")
    return bool(titles) and not found
