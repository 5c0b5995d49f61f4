"""Penalties of the twins' ridges."""

from __future__ import annotations

PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # to choose from
