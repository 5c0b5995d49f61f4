"""Regions of the brain: where they lie, and what is known of each.

- `known_atlases`: atlases that have a name, where their files are, and their terms
- `atlases`: atlases by name, by file and in BIDS data sets of atlases; the space they are in
- `cortex`: maps of the cortex by region, where regions lie, and their hemispheres
"""
