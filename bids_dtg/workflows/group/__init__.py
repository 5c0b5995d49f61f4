"""The group level: what is made of all participants together.

- `tables`: the quality table of all runs, and the pages over all participants
- `frames`: what an output folder holds, as a data frame
- `regions`: one long table of all participants' means over parcels
- `mean_maps`: mean and spread of all maps, in one pass over the files
- `deviation`: what is each person's own, against all others
- `people`: whose maps are looked at together, and what is known of them
- `feature_kinds`: what can be looked at in each participant: one table
- `features`: these numbers side by side, one contrast at a time
- `group_maps`: what is tested over maps, and what is found
- `stats`: group maps: these tests, and predicted beside measured group maps
- `results`: the folder of one analysis over people
- `phenotypes`: phenotypes predicted from connectomes, maps and regions
- `asked`: which phenotypes are asked for, and how files are named after them
- `associate`: association of each region, edge or voxel with phenotypes
- `normative`: how far regions lie from what age, sex and site let expect
- `embedding`: people and their maps in few dimensions; typical and atypical people
- `glm`: maps of task runs, for people who have none
- `first_level`: designs of task runs, their fit, and what is written of it
- `half_maps`: how well the maps of two halves of rest agree beyond the mean map
"""
