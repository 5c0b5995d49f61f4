"""The data-driven network model of whole-brain dynamics (Sip et al., 2023).

What the model reads:

- `networks`: people's series of each region, and the structural connectome between them

What is measured and compared:

- `measures`: functional connectivity, its dynamics, spectra and zero-crossings of series
"""
