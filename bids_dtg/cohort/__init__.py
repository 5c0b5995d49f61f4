"""The people of an analysis, variables on them, and the folder of its results.

- `features`: features of many people, one contrast at a time
- `frames`: the content of an output folder, as a data frame
- `maps`: which maps of people count, their values at voxels, mean and spread
- `region_people`: people whose regions have values: tables, array files, sets and folds
- `people`: people whose maps are analysed together, and variables on them
- `model_analysis`: one call of an analysis of a model of regions
- `result_folder`: the folder of one analysis' results
- `result_table`: tables of results: columns, the file, its data dictionary and the page's table
- `known_people`: copies of a person, who are a family, and participants of a model's training
"""
