"""Simulated people whose responses to tasks depend on their connectome in a known way.

- `bold`: BOLD of people in a run
- `dataset`: people as fMRIPrep leaves them, with the atlas and event files
- `diffusion`: when and how a drift-diffusion process decides
- `files`: people as files
- `people`: people with connectomes and parameters, and what an intervention does to them
- `population`: parameters of people, as fitted to real ones
- `responses`: what people press, and when
- `rest`: series of regions that correlate as a connectome says
- `sequences`: trials of real tasks, which people perform
- `world`: what all people of a simulation share
"""
