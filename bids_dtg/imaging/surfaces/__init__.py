"""Maps on surface vertices, and as grayordinates.

- `meshes`: surfaces that ship with the package and a participant's own; values at their vertices
- `cifti`: the standard 91,282 grayordinates of cortex and subcortex; CIFTI parcels and their files
- `parcel_series`: a run's time series of CIFTI parcels
"""
