"""Images for learning: noise models and data sets."""
