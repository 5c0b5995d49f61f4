"""What simulators of all workflows share: anatomy, motion, noise, runs and their files.

- `streams`: random streams: one for each use, person, session and segment
- `anatomy`: where the tissues lie, and smooth random fields
- `run`: a run, streamed some frames at a time: head motion, what is not neural, and its files
- `regions`: people whose regions have series: parcels, runs of rest, data sets
"""
