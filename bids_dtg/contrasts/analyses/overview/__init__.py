"""All participants of an output: the quality table, mean maps and the page.

- `analysis`: the quality table of all runs, and the pages over all participants
- `comparison`: mean maps of predictions compared with those of measured maps
- `page`: the page of all participants
- `regions`: a table for each atlas of all participants' means over parcels
"""
