"""Group maps: what is tested over participants' maps, and what is found.

- `analysis`: group maps: these tests, and predicted beside measured group maps
- `comparison`: group maps of predicted beside those of measured maps
- `findings`: tables, page and answer of a call
- `map_tests`: the tests of all contrasts, and their maps
- `question`: what is tested, of whom, and where the maps are
"""
