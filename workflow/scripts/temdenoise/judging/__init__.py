"""Judging denoised images: metrics, baselines, evaluation."""
