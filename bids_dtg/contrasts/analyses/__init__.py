"""Training, evaluation and use of models, from people's rest and measured maps.

- `analysis`: one call of an analysis: its folder, an existing model, its tables
- `baselines`: simple models that a model is compared with
- `cohort`: computes the missing arrays of people, several processes at a time
- `cohort_plan`: participants with rest and measured maps, by file names alone
- `evaluate`: compares a model's maps with measured ones, and with simple models
- `finetune`: adapts a trained network to other people or other contrasts
- `fit`: fits a model of any kind, re-centres it, and learns its training distribution
- `folds`: few people all train, and cross-validation judges
- `judge`: several models on the same people: scores, tables, the page
- `measured`: files of the measured maps, and quality findings in them
- `overview`: all participants of an output: the quality table, mean maps and the page
- `person_arrays`: connectomes and measured maps as arrays on disk, memory-mapped
- `training_set`: participants in a model's training set, recognised by hashes
- `source`: datasets of runs and maps, as analyses read them
- `splits`: training, validation, calibration and test sets of participants
- `train`: fits a model, scores it on other people and writes it as a bundle
"""
