"""Statistics that any workflow may use: splits, scores, intervals and tests over people.

- `splits`: training, validation and test people; each person is in one of them
- `metrics`: scores of predicted maps against measured ones
- `paired`: two models on the same people: intervals, permutation tests, effect sizes
- `verdict`: the one rule by which all say that something is better or worse
- `correlation`: Pearson r with gaps; of people, with its interval
- `spatial_nulls`: correlations of maps over regions, against surrogates that are as smooth
- `block_errors`: errors of maps in blocks, from which half-widths are made
- `conformal`: prediction intervals: a half-width a contrast and place
- `true_maps`: the same for true maps, by what a second session of people explains
- `width_factors`: what multiplies half-widths: size of the predicted deviation, segments of rest
- `parcel_intervals`: the same for means over parcels: a half-width a contrast and parcel
- `deviation`: how a person's maps differ from the mean of others, in units of their spread
- `individuality`: how much of a person's own part is the person's, not the rest's
- `agreement`: intraclass correlations of repeated measurements
- `map_checks`: what is wrong with a measured map, on its own and beside other people's
- `fixed_effects`: maps of several runs of a person put together
- `linear`: simple linear models that every network is compared with
- `group_ica`: spatial maps of a group's networks, from people's rest
- `kernel_ridge`: penalties of the twins' ridges
- `cohort`: what is asked of many people together: permutations, tests over many
  columns, layouts, who is atypical
- `prediction`: phenotypes predicted from people's maps and connectomes
"""
