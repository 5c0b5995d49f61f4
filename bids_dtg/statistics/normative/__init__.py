"""Deviations of regions from norms given age, sex and site.

- `analysis`: estimates norms and scores participants
- `page`: the page of participants far from the norm
"""
