"""All participants of an output side by side: the quality table, mean maps and the page.

- `analysis`: the quality table of all runs, and the pages over all participants
- `half_maps`: how well the maps of two halves of rest agree beyond the mean map
- `page`: all participants side by side
- `regions`: one long table of all participants' means over parcels
"""
