"""Statistics that any workflow may use: splits, scores, intervals and tests over people.

- `splits`: training, validation and test sets; each person is in one of them
- `metrics`: scores of predicted maps against measured ones
- `paired`: two models on the same people: intervals, permutation tests, effect sizes
- `verdict`: the rule by which every workflow calls something better or worse
- `correlation`: Pearson r with missing values; across people, with its interval
- `agreement`: intraclass correlations of repeated measurements
- `map_checks`: checks of a measured map, alone and against other people's maps
- `linear`: simple linear models that every network is compared with
- `coding`: design columns from the columns of a participants table
- `permutation`: exchangeable people, t of many columns, p corrected over all of them
- `prediction`: phenotypes predicted from people's maps and connectomes
- `embedding`: layouts of points in a few dimensions, and their clusters
"""
