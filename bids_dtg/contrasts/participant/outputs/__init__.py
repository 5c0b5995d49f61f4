"""Files of an average of contrast maps: one module for each form of output.

- `choice`: which contrasts and kinds of files are written
- `half_width_files`: maps of the half-widths of intervals, the same for all participants
- `layers`: the kinds of values of an average: maps, half-widths
- `map_files`: images on the model's grid, with their sidecars
- `parcel_files`: maps of parcels, a CIFTI file for each kind of value
- `region_files`: tables of means over the parcels of atlases
- `space_files`: maps in another space, with their sidecars
- `spaces`: other spaces that maps are also written in: the table of them
- `surface_files`: maps at the vertices of surfaces, and as grayordinates
- `write`: writes all of an average and of its runs, and records that it is complete
"""
