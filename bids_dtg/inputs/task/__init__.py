"""Task runs, and their trials.

- `runs`: task runs of fMRIPrep, each with its event file
- `trials`: what an event file says of a run's trials
"""
