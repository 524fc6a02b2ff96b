"""Ground truth: from atoms to joined images of their projected density."""
