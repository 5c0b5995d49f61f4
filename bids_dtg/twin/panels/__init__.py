"""Panels and sentences of the workflow `twin` in outputs and on pages.

- `words`: README, methods text, quality columns, and sentences on participants and averages
- `behaviour`: behaviour of the twin, the person and the group: table, response times, time series
- `averages`: the averages of a participant on the page, and what the report finds by the row

Panels of a run are motion and the panels of `report.panels`.
"""
