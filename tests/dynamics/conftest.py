from __future__ import annotations

from published_simulators import measured_weights, replayed  # noqa: F401
