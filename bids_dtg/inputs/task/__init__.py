"""Task runs for a first-level analysis: what is asked of them, and their files.

- `model_file`: the file of `--glm-model`: a task, its contrasts, and how they are estimated
- `runs`: task runs of fMRIPrep, each with its event file
- `trials`: what an event file says of a run's trials
"""
