"""The model of real people that ships: who is in it, and maps from XCP-D's series of parcels."""

from __future__ import annotations

import nibabel as nib
import numpy as np
from cifti_people import save_series
from fmriprep_dataset import describe_dataset

from bids_dtg import load_bundle
from bids_dtg.cli.run import main
from bids_dtg.files.tensors import TensorFile
from bids_dtg.stats.linear import standardised

TR, FRAMES, PENALTY = 0.8, 900, 0.06


def rest(seed: int = 0) -> np.ndarray:
    """Simulate rest (frames, parcels) of twenty networks and noise."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(20, 360)) ** 3
    series = rng.normal(size=(FRAMES, 20)) @ mixing + 3 * rng.normal(size=(FRAMES, 360))
    return series.astype(np.float32)


def predict(series: np.ndarray) -> np.ndarray:
    """Predict maps (contrasts, parcels) from rest (frames, parcels) in plain NumPy."""
    bundle = load_bundle("hcp-glasser")
    model, values = bundle.prepare(), standardised(series.T.astype(np.float64))
    maps, found, end = np.asarray(bundle.roi_maps, np.float64), [], 0
    for rois in bundle.card.part.connectome.sets:
        own = maps[end : end + rois]
        end += rois
        own = own - own.mean(axis=1, keepdims=True)
        of_rois = standardised(np.linalg.lstsq(own.T, values, rcond=None)[0])
        among = of_rois @ of_rois.T / FRAMES + PENALTY * np.eye(rois)
        found.append(np.linalg.solve(among, of_rois @ values.T / FRAMES))
    return bundle.correction.apply(model.predict(np.concatenate(found).astype(np.float32)))


def test_no_value_of_a_single_person_is_in_it():
    bundle = load_bundle("hcp-glasser")
    card = bundle.card
    assert bundle.people is None
    assert "people.json" not in card.files
    assert (bundle.path / "HCP_DataUseTerms.txt").is_file()
    people = card.training.participants
    assert people == 20
    for file in bundle.path.glob("*.safetensors"):
        for name, tensor in TensorFile(file).read().items():
            assert people not in tensor.shape, (file, name)
    assert "sub-" not in (bundle.path / "model.json").read_text()


def test_maps_of_parcels_are_those_of_plain_arithmetic(tmp_path, capsys):
    xcpd = describe_dataset(tmp_path / "xcp_d", pipeline="XCP-D")
    axis, series = load_bundle("hcp-glasser").places.axis, rest()
    name = "sub-01_task-rest_space-fsLR_seg-Glasser_den-91k_stat-mean_timeseries"
    save_series(xcpd / f"sub-01/func/{name}.ptseries.nii", series, axis, TR)
    words = [str(xcpd), str(tmp_path / "out"), "participant", "--model", "hcp-glasser"]
    assert main([*words, "--no-reports"]) == 0, capsys.readouterr().err
    (path,) = (tmp_path / "out").rglob("*_desc-synthetic_statmap.pscalar.nii")
    image, expected = nib.load(path), predict(series)
    np.testing.assert_allclose(image.get_fdata(), expected, atol=1e-5 * np.abs(expected).max())
    labels = [row.label for row in load_bundle("hcp-glasser").contrasts]
    assert list(image.header.get_axis(0).name) == labels
    (sidecar,) = (tmp_path / "out/sub-01").rglob("*_statmap.json")
    assert "HCP Consortium Open Access Data Use Terms" in sidecar.read_text()
