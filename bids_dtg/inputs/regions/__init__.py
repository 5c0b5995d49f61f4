"""Regions of the brain: where they lie, and what is known of each.

- `known_atlases`: atlases that have a name, where their files are, and their terms
- `atlases`: atlases by name, by file and in BIDS data sets of atlases; the space they are in
- `maps`: maps of the cortex by region, as a table
- `positions`: where the regions of the Desikan-Killiany atlas lie
- `sides`: which hemisphere a region is in, by its name
"""
