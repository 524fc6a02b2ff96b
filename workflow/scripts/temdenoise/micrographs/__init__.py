"""Micrographs: reading, calibration, fitting to a model, trust, writing."""
