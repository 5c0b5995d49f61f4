"""All participants of an output: the quality table, mean maps and the page.

- `analysis`: the quality table of all runs, mean maps, also compared with measured ones, the pages
- `page`: the page of all participants
"""
