"""Reports: pages that a browser shows, and the methods text.

A report is made from what the output folder holds, by a process of its own
(``python -m bids_dtg.report``), and needs nothing of the run that made the maps.

- `page`: the kit of pages: sections of text, tables and figures, put into templates
- `figures`: figures of a page: charts as SVG, heat maps, pictures, lanes over frames
- `pictures`: pictures of maps and matrices: slices, surfaces, glass brains, and their colours
- `viewer`: what the viewer of maps needs beside a page
- `presentation`: how a workflow presents its results: words, quality columns, panels, sections
- `panels`: panels of runs that several workflows have
- `participant`: the reports of participants, and the index of all
- `contents`: what the output folder holds of a participant
- `quality`: the quality table of a run
- `inclusion`: inclusion in averages over people, by decisions made on a page
- `flags`: what a reader must know before looking at the maps
- `methods`: the methods text, with its citations
- `numbers`: numbers as readers of a page see them
"""
