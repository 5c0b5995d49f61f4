"""The group level: what is made of all participants together.

- `tables`: the quality table of all runs, and the pages over all participants
- `frames`: what an output folder holds, as a data frame
- `regions`: one long table of all participants' means over parcels
- `mean_maps`: mean and spread of all maps, in one pass over the files
- `deviation`: what is each person's own, against all others
- `half_maps`: how well the maps of two halves of rest agree beyond the mean map
"""
