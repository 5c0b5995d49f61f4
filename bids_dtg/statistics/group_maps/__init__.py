"""Group maps: tests over participants' maps, and their results.

- `analysis`: runs the tests, and compares predicted with measured group maps
- `comparison`: group maps of predicted compared with those of measured maps
- `findings`: tables, page and summary of a call
- `map_tests`: the tests of all contrasts, and their maps
- `question`: the test, its participants, and their maps
"""
