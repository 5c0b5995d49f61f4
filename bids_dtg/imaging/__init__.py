"""Images: read in blocks, placed on a grid, written as bytes.

Grids and points:

- `places`: where values are wanted: voxels of a grid, or names in a list; coarse blocks over them
- `grid`: a model's grid: shape, affine, space
- `sampling`: where grid voxels lie in a file, on its lattice or between its voxels; the voxels
  around points, and their weights
- `splines`: cubic B-splines through the voxels of frames
- `placement`: where voxels lie in any file of a run
- `point_sampling`: maps at points between voxels: vertices, or the voxels of another space
- `smoothing`: Gaussian smoothing among voxels that have data
- `transforms`: transforms between spaces, from files of ITK and FSL

Files:

- `header`: bytes and header of a NIfTI file, or one line that says why there are none
- `repetition_time`: the time between a run's frames, by its sidecar and its header
- `begun`: a BOLD file that a process inflates before anything else of a call is ready
- `bold`: a BOLD file, read once in blocks of frames by a thread
- `mean_frame`: the mean of its first frames, summed up as they pass by
- `nifti`: masks and maps in; statistic maps out
- `surfaces`: maps at the vertices of surfaces, and as grayordinates
- `statmap`: a measured statistic map at points
- `given_images`: images and confounds that people hold in Python, taken as a run of files
- `atlas`: a label image at a model's voxels, and means over its parcels
"""
