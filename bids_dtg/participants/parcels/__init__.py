"""Runs of rest as series of the parcels of one atlas: what workflows that read them share.

- `atlas`: which atlas a call reads runs by
- `measure`: one run: its parcels' series
- `request`: what a call asks for that has one
- `worker`: the unit of work: a participant's runs are read as series, and averages made of these
- `write`: the files of a run that say what was measured
"""
