"""Simulated people whose responses to tasks depend on their connectome in a known way.

- `diffusion`: when and how a drift-diffusion process decides
"""
