"""Models in words: the lines and tables that `dtg-models` prints of models of any kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bids_dtg.bundles.bundle import Bundle
from bids_dtg.bundles.card import read_card
from bids_dtg.bundles.kinds import Check, all_kinds, all_published
from bids_dtg.bundles.store import installed_models
from bids_dtg.errors import BundleError
from bids_dtg.notices import counted

_VERDICTS = {True: "pass", False: "FAIL", None: "skipped"}


def bundle_lines(bundle: Bundle[Any]) -> list[str]:
    """Describe a bundle, a line a fact."""
    facts = _facts(bundle) + all_kinds()[bundle.card.kind].facts(bundle)
    return [f"{name:<12}{' '.join(text.split())}" for name, text in facts if text]


def _facts(bundle: Bundle[Any]) -> list[tuple[str, str]]:
    """Return what is known of a model of any kind: names of facts, and texts."""
    card, training = bundle.card, bundle.card.training
    fact = card.with_source
    participants = counted(training.participants, "participant") if training.participants else ""
    trained = (fact("training.data", training.data), fact("training.participants", participants))
    frame = f"{training.repetition_time_s:g} s" if training.repetition_time_s else ""
    return [
        ("model", f"{card.name}, version {card.version} ({card.kind})"),
        ("folder", str(bundle.path)),
        ("SHA-256", bundle.identity),
        ("description", fact("description", card.description)),
        ("licence", fact("licence", card.licence)),
        ("citation", fact("citation", card.citation)),
        ("notice", card.notice if card.for_science else f"NOT FOR SCIENCE: {card.notice}"),
        ("trained on", ", ".join(filter(None, trained))),
        ("cleaning", fact("training.cleaning", training.cleaning)),
        ("frame", fact("training.repetition_time_s", frame)),
    ]


def model_lines() -> list[str]:
    """List the installed models, then the published ones that are not."""
    rows = [("NAME", "VERSION", "KIND", "PREDICTS", "FOLDER")]
    found = installed_models()
    for model in found:
        try:
            card, _ = read_card(model.path)
            facts = (card.version, card.kind, card.part.outputs)
        except BundleError:
            facts = ("?", "damaged: see dtg-models verify", "?")
        hidden = f" (not used: {model.shadowed_by} comes first)" if model.shadowed_by else ""
        rows.append((model.name, *facts, f"{model.path}{hidden}"))
    published = all_published()
    for name in sorted(published.keys() - {model.name for model in found}):
        facts = (published[name].card.version, "published", published[name].outputs)
        rows.append((name, *facts, f"not here: dtg-models fetch {name}"))
    return table_lines(rows)


def table_lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align columns by spaces, for a terminal as for a pipe."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def selftest_lines(bundle: Bundle[Any], checks: Sequence[Check]) -> list[str]:
    """Return a line for each check, and the verdict last."""
    card = bundle.card
    title = f"{card.name} {card.version}"
    if not checks:
        return [f"{title}: a {card.kind} has no self-check; dtg-models verify compares its bytes"]
    widest = max(len(check.name) for check in checks)
    lines = [
        f"  {_VERDICTS[check.passed]:<8} {check.name:<{widest}}  {check.words}" for check in checks
    ]
    skipped = sum(check.passed is None for check in checks)
    passed = sum(bool(check.passed) for check in checks)
    failed = len(checks) - skipped - passed
    words = [counted(passed, "check") + " passed"]
    words += [f"{failed} failed"] if failed else []
    words += [f"{skipped} skipped"] if skipped else []
    return [*lines, f"{title}: self-check {'failed' if failed else 'passed'}: {', '.join(words)}"]
