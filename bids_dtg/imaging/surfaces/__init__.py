"""Maps of a model's voxels at the vertices of surfaces, and as grayordinates.

- `meshes`: surfaces that ship with the package and a participant's own; values at their vertices
- `cifti`: the standard 91,282 places of cortex and subcortex; parcels as places, and their files
"""
