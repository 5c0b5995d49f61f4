"""All attacks, by name."""

from __future__ import annotations

from importlib import import_module

from attacks.cases.case import CASES, Case

KINDS = (
    "sidecars",
    "images",
    "tables",
    "options",
    "surroundings",
    "bundles",
    "cohorts",
    "transforms",
    "arrays",
    "groups",
)

for kind in KINDS:
    import_module(f"attacks.cases.{kind}")

__all__ = ["CASES", "Case"]
