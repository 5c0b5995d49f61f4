"""The participants of a group analysis, their variables, and the folder of its results.

- `features`: features of many participants, one contrast at a time
- `frames`: the content of an output folder as a data frame
- `maps`: which maps are used, and their values at voxels or parcels
- `mean_maps`: mean and standard deviation of maps, and their files
- `run_table`: quality of all runs, and values far from those of other runs
- `region_tables`: participants' tables of regions in the output, and which are left out
- `participant_sources`: participants to train or evaluate a model of regions on
- `splits`: who is in which set of a given split, and folds
- `group_participants`: participants whose maps are analysed together, and their variables
- `model_analysis`: a run of an analysis that trains or uses a model of regions
- `recognised_participants`: copies of a participant, and participants on whom a model was trained
- `result_folder`: the folder of an analysis's results
- `result_table`: tables of results: file, data dictionary and the page's table
"""
