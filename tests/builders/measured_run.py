"""A run as panels of the report meet it: measured for the tiny bundle, with made-up figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from fmriprep_dataset import describe_dataset
from tiny_bundle import write_tiny_bundle
from tiny_job import FRAMES, TR, add_rest

from bids_dtg.cleaning.confounds import Confounds
from bids_dtg.connectome.connectome import RunConnectomes
from bids_dtg.connectome.design import TemporalDesign
from bids_dtg.connectome.passes import Carpet
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.panels.run import MeasuredRun
from bids_dtg.imaging.bold import MeanFrame, read_bold_header, stream_blocks
from bids_dtg.inputs.runs import find_runs

ENTITIES = {"sub": "01", "task": "rest"}


def measured_run(folder: Path) -> MeasuredRun:
    """Write a run and the tiny bundle, and return what panels keep something of."""
    root = describe_dataset(folder / "fmriprep")
    add_rest(root)
    write_tiny_bundle(folder / "tiny")
    bundle = load_bundle(folder / "tiny")
    rois, voxels = len(bundle.roi_maps), bundle.places.number
    rng = np.random.default_rng(0)
    series = rng.normal(size=(FRAMES, rois))
    covered = np.arange(voxels) % 5 > 0
    (run,) = find_runs(root, "01")
    header, kept = read_bold_header(run.bold), np.arange(FRAMES) >= 3
    mean_frame = MeanFrame(header, kept, 8)
    carpet = Carpet(np.arange(5), FRAMES)
    blocks = [(0, np.random.default_rng(1).normal(size=(FRAMES, 9)))]
    list(carpet.watching(block for block in blocks))
    for stored in stream_blocks(header, FRAMES):
        mean_frame.add(0, stored)
    return MeasuredRun(
        run=run,
        source="fmriprep",
        design=TemporalDesign.build(None, (), kept, TR),
        confounds=Confounds(
            values=np.zeros((FRAMES, 0)),
            names=(),
            keep=kept,
            fd_mm=np.where(np.arange(FRAMES) > 0, 0.1, np.nan),
            std_dvars=None,
            dropped={},
            decisions={},
        ),
        cleaning={},
        sampled="none",
        voxel_mm=2.0,
        mask_overlap=None,
        notes=(),
        interpolation="cubic",
        mean_frame=mean_frame,
        bundle=bundle,
        carpet=carpet,
        carpet_rows={"grey": 3, "rest": 2},
        connectomes=RunConnectomes(
            whole=None,
            segments=(),
            odd=None,
            even=None,
            agreement=np.where(covered, 0.5, 0).astype(np.float32),
            covered=covered,
            roi_coverage=np.linspace(0.5, 1, rois),
            series=series,
            roi_r=np.corrcoef(series.T),
            tsnr=np.ones(voxels, np.float32),
        ),
    )
