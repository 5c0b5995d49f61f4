"""How well twins predict people's responses, compared with baselines.

- `behaviour`: people's responses, observed or decoded, and their figures by person and condition
- `scores`: scores of predicted response times, choices and distributions
- `matching`: whether a person's own connectome matters: each twin on each person's data
- `baselines`: simple predictions of figures of people outside the training set
- `cohort`: people with known responses, and the figures that are predicted
- `simple`: figures and distributions of unseen people by the baselines
- `curves`: the mean trial over people, observed and predicted
- `ceilings`: noise ceilings of r over people, by halves of their trials
- `folds`: people who are judged by folds
- `winners`: which prediction is best, in sentences
- `evaluation`: all of these, for one fit or cross-validated (extra ``train``)
"""
