"""What is written for an average: chosen contrasts and kinds of output."""

import nibabel as nib
import numpy as np
import pytest
from maps_bundle import TINY_AFFINE, TINY_SHAPE
from maps_job import TinyJob, tree

QUALITY = "_qc.tsv"


class RegionJob(TinyJob):
    """A tiny job with an atlas of its own: parcels of Schaefer's lie beside its mask."""

    def arguments(self, *options, out=None):
        atlas = self.folder / "atlas-Mine_space-MNI152NLin6Asym_dseg.nii.gz"
        if not atlas.exists():
            labels = np.arange(np.prod(TINY_SHAPE)).reshape(TINY_SHAPE) % 5
            nib.save(nib.Nifti1Image(labels.astype(np.int16), TINY_AFFINE), atlas)
        return super().arguments("--atlases", atlas, *options, out=out)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    job = RegionJob(tmp_path_factory.mktemp("whole"))
    assert job.run() == 0
    return job


def written(out):
    return {
        name: digest
        for name, digest in tree(out).items()
        if name.startswith(("sub-01", "tpl-")) and not name.endswith(QUALITY)
    }


@pytest.mark.slow
def test_files_of_chosen_contrasts_are_the_bytes_of_the_whole_run(whole, tmp_path):
    first = whole.bundle.contrasts[0].label
    out = tmp_path / "out"
    assert whole.run("--contrast", first.upper(), out=out) == 0
    everything, some = written(whole.out), written(out)
    maps = {name for name in everything if "_contrast-" in name}
    assert {name for name in some if "_contrast-" in name} == {
        name for name in maps if f"_contrast-{first}_" in name
    }
    several = {name for name in some if some[name] != everything.get(name)}
    # What is of all contrasts: the table, and the sidecar.
    assert {name.rpartition("_")[2] for name in several} == {
        "statmap.tsv",
        "statmap.json",
    }
    (table,) = out.glob("sub-01/func/*_desc-regions_statmap.tsv")
    theirs = whole.out / table.relative_to(out)
    assert table.read_text() == "".join(
        line
        for n, line in enumerate(theirs.read_text().splitlines(keepends=True))
        if not n or line.startswith(f"{first}\t")
    )


@pytest.mark.slow
def test_all_files_of_an_average_are_of_the_last_call(whole, tmp_path, capsys):
    first, *_ = whole.bundle.contrasts
    out = tmp_path / "out"
    assert whole.run("--contrast", first.label, "--write", "maps", out=out) == 0
    assert not list(out.glob("sub-01/func/*_desc-regions_statmap.tsv"))
    assert whole.run(out=out) == 0
    assert "options contrast changed" in capsys.readouterr().err
    assert written(out) == written(whole.out)
    assert whole.run("--write", "regions", out=out) == 0
    assert not list(out.glob("sub-01/func/*_statmap.nii.gz"))
    assert list(out.glob("sub-01/func/*_desc-regions_statmap.tsv"))


@pytest.mark.slow
def test_without_maps_pages_tables_and_provenance_are_there(tmp_path):
    job = RegionJob(tmp_path)
    job.reports = True
    assert job.run("--write", "regions") == 0
    assert not list(job.out.glob("sub-01/func/*_statmap.nii.gz"))
    page = (job.out / "sub-01.html").read_text()
    assert "without maps" in page
    assert 'id="provenance"' in page
    assert "Results without maps, which were not requested (--write)" in page
