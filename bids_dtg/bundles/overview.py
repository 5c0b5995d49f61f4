"""The lines and tables that `dtg-models` prints on models of any kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bids_dtg.bundles.bundle import Bundle
from bids_dtg.bundles.kinds import Check
from bids_dtg.bundles.store import all_published, installed_models, read_card
from bids_dtg.errors import BundleError
from bids_dtg.notices import counted

_VERDICTS = {True: "pass", False: "FAIL", None: "skipped"}


def bundle_lines(bundle: Bundle[Any]) -> list[str]:
    """Describe a bundle, one line per fact: facts that all have, then those of its kind."""
    card = bundle.card
    fact = card.with_source
    training = card.training
    participants = ""
    if training.participants:
        participants = counted(training.participants, "participant")
    trained_on = [
        fact("training.data", training.data),
        fact("training.participants", participants),
    ]
    frame = f"{training.repetition_time_s:g} s" if training.repetition_time_s else ""
    notice = card.notice if card.for_science else f"NOT FOR SCIENCE: {card.notice}"
    facts = [
        ("model", f"{card.name}, version {card.version} ({card.kind})"),
        ("folder", str(bundle.path)),
        ("SHA-256", bundle.identity),
        ("description", fact("description", card.description)),
        ("licence", fact("licence", card.licence)),
        ("citation", fact("citation", card.citation)),
        ("notice", notice),
        ("trained on", ", ".join(filter(None, trained_on))),
        ("cleaning", fact("training.cleaning", training.cleaning)),
        ("frame", fact("training.repetition_time_s", frame)),
        *bundle.facts(),
    ]
    return [f"{name:<12}{' '.join(text.split())}" for name, text in facts if text]


def model_lines() -> list[str]:
    """List the installed models, then the published models that are not installed."""
    rows = [("NAME", "VERSION", "KIND", "PREDICTS", "FOLDER")]
    used: dict[str, Path] = {}
    for path in installed_models():
        try:
            card, _ = read_card(path)
            facts = (card.version, card.kind, card.part.outputs)
        except BundleError:
            facts = ("?", "damaged: see dtg-models verify", "?")
        first = used.setdefault(path.name, path)
        hidden = "" if first == path else f" (not used: {first} comes first)"
        rows.append((path.name, *facts, f"{path}{hidden}"))
    for name, model in sorted(all_published().items()):
        if name not in used:
            facts = (model.card.version, "published", model.outputs)
            rows.append((name, *facts, f"not installed: dtg-models fetch {name}"))
    return table_lines(rows)


def table_lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align columns with spaces."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def selftest_lines(bundle: Bundle[Any], checks: Sequence[Check]) -> list[str]:
    """Return a line for each check, then the verdict."""
    card = bundle.card
    title = card.title
    if not checks:
        return [
            f"{title}: no self-check for {card.kind}; dtg-models verify compares checksums"
        ]
    rows = [
        (f"  {_VERDICTS[check.passed]:<7}", check.name, check.words) for check in checks
    ]
    numbers = Counter(check.passed for check in checks)
    words = [f"{counted(numbers[True], 'check')} passed"]
    if numbers[False]:
        words.append(f"{numbers[False]} failed")
    if numbers[None]:
        words.append(f"{numbers[None]} skipped")
    verdict = "failed" if numbers[False] else "passed"
    return [*table_lines(rows), f"{title}: self-check {verdict}: {', '.join(words)}"]
