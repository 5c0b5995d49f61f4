"""Statistics that any workflow may use: splits, scores, intervals and tests over people.

- `splits`: training, validation and test people; each person is in one of them
- `metrics`: scores of predicted maps against measured ones
- `paired`: two models on the same people: intervals, permutation tests, effect sizes
- `verdict`: the one rule by which all say that something is better or worse
- `correlation`: Pearson r with gaps; of people, with its interval
- `spatial_nulls`: correlations of maps over regions, against surrogates that are as smooth
- `half_width`: half-widths of intervals around maps, by contrast and block of places
- `agreement`: intraclass correlations of repeated measurements
- `map_checks`: what is wrong with a measured map, on its own and beside other people's
- `linear`: simple linear models that every network is compared with
- `group_ica`: spatial maps of a group's networks, from people's rest
- `cohort`: what is asked of many people together: permutations, tests over many
  columns, layouts, who is atypical
- `prediction`: phenotypes predicted from people's maps and connectomes
"""
