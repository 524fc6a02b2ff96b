"""What every package and the Snakefile may use; the standard library only."""
