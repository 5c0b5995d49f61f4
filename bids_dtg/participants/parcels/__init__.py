"""Runs of rest as series of the parcels of one atlas: what workflows that read them share.

- `measure`: one run: its parcels' series
- `request`: what a call asks for that has one atlas, and the unit of work: runs read as series
- `write`: the files of a run that say what was measured
"""
