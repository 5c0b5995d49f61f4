"""Simulated networks of regions with known parameters.

- `arrays`: people as files of arrays, and the truth as tables
- `connectomes`: synthetic structural connectomes, and disturbed ones
- `dataset`: people as fMRIPrep leaves them, with the atlas and structural connectomes
- `hopf`: coupled oscillators: from noise, through a bifurcation, to oscillations
- `people`: people whose series come from one of the two, with the truth beside
- `pmfm`: coupled mean-field models whose regions switch between two states
- `steps`: what both need: unit noise a step, and frames from steps
"""
