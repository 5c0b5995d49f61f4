"""What the simulators of all workflows share: anatomy, motion, noise, runs and their files.

- `streams`: random streams, one for each purpose, person, session and segment
- `anatomy`: tissue masks, and smooth random fields
- `run`: a BOLD run with head motion and nuisance signals, streamed in blocks, and its files
- `regions`: people with regional series: parcels, resting runs and datasets
"""
