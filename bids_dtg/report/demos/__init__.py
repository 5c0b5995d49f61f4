"""The picture that each demo draws.

- `canvas`: the sheet that they are drawn on: a title above two rows
- `recovery`: parameters of simulated people, recovered against true ones
- `twin`: a twin's predictions: response times, quantiles, some trials
"""
