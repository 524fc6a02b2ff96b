"""Showing a run: figures and the report."""
