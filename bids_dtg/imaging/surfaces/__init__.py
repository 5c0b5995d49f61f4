"""Maps on surface vertices, and as grayordinates.

- `meshes`: surfaces that ship with the package and a participant's own; values at their vertices
- `cifti`: the standard 91,282 grayordinates of cortex and subcortex; CIFTI parcels and their files
- `vertices`: vertices of the cortex in the space of volumes, and means of parcels over them
- `painting`: values of parcels painted at voxels or vertices, and read over parcels
- `parcel_series`: a run's time series of CIFTI parcels
"""
