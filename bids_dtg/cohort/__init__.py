"""The people of an analysis: who they are, what is known of them, and the folder of its results.

- `array_people`: people of files of arrays: rows that can be used, and who is for what
- `basis`: what results rest on: options that made a model, or a model that was used
- `column`: a column of a table of results
- `features`: numbers of many people side by side, one contrast at a time
- `frames`: what an output folder holds, as a data frame
- `mean_maps`: mean and spread of all maps, in one pass over the files
- `measured_maps`: a measured map at the places where values are wanted
- `output_tables`: tables of regions that the participant level has written
- `people`: whose maps are looked at together, and what is known of them
- `model_analysis`: one call of an analysis of a model of regions
- `result_folder`: the folder of one analysis' results, and which files are its own
- `result_table`: a table of results: the file, its data dictionary and the page's table
"""
