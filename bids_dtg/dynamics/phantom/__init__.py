"""Simulated networks of regions with known parameters.

- `people`: simulated people's series, structural connectomes and true parameters
- `dataset`: a data set of these people, laid out like fMRIPrep's output, with atlas and connectomes
"""
