"""Values of options that earlier versions had, and what to do instead."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

GONE: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("analysis", "normative"): "PCNtoolkit scores the tables of regions",
    }
)
"""What to do, by the option as Python spells it and its former value."""
