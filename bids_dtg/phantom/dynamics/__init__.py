"""Simulated networks of regions with known parameters.

- `hopf`: coupled oscillators: from noise, through a bifurcation, to oscillations
- `pmfm`: coupled mean-field models whose regions switch between two states
- `steps`: what both need: unit noise a step, and frames from steps
- `connectomes`: synthetic structural connectomes, and disturbed ones
- `people`: people whose series come from one of the two, with the truth beside
- `arrays`: people as files of arrays, and the truth as tables
- `dataset`: people as fMRIPrep leaves them, with the atlas and structural connectomes
"""
