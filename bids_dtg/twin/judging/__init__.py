"""How well twins predict people's responses, compared with baselines.

- `scores`: scores of predicted response times, choices and distributions, for each trial
- `predictions`: predictions by twins and baselines, as plain arrays
- `evaluation`: scores with intervals and verdicts over people, and whether own connectomes matter
"""
