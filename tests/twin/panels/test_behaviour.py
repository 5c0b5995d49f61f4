"""The table of an average's curves: what is written is read, and what is damaged is left out."""

from __future__ import annotations

import numpy as np

from bids_dtg.twin.panels.behaviour import Curve, encode_trial_series, read_trial_series


def test_what_is_written_is_read(tmp_path):
    rng, table = np.random.default_rng(0), tmp_path / "series.tsv"
    written = [
        Curve(
            task,
            "<b>&'",
            of,
            n,
            0.08 * np.arange(n),
            rng.random(n),
            share_known * rng.random(n),
        )
        for n, (task, of, share_known) in enumerate(
            [("go", "twin", 1.0), ("go", "person", np.nan), ("a-b", "group", 1.0)], 1
        )
    ]
    table.write_bytes(encode_trial_series(written)[0])
    for curve, read_curve in zip(written, read_trial_series(table), strict=True):
        for name in ("task", "condition", "of", "trials"):
            assert getattr(curve, name) == getattr(read_curve, name)
        for name in ("seconds", "answered", "correct"):
            np.testing.assert_allclose(
                getattr(read_curve, name), getattr(curve, name), rtol=5e-4
            )
