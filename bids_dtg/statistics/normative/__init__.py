"""Deviations of regions from what age, sex and site let expect.

- `analysis`: how far regions lie from what age, sex and site let expect
- `page`: of norms: who is far from what age, sex and site let expect
"""
