"""Simulated people whose responses to tasks depend on their connectome in a known way.

- `bold`: BOLD of people during tasks
- `dataset`: people as fMRIPrep leaves them, with the atlas and event files
- `diffusion`: decision times and choices of a drift-diffusion process
- `files`: people as files
- `people`: people with connectomes and parameters, their responses, true effects of interventions
- `world`: loadings and weights that all people of a simulation share, and trials of real tasks
"""
