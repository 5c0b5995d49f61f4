"""Statistics that any workflow may use: splits, scores, intervals and tests over people.

- `splits`: training, validation and test people; each person is in one of them
- `metrics`: scores of predicted maps against measured ones
- `paired`: two models on the same people: intervals, permutation tests, effect sizes
- `verdict`: the one rule by which all say that something is better or worse
- `correlation`: Pearson r with gaps; of people, with its interval
- `agreement`: intraclass correlations of repeated measurements
- `map_checks`: what is wrong with a measured map, on its own and beside other people's
- `linear`: simple linear models that every network is compared with
- `coding`: columns of a table of people as columns of a design
- `permutation`: who may be swapped, t of many columns, and p over all of them
- `prediction`: phenotypes predicted from people's maps and connectomes
- `embedding`: points laid out in few dimensions, and their clusters
"""
