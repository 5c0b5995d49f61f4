"""The index at the output's root: participants' reports, their flags, and other pages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from bids_dtg.files.derivatives import DerivativeDataset
from bids_dtg.files.text import write_text
from bids_dtg.notices import counted
from bids_dtg.report.contents import find_participant_labels
from bids_dtg.report.flags import LEVELS, Flag, FlagCount, sorted_flags
from bids_dtg.report.pages.page import link, missing_packages, render
from bids_dtg.report.pages.participant import read_flag_count
from bids_dtg.report.presentation import presentation_of

INDEX, GROUP = "index.html", "group.html"
UNFINISHED = "UNFINISHED.txt"  # in the folder of an analysis that is at work, or was cut off
MODEL_PAGE = "report.html"  # in the folder of an analysis
STATISTICS_PAGE = "statistics_report.html"  # in that of one over people
# What pages of analyses show; those of a workflow's own are like those over people.
_SCORES, _FINDINGS = "scores beside those of simple models", "what was found, in tables and charts"
# Other processes may add reports at the same time; each looks again after it has written.
_TRIES = 5
# The beginning of so many reports is read for their flags; of more, the group page has them.
_MOST_READ = 2000
# Beyond so many participants a list is no page any more; reports can be opened by their names.
_MOST_LISTED = 10_000


# A participant: label, address of the report (None: there is none) and its flags (None: unknown).
Listed: TypeAlias = tuple[str, str | None, FlagCount | None]


def write_index(dataset: DerivativeDataset, *, wanted: bool = True) -> None:
    """Write the index anew where it does not list what is there.

    Where the packages for pages are missing, an index that is there is removed: it would be old.
    Where no reports are wanted, only one that is there is written anew: it may list some that are
    gone.
    """
    if not wanted and not (dataset.root / INDEX).is_file():
        return
    if missing_packages():
        dataset.remove(INDEX)
        return
    presentation = presentation_of(dataset)
    for _ in range(_TRIES):
        listed = _list(dataset)
        page = render(
            "index.html",
            title=presentation.title,
            about=presentation.about,
            sections=[],
            listed=listed[:_MOST_LISTED],
            number=len(listed),
            flags=_flags(listed),
            group=GROUP if (dataset.root / GROUP).is_file() else None,
            analyses=[
                (page.parent.name, link(page, dataset), words)
                for name, words in _analyses(presentation.analysis_page).items()
                for page in sorted(dataset.root.glob(f"group/*/{name}"))
            ],
            unfinished=[
                mark.parent.name for mark in sorted(dataset.root.glob(f"group/*/{UNFINISHED}"))
            ],
            others=[
                (text, name)
                for text, name in (
                    ("Methods text", "logs/CITATION.md"),
                    ("About this dataset", "README"),
                    ("Logs of all calls", "logs"),
                )
                if (dataset.root / name).exists()
            ],
        )
        write_text(dataset.path(INDEX), page)
        if _list(dataset) == listed:
            return


def _analyses(own: str) -> dict[str, str]:
    """Return the pages of analyses by file name, in their order, and what each shows."""
    pages = {MODEL_PAGE: _SCORES, own: _FINDINGS, STATISTICS_PAGE: _FINDINGS}
    return {name: words for name, words in pages.items() if name}


def _list(dataset: DerivativeDataset) -> list[Listed]:
    reports = {
        p.name.removeprefix("sub-").removesuffix(".html"): p
        for p in dataset.root.glob("sub-*.html")
    }
    labels = sorted({*find_participant_labels(dataset), *reports})
    few = len(reports) <= _MOST_READ
    return [_listed(label, reports.get(label), dataset, flags=few) for label in labels]


def _listed(label: str, report: Path | None, dataset: DerivativeDataset, *, flags: bool) -> Listed:
    if report is None:
        return label, None, None
    return label, link(report, dataset), read_flag_count(report) if flags else None


def _flags(listed: Sequence[Listed]) -> tuple[Flag, ...]:
    """Repeat what reports warn of their model, and count those with flags; nothing if none is."""
    known = [count for _, _, count in listed if count is not None]
    notices = dict.fromkeys(count.model for count in known if count.model)
    flags = [Flag("warning", notice) for notice in notices]
    for level, words in zip(LEVELS, ("a problem", "a warning, and no problem"), strict=False):
        number = sum(count.level == level for count in known)
        if number:
            text = f"{number} of {counted(len(known), 'report')} flag{'s' * (number == 1)} {words}"
            flags.append(Flag(level, text))
    if known and len(flags) == len(notices):
        text = f"None of {counted(len(known), 'report')} flags a problem"
        # Of a model that is not for science nothing is called good.
        flags.append(Flag("note", f"{text} of the runs") if notices else Flag("good", text))
    return sorted_flags(flags)
