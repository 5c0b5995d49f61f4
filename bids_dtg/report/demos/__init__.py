"""The picture that each demo draws.

- `recovery`: parameters of simulated people, recovered against true ones
- `twin`: a twin's predictions: response times, quantiles, some trials
"""
