"""Analyses over people that read any model's output, or measured maps: a folder an analysis.

- `analyses`: the table of these analyses
- `asked`: which phenotypes are asked for, and how files are named after them
- `associate`: association of regions, edges or voxels with phenotypes
- `deviation`: what is each person's own, against all others
- `embed`: people and their maps as points
- `glm`: first-level analysis of task runs, one run at a time
- `group_maps`: group maps: what is tested over participants' maps, and what is found
- `normative`: deviations of regions from what age, sex and site let expect
- `phenotypes`: prediction of phenotypes from maps, regions and connectomes
"""
