"""Models of one's own: made from people's rest and measured maps, and judged by them.

- `analysis`: an analysis: its call, its folder, a model that is there already, its tables
- `array_source`: people as arrays as such
- `baselines`: simple models that a model is printed beside
- `calibrate`: intervals of a model, from people whom it has not seen
- `cohort`: makes the arrays of these people side by side, where they are missing
- `cohort_plan`: who has rest and measured maps, by the names of the files alone
- `evaluate`: compares a model's maps with measured ones, beside simple models
- `finetune`: adapts a trained network to other people or other contrasts
- `fit`: fits a model of any kind, re-centres it, and learns what is usual of people's rest
- `measured`: which files the measured maps are of, and what is wrong with them
- `overview`: all participants of an output side by side: the quality table, mean maps and the page
- `page`: an analysis of models: scores side by side
- `person_arrays`: connectomes and measured maps as arrays on disk, memory-mapped
- `predict`: maps of people who come as arrays
- `ridge`: how strong the ridge of partial connectomes is, chosen on the people who train
- `score`: models side by side on the same people: scores, intervals, tests
- `score_columns`: columns of the tables of scores
- `seen`: whom a model has seen, recognised by hashes
- `source`: what an analysis asks of the data, and datasets of runs and maps as such
- `splits`: who is trained on, validated on, calibrated on and tested on
- `train`: fits a model, scores it on other people and writes it as a bundle
"""
