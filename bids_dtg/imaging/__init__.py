"""Images: read in blocks, placed on a grid, written as bytes.

- `grid`: a model's grid: shape, affine, space
- `places`: where values are wanted: voxels of a grid, or names in a list; measured maps there
- `sampling`: where grid voxels lie in a file, on its lattice or between its voxels
- `splines`: cubic B-splines through the voxels of frames
- `placement`: where voxels lie in any file of a run; maps at points between voxels
- `transforms`: transforms between spaces, from files of ITK and FSL
- `smoothing`: Gaussian smoothing among voxels that have data
- `nifti`: headers, masks and maps in; maps out
- `bold`: a run's repetition time, and its frames, read once in blocks by a thread
- `surfaces`: maps at the vertices of surfaces, and as grayordinates
- `given_images`: images and confounds that people hold in Python, taken as a run of files
- `atlas`: a label image at a model's voxels, and means over its parcels
"""
