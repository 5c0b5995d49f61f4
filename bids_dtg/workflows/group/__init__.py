"""The group level: what is made of all participants together.

- `tables`: the quality table of all runs, and the pages over all participants
- `mean_maps`: mean and spread of all maps, in one pass over the files
"""
