"""Simulated people whose responses to tasks depend on their connectome in a known way.

- `bold`: BOLD of people during tasks
- `dataset`: people as data sets: rest as fMRIPrep leaves it, an atlas, event files
- `diffusion`: decision times and choices of a drift-diffusion process
- `files`: people as arrays, event files and tables
- `people`: people with connectomes and parameters, their responses, true effects of interventions
- `world`: loadings and weights that all people of a simulation share, and trials of real tasks
"""
