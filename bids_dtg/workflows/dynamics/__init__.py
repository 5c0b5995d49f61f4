"""The network model of Sip et al., 2023: trained, judged, simulated, its fixed points found."""
