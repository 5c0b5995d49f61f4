"""Group maps: what is tested over participants' maps, and what is found.

- `question`: what is tested, of whom, and where the maps are
- `map_tests`: the tests of all contrasts, and their maps
- `comparison`: group maps of predicted beside those of measured maps
- `findings`: tables, page and answer of a call
"""
