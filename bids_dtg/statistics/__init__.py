"""Statistics over participants, from any workflow's results or from measured maps.

- `analyses`: the table of these analyses
- `asked`: phenotypes and covariates as numbers, and as parts of file names
- `stats`: tests of means, associations and session differences in each region, voxel or edge
- `phenotypes`: prediction of phenotypes from maps, edges and measured maps
- `embed`: low-dimensional layouts of people and their maps
"""
