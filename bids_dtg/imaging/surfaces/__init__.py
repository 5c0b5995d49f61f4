"""Maps of a model's voxels at the vertices of surfaces, and as grayordinates.

- `cifti`: the bytes of CIFTI-2 files
- `templates`: surfaces that ship with the package, for people without surfaces of their own
- `resampling`: from one mesh of a sphere to another
- `midthickness`: a participant's own surfaces in the model's space, checked
- `parcel_places`: parcels as places, and files of their series and maps
- `grayordinates`: the standard 91,282 places of cortex and subcortex, and maps at them
"""
