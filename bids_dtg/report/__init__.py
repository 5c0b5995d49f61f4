"""Reports: pages that a browser shows, and the methods text.

A report is made from what the output folder holds, by a process of its own
(``python -m bids_dtg.report``), and needs nothing of the run that made the maps.

- `pages`: one page a module: participant, group, model, index
- `panels`: what a page shows of a run: one panel a module
- `demos`: the picture that a demo draws
- `drawings`: drawings on pages of analyses, as PNG files
- `workflows`: the table of workflows: words, quality columns, panels and sections of each
- `contrasts`: the row of the workflow `contrasts`, in words
- `dynamics`: the row of the workflow `dynamics`: words, and panels of its runs
- `twin`: the row of the workflow `twin`: words, and what its pages show
- `parcels`: what pages show of the parcels of an atlas, in every workflow that reads them
- `contents`: what the output folder holds of a participant
- `quality`: the quality table of a run
- `map_reliability`: maps of odd against maps of even pieces of rest
- `inclusion`: who counts in averages over people, by decisions made on a page
- `flags`: what a reader must know before looking at the maps
- `methods`: the methods text, with its citations
- `axes`: lines, bands and points along two axes, as coordinates
- `numbers`: numbers as readers of a page see them
- `charts`: charts as coordinates, drawn as SVG by the page
- `pictures`: pictures of maps and matrices
- `slices`: slices through volumes
- `colours`: colour scales of pictures, bars and viewer
- `viewer`: what the viewer of maps needs beside a page
"""
