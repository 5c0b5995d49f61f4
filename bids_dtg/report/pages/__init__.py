"""Pages, each made from what the output folder holds.

- `page`: what all pages share: templates, styles and scripts
- `participant`: the report of a participant
- `group`: all participants side by side
- `model`: an analysis of models: scores side by side
- `analysis`: an analysis of network models or twins: tables and charts, section by section
- `phenotypes`: phenotypes predicted from maps and connectomes: the answers in words, and figures
- `associations`: what the page of associations says
- `normative`: of norms: who is far from what age, sex and site let expect
- `embedding`: people and their maps as points, to be looked at by hand
- `index`: the index at the root of the output
"""
