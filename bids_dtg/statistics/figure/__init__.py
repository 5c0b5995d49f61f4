"""Figures of chosen contrasts, ready for print.

- `analysis`: whose maps are drawn, and what is written
- `drawing`: slices and surfaces of maps, on one scale
"""
