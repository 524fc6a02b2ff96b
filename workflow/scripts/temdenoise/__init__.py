"""From first-principles electron densities to TEM image denoisers.

The science of the workflow, importable and testable without Snakemake. Wings,
in the order in which data walks through them:

groundtruth
    structures, DFT, projected density maps, joined images (ASE, GPAW)
images
    noise models and data sets (NumPy)
learning
    networks, training, inference (PyTorch, Lightning)
judging
    metrics, baselines, evaluation (PyTorch, SciPy)
showing
    figures and the report (Matplotlib)

Arrays have their last two axes along (x, y); lengths are in Å, energies in eV,
projected densities in e/Å².
"""

__version__ = "0.1.0"
