"""What is written of a set of contrast maps: one module a form of output.

- `layers`: the kinds of values of a set: maps, their spread, halves, half-widths
- `map_files`: images on the model's grid, with their sidecars
- `half_widths`: maps of the half-widths of intervals, the same for all participants
- `region_files`: tables of means over the parcels of atlases
- `spaces`: other spaces that maps are also written in: the table of them
- `space_files`: maps in another space, with their sidecars
- `surface_files`: maps at the vertices of surfaces, and as grayordinates
- `write`: writes all of a set and of its runs, and records that it is complete
"""
