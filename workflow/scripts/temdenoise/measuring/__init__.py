"""What an image says of itself: spectrum, noise, lattice, background."""
