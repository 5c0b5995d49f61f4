"""The network model of Sip et al., 2023: trained, judged, simulated, its fixed points found.

- `people`: people's series and structural connectomes, from files of arrays
"""
