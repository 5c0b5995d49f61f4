"""Models of formats 1 to 3, as programs wrote them before models had several sets of ROI maps."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from fmriprep_dataset import add_run, describe_dataset
from tiny_bundle import TINY_AFFINE, TINY_SHAPE

from bids_dtg.cleaning.strategies import resolve
from bids_dtg.connectome.connectome import Connectome
from bids_dtg.contrasts.bundle.bundle import load_bundle
from bids_dtg.contrasts.bundle.selftest import digest_of
from bids_dtg.contrasts.participant.measure import Reader
from bids_dtg.contrasts.participant.predict import predict_maps
from bids_dtg.inputs.runs import find_runs
from bids_dtg.settings import CleaningOptions

# By format, of maps that the program of before predicted: from values made by chance, and from an
# image. Bytes were the same; they depend on the processor, digests do not.
MADE = (-0.9102, -1.3822, 1.3154, -1.921, -0.6089, -0.3165)
MARGINAL = (0.3761, -0.5424, -1.7806, -2.1938, 0.0244, 0.031)
DIGESTS = {
    1: (MADE, MARGINAL),
    2: (MADE, MARGINAL),
    3: (MADE, (0.7421, -0.3011, -1.5592, -1.9977, -0.0828, -0.1605)),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("image")
    describe_dataset(root)
    rng = np.random.default_rng(0)
    courses, places = rng.normal(size=(6, 120)), rng.normal(size=(*TINY_SHAPE, 6))
    bold = 1000 + 20 * places @ courses + 30 * rng.normal(size=(*TINY_SHAPE, 120))
    add_run(root, bold=bold.astype(np.int16), affine=TINY_AFFINE, tr=3.0)
    (found,) = find_runs(root, "01")
    return found


@pytest.mark.parametrize("version", DIGESTS)
def test_models_of_before_predict_what_they_did(version, run, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(Path(__file__).parent / "linear_of_before", folder)
    (folder / f"format{version}.json").rename(folder / "model.json")
    bundle = load_bundle(folder)
    values = np.random.default_rng(1).uniform(-1, 1, (len(bundle.roi_maps), bundle.places.number))
    form = bundle.card.part.connectome
    made = Connectome(values.astype(np.float32), 100, 432.0, 60.0, form)
    measured = Reader.of(bundle, resolve(CleaningOptions(), "auto")).measure(run).connectomes
    for connectome, digest in zip((made, measured), DIGESTS[version], strict=True):
        maps = predict_maps(connectome, bundle, device="cpu", threads=1).values
        np.testing.assert_allclose(digest_of(maps), digest, atol=2e-4)
