"""The estimator gives the maps of the command line, and keeps to scikit-learn's conventions."""

from __future__ import annotations

import pickle
from dataclasses import fields
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import sklearn
from fmriprep_dataset import make_image
from maps_bundle import TINY_AFFINE, TINY_SHAPE, tiny_masks
from maps_job import TR, TinyJob, add_rest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

import bids_dtg
from bids_dtg import TaskMaps
from bids_dtg.connectome.connectome import Connectome
from bids_dtg.connectome.form import Form
from bids_dtg.errors import BundleError, RunError, SettingsError
from bids_dtg.settings import CleaningOptions

pytestmark = pytest.mark.filterwarnings("ignore:.*for the model")


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> TinyJob:
    """Return a job with two participants, whose maps the command line has made."""
    finished = TinyJob(tmp_path_factory.mktemp("job"), ("01", "02"))
    assert finished.run("--denoise-strategy", "simple") == 0
    return finished


@pytest.fixture(scope="module")
def maps(job) -> TaskMaps:
    """Return the estimator of the same model."""
    return TaskMaps(str(job.model), device="cpu", threads=1).fit()


@pytest.fixture(scope="module")
def atlas(tmp_path_factory) -> Path:
    """Write a label image on the tiny model's grid, with the names of its three regions."""
    path = (
        tmp_path_factory.mktemp("atlas")
        / "tpl-MNI152NLin6Asym_atlas-halves_dseg.nii.gz"
    )
    labels = np.repeat(np.arange(3, dtype=np.int16) + 1, 4)[None, :, None] * np.ones(
        TINY_SHAPE, np.int16
    )
    make_image(path, labels, TINY_AFFINE)
    lines = ["index\tname", "1\tback", "2\tmiddle", "3\tfront"]
    path.with_name(path.name.replace(".nii.gz", ".tsv")).write_text(
        "\n".join(lines) + "\n"
    )
    return path


def bold_of(job: TinyJob, label: str = "01") -> Path:
    (path,) = (job.bids / f"sub-{label}").rglob("*_bold.nii.gz")
    return path


def written(job: TinyJob, contrast: str, label: str = "01", out: Path | None = None):
    (path,) = (out or job.out).rglob(
        f"sub-{label}_*contrast-{contrast}_*synthetic_statmap.nii.gz"
    )
    return nib.load(path)


def bits(image) -> bytes:
    return np.asarray(image.dataobj, np.float32).tobytes()


def test_maps_are_those_of_the_command_line_byte_for_byte(job, maps):
    image = maps.transform(bold_of(job))
    assert image.shape == (*TINY_SHAPE, 3)
    for contrast, volume in zip(maps.contrasts_, nib.four_to_three(image), strict=True):
        wanted = written(job, contrast)
        assert bits(volume) == bits(wanted)
        assert np.ptp(np.asarray(wanted.dataobj)) > 0
        np.testing.assert_array_equal(volume.affine, wanted.affine)
        for key in ("qform_code", "sform_code", "intent_code", "datatype"):
            assert volume.header[key] == wanted.header[key], key


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"denoise_strategy": "scrubbing", "fd_threshold": 0.09},
        {"denoise_strategy": "36p", "dummy_scans": "2", "interpolation": "nearest"},
        {"denoise_strategy": "none", "low_pass": 0.04, "smoothing_fwhm": 5.0},
    ],
    ids=["scrubbing", "36P", "filter"],
)
def test_options_do_what_they_do_on_the_command_line(tmp_path, options):
    job = TinyJob(tmp_path, ())
    add_rest(job.bids, frames=90)  # as many columns are removed
    parameters = {"denoise_strategy": "simple", **options}
    words = [w for k, v in parameters.items() for w in (f"--{k.replace('_', '-')}", v)]
    assert job.run(*words) == 0
    maps = TaskMaps(str(job.model), device="cpu", threads=1, **options).fit()
    image = maps.transform(bold_of(job))
    for contrast, volume in zip(maps.contrasts_, nib.four_to_three(image), strict=True):
        assert bits(volume) == bits(written(job, contrast))


@pytest.mark.slow
def test_paths_images_and_runs_are_one(job, maps):
    path = bold_of(job)
    wanted = bits(maps.transform(path))
    run, _ = bids_dtg.find_runs(job.settings())
    for same in (str(path), nib.load(path), run):
        assert bits(maps.transform(same)) == wanted


@pytest.mark.slow
def test_a_file_of_another_name_is_in_the_models_space(job, tmp_path):
    image = nib.load(bold_of(job))
    image.to_filename(tmp_path / "my_bold_2.nii.gz")
    maps = TaskMaps(str(job.model), "none", "cpu", threads=1).fit()
    with pytest.warns(UserWarning, match=r"sub-mybold2: .*no brain mask"):
        of_file = maps.transform(tmp_path / "my_bold_2.nii.gz")
    assert bits(of_file) == bits(clone(maps).fit().transform(_in_memory(image)))


def _in_memory(image):
    return nib.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header)


@pytest.mark.slow
def test_an_image_in_memory_is_cleaned_with_what_is_handed_over(job, maps):
    path = bold_of(job)
    table = path.with_name("sub-01_task-rest_desc-confounds_timeseries.tsv")
    mask = path.with_name(path.name.replace("preproc_bold", "brain_mask"))
    stored = nib.load(path)
    image = nib.Nifti1Image(np.asarray(stored.dataobj), stored.affine, stored.header)
    wanted = bits(maps.transform(path))
    masked = clone(maps).set_params(mask_img=str(mask)).fit()
    frame = pd.read_csv(table, sep="\t", dtype=str, keep_default_na=False)
    for confounds in (table, str(table), frame):
        assert bits(masked.transform(image, confounds)) == wanted
    again = clone(masked).set_params(mask_img=nib.load(mask)).fit()
    assert bits(again.transform(image, confounds=table)) == wanted
    with pytest.warns(UserWarning, match="no brain mask"):
        maps.transform(image, table)


@pytest.mark.slow
@pytest.mark.parametrize("stored", [np.float16, np.uint8])
def test_values_in_memory_are_not_rounded(job, stored):
    """The header of a scaled file of whole numbers does not decide how they are written."""
    rng = np.random.default_rng(1)
    values = (1 + rng.random((*TINY_SHAPE, 60)) * 2).astype(stored)
    if stored is not np.uint8:
        # Outside the brain: whole numbers of 16 bits would be steps of 1.
        values[0, 0, 0] = 6e4
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_xyzt_units("mm", "sec")
    image = nib.Nifti1Image(values, TINY_AFFINE, header)
    exact = nib.Nifti1Image(values.astype(np.float64), TINY_AFFINE)
    for in_memory in (image, exact):
        in_memory.header.set_xyzt_units("mm", "sec")
        in_memory.header.set_zooms((2, 2, 2, TR))
    maps = TaskMaps(str(job.model), "none", "cpu", threads=1).fit()
    rounded, wanted = (
        maps.transform(in_memory).get_fdata() for in_memory in (image, exact)
    )
    np.testing.assert_allclose(rounded, wanted, atol=1e-5)
    assert image.get_data_dtype() == np.int16


@pytest.mark.slow
def test_an_array_of_confounds_is_removed_in_place_of_the_strategys(job, maps):
    path = bold_of(job)
    drift = np.linspace(-1, 1, 60)
    image = nib.load(path)
    spoilt = np.asarray(image.dataobj) + 500 * drift
    by_hand = TaskMaps(str(job.model), "none", "cpu", threads=1).fit()
    spoilt = nib.Nifti1Image(spoilt.astype(np.float32), image.affine, image.header)
    with pytest.warns(UserWarning, match="no brain mask"):
        by_row = maps.transform(spoilt, drift)
    again, without = (
        by_hand.transform(spoilt, drift[:, None]),
        by_hand.transform(spoilt),
    )
    clean = by_hand.transform(nib.load(path), drift)
    assert bits(by_row) == bits(again)
    close = np.corrcoef(by_row.get_fdata().ravel(), clean.get_fdata().ravel())[0, 1]
    assert close > 0.999
    assert np.abs(without.get_fdata() - clean.get_fdata()).max() > 0.01


@pytest.mark.slow
def test_frames_are_kept_by_index_or_by_truth(job):
    maps = TaskMaps(str(job.model), "none", "cpu", threads=1).fit()
    image = nib.load(bold_of(job))
    values = np.asarray(image.dataobj).astype(np.float32)
    keep = np.arange(60) >= 5
    values[..., :5] = 1e4
    spoilt = nib.Nifti1Image(values, image.affine, image.header)
    masks = [keep, np.flatnonzero(keep), list(np.flatnonzero(keep))]
    cut = nib.Nifti1Image(values[..., 5:], image.affine, image.header)
    contents = [bits(maps.transform(spoilt, sample_mask=mask)) for mask in masks]
    assert contents[0] == contents[1] == contents[2]
    np.testing.assert_allclose(
        np.frombuffer(contents[0], np.float32),
        np.frombuffer(bits(maps.transform(cut)), np.float32),
        atol=1e-3,
    )
    for wrong in (keep[1:], [60]):
        with pytest.raises(ValueError, match="invalid indices of 60 frames"):
            maps.transform(image, sample_mask=wrong)


def test_a_chosen_data_frame_with_other_columns_is_reported(job, maps):
    table = bold_of(job).with_name("sub-01_task-rest_desc-confounds_timeseries.tsv")
    frame = pd.read_csv(table, sep="\t").drop(columns="framewise_displacement")
    with pytest.warns(
        UserWarning, match=r"csf_power2.* were not removed.*pass an array"
    ):
        maps.transform(bold_of(job), frame)


def test_several_images_give_a_list(job, maps):
    paths = [bold_of(job, label) for label in ("01", "02")]
    images = maps.transform(paths)
    assert [bits(image) for image in images] == [
        bits(maps.transform(path)) for path in paths
    ]
    assert bits(images[0]) != bits(images[1])
    assert [bits(image) for image in maps.transform(paths, [None, None])] == list(
        map(bits, images)
    )
    with pytest.raises(
        ValueError, match=r"confounds must be a list, .* 2 images, not 1"
    ):
        maps.transform(paths, [None])


@pytest.mark.slow
def test_a_connectome_at_hand_gives_its_maps(job, maps):
    run, _ = bids_dtg.find_runs(job.settings(denoise_strategy="simple"))
    bundle = bids_dtg.load_bundle(job.model)
    connectome = bids_dtg.measure(
        run, bundle, CleaningOptions(denoise_strategy="simple")
    )
    of_connectome = bids_dtg.predict_maps(connectome, bundle, device="cpu", threads=1)
    image = maps.transform(run)
    np.testing.assert_array_equal(
        image.get_fdata()[bundle.voxels.mask].T, of_connectome.values
    )
    with pytest.raises(SettingsError, match=r"\(3, 9\). Expected: \(4, "):
        bids_dtg.predict_maps(
            Connectome(np.zeros((3, 9), np.float32), 100, 200.0), bundle
        )
    with pytest.raises(SettingsError, match=r"partial.*Expected: .*which tiny reads"):
        bids_dtg.predict_maps(
            Connectome(of_connectome.values, 100, 200.0, form=Form("partial")), bundle
        )


@pytest.mark.slow
@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_a_data_frame_of_regions(job, maps, atlas, container):
    pytest.importorskip(container)
    paths = [bold_of(job, label) for label in ("01", "02")]
    regions = (
        clone(maps)
        .set_params(atlas=str(atlas), min_coverage=0.0)
        .set_output(transform=container)
    )
    frame = regions.fit_transform(paths)
    assert type(frame).__module__.split(".")[0] == container
    assert frame.shape == (2, 9)
    assert list(frame.columns)[:2] == [
        f"{maps.contrasts_[0]}__{name}" for name in ("back", "middle")
    ]
    assert list(regions.get_feature_names_out()) == list(frame.columns)
    if container == "pandas":
        import pandas as pd

        of_series = regions.transform(pd.Series(paths, index=[7, 3]))
        assert of_series.index.tolist() == [7, 3]
    labels = np.asarray(nib.load(atlas).dataobj)
    for row, image in zip(np.asarray(frame), maps.transform(paths), strict=True):
        values, inside = image.get_fdata(), maps.bundle_.voxels.mask
        wanted = [
            values[..., contrast][inside & (labels == label)].mean()
            for contrast in range(3)
            for label in (1, 2, 3)
        ]
        np.testing.assert_allclose(row, wanted, atol=1e-6)


@pytest.mark.slow
def test_the_containers_of_scikit_learn(job, maps, atlas):
    regions = clone(maps).set_params(atlas=str(atlas), min_coverage=0.0).fit()
    assert isinstance(regions.transform(bold_of(job)), nib.Nifti1Image)
    with sklearn.config_context(transform_output="pandas"):
        assert regions.transform(bold_of(job)).shape == (1, 9)
    with pytest.raises(ValueError, match=r"'arrow'. Expected: default, pandas, polars"):
        regions.set_output(transform="arrow")
    assert isinstance(
        clone(regions.set_output(transform="pandas")).fit_transform(bold_of(job)),
        pd.DataFrame,
    )
    with pytest.raises(SettingsError, match="atlas=None"):
        clone(maps).set_params(atlas=None).set_output(transform="pandas").fit_transform(
            bold_of(job)
        )


@pytest.mark.slow
def test_regions_that_the_mask_cannot_fill_have_no_column(job, maps, tmp_path):
    inside = tiny_masks()[1]
    # One region within the mask, one of which it holds two of five voxels, one outside of it.
    labels = np.where(inside, 1, 0).astype(np.int16)
    within, outside = np.argwhere(inside)[:2], np.argwhere(~inside)
    labels[tuple(np.concatenate([within, outside[:3]]).T)] = 2
    labels[tuple(outside[3:].T)] = 3
    path = tmp_path / "tpl-MNI152NLin6Asym_atlas-parts_dseg.nii.gz"
    make_image(path, labels, TINY_AFFINE)
    path.with_name("tpl-MNI152NLin6Asym_atlas-parts_dseg.tsv").write_text(
        "index\tname\n1\twithin\n2\tpartly\n3\toutside\n"
    )
    for least, regions in ((0.5, ["within"]), (0.3, ["within", "partly"])):
        frames = clone(maps).set_params(atlas=str(path), min_coverage=least)
        frame = frames.set_output(transform="pandas").fit_transform(bold_of(job))
        assert list(frame.columns) == list(frames.get_feature_names_out())
        assert [name.split("__")[1] for name in frame.columns] == regions * 3
        assert frame.notna().all(axis=None)
    labels[labels == 1] = 0
    make_image(path, labels, TINY_AFFINE)
    nowhere = clone(maps).set_params(atlas=str(path)).set_output(transform="pandas")
    with pytest.raises(
        SettingsError, match="the model's mask holds at most 40% of a region"
    ):
        nowhere.fit_transform(bold_of(job))


@pytest.mark.slow
def test_it_stands_in_a_pipeline(job, maps, atlas):
    paths = [bold_of(job, label) for label in ("01", "02")] * 2
    pipeline = make_pipeline(
        clone(maps).set_params(atlas=str(atlas), min_coverage=0.0), Ridge()
    )
    pipeline.set_output(transform="pandas")
    predicted = cross_val_predict(pipeline, paths, [0.0, 1.0, 0.0, 1.0], cv=2)
    assert predicted.shape == (4,)
    pipeline.set_params(taskmaps__denoise_strategy="none", ridge__alpha=1e-12)
    pipeline.fit(paths[:2], [0.0, 1.0])
    assert pipeline.predict(paths) == pytest.approx([0.0, 1.0, 0.0, 1.0], abs=1e-2)


def test_clones_and_parameters(maps):
    copied = clone(maps)
    assert copied.get_params() == maps.get_params()
    assert (
        copied.set_params(denoise_strategy="none", gsr=False).denoise_strategy == "none"
    )
    with pytest.raises(ValueError, match="Invalid parameter 'denoise_stategy'"):
        copied.set_params(denoise_stategy="none")
    chosen = copied.set_output(transform="pandas")
    assert clone(chosen.set_output())._sklearn_output_config == {"transform": "pandas"}
    with pytest.raises(sklearn.exceptions.NotFittedError):
        copied.transform("nowhere.nii.gz")
    assert repr(TaskMaps("demo")) == "TaskMaps(model='demo')"


def test_options_of_the_cleaning_are_those_of_the_command_line():
    parameters = TaskMaps().get_params()
    for field in fields(CleaningOptions):
        if field.name not in ("custom_confounds", "denoise_strategy"):
            assert parameters[field.name] == field.default, field.name
    assert (
        parameters["model"],
        parameters["denoise_strategy"],
        parameters["device"],
    ) == (
        None,
        "simple",
        "auto",
    )


def test_a_fitted_estimator_travels(job, maps):
    path = bold_of(job)
    assert bits(pickle.loads(pickle.dumps(maps)).transform(path)) == bits(
        maps.transform(path)
    )
    changed = pickle.loads(pickle.dumps(maps)).set_params(gsr=True, threads=2)
    copy = pickle.loads(pickle.dumps(changed))
    assert bits(copy.transform(path)) == bits(changed.transform(path))
    unfitted = pickle.loads(pickle.dumps(clone(maps)))
    assert not hasattr(unfitted, "bundle_")


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"model": "nowhere"}, BundleError, "nowhere"),
        (
            {"denoise_strategy": "sample"},
            SettingsError,
            "--denoise-strategy is 'sample'",
        ),
        (
            {"denoise_strategy": "none", "gsr": True},
            SettingsError,
            "--gsr was given with",
        ),
        ({"device": "gpu"}, SettingsError, "--device is 'gpu'"),
        ({"low_pass": -1.0}, SettingsError, "--low-pass is -1"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_fitted(job, options, kind, message):
    with pytest.raises(kind, match=message):
        TaskMaps(**({"model": str(job.model)} | options)).fit()


def test_files_that_cannot_be_used_are_named(job, maps, tmp_path):
    with pytest.raises(RunError, match=r"nowhere_bold.nii.gz"):
        maps.transform(tmp_path / "sub-01_nowhere_bold.nii.gz")
    with pytest.raises(
        TypeError, match="an image is a path, a nibabel image or a run, not int"
    ):
        maps.transform(3)
    with pytest.raises(
        RunError, match=r"^sub-01: .*confounds_timeseries.tsv has 7 rows"
    ):
        maps.transform(bold_of(job), np.zeros((7, 2)))
    image = nib.load(bold_of(job))
    image = nib.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header)
    with pytest.raises(RunError, match=r"sub-image.*has no confounds table"):
        maps.transform(image)


# Checks of arrays and of what is learnt: `transform` takes images and paths, and `fit` no data.
NOT_APPLICABLE = {
    *(
        "check_fit_score_takes_y",
        "check_n_features_in_after_fitting",
        "check_n_features_in",
    ),
    *("check_estimators_dtypes", "check_complex_data", "check_dtype_object"),
    *("check_estimators_empty_data_messages", "check_pipeline_consistency"),
    *(
        "check_estimators_nan_inf",
        "check_estimator_sparse_tag",
        "check_estimators_pickle",
    ),
    *("check_f_contiguous_array_estimator", "check_transformer_data_not_an_array"),
    *("check_transformer_general", "check_transformer_preserve_dtypes"),
    *("check_methods_sample_order_invariance", "check_methods_subset_invariance"),
    *(
        "check_dict_unchanged",
        "check_fit_idempotent",
        "check_fit1d",
        "check_fit2d_predict1d",
    ),
}


class OfArrays(TaskMaps):
    """The same, said to take arrays: scikit-learn checks no estimator that says it does not."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.no_validation = True, False
        return tags


@pytest.mark.slow
def test_scikit_learns_checks_pass_where_they_apply(job):
    estimator = OfArrays(str(job.model), device="cpu", threads=1)
    passed = set()
    for checked, check in estimator_checks.estimator_checks_generator(estimator):
        if (name := check.func.__name__) not in NOT_APPLICABLE:
            check(checked)
            passed.add(name)
    assert {"check_estimator_cloneable", "check_no_attributes_set_in_init"} <= passed
