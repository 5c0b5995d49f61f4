"""Images: reading in blocks, resampling to a grid, and writing.

- `grid`: a model's grid: shape, affine, space
- `places`: where a model has values: voxels of a grid or named parcels; measured maps there
- `sampling`: looking up or interpolating grid voxels in a file
- `splines`: cubic B-spline interpolation of frames
- `placement`: grid voxels in the files of a run, in any space; maps at points between voxels
- `transforms`: transforms between spaces, from files of ITK and FSL
- `smoothing`: Gaussian smoothing within the voxels that have data
- `nifti`: reading headers, masks and maps; writing maps
- `bold`: a run's repetition time, and its frames, read once in blocks by a thread
- `surfaces`: maps on surface vertices, and as grayordinates
- `given_images`: images and confounds in Python, used as a run of files
- `atlas`: a label image at a model's voxels, and means over its parcels
"""
