"""What is written of parcels beside their tables: matrices as CIFTI, where the atlas has a form."""

import nibabel as nib
import numpy as np
from label_files import write_dlabel
from network_job import REGIONS, NetworkJob

from bids_dtg.files.regions.relmat import read_relmat


def test_a_matrix_between_parcels_is_cifti_too_where_the_atlas_has_a_form(tmp_path):
    job = NetworkJob(tmp_path, ("01",))
    form = job.atlas.name.replace("space-MNI152NLin6Asym", "space-fsLR_den-91k")
    write_dlabel(job.folder / form.replace(".nii.gz", ".dlabel.nii"), REGIONS)
    assert job.run() == 0
    (path,) = job.out.rglob("*_space-fsLR_*_den-91k_stat-pearsoncorrelation_relmat.pconn.nii")
    (table,) = job.out.rglob("*_stat-pearsoncorrelation_relmat.tsv")
    image, matrix = nib.load(path), read_relmat(table)
    assert [tuple(image.header.get_axis(axis).name) for axis in (0, 1)] == [REGIONS, REGIONS]
    np.testing.assert_allclose(image.get_fdata(), matrix.values, atol=1e-6)
    assert path.with_name(path.name.replace(".pconn.nii", ".json")).is_file()
