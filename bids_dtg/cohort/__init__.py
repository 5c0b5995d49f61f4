"""The people of an analysis: who they are, what is known of them, and the folder of its results.

- `array_people`: people of files of arrays: rows that can be used, and who is for what
- `columns`: columns of tables explained by patterns of their names
- `features`: numbers of many people side by side, one contrast at a time
- `frames`: what an output folder holds, as a data frame
- `mean_maps`: mean and spread of all maps, in one pass over the files
- `measured_maps`: a measured map at the places where values are wanted
- `output_tables`: tables of regions that the participant level has written
- `people`: whose maps are looked at together, and what is known of them
- `result_folder`: the folder of one analysis: what it may replace, how it was made
- `results`: the folder of one analysis over people
"""
