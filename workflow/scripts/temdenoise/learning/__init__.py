"""Denoising networks: architecture, training, inference."""
