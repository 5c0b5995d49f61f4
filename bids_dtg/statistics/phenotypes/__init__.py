"""Prediction of phenotypes from maps, regions and connectomes.

- `analysis`: phenotypes predicted from connectomes, maps and regions
- `page`: phenotypes predicted from maps and connectomes: the answers in words, and figures
"""
