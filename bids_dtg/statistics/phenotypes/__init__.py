"""Prediction of phenotypes from maps, regions and connectomes.

- `analysis`: phenotypes predicted from connectomes, maps and regions
- `page`: the page of the predictions: answers in words, and figures
"""
