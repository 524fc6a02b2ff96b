"""Denoise a TIFF with a network of tk_r_em (Lobato, Friedrich and Van Aert).

    python tk_r_em.py [--network sfr_hrstem] [--invert] INPUT OUTPUT

The paper: doi:10.1038/s41524-023-01188-0. README.md tells how the environment is made.
"""

import argparse
import os
from importlib import metadata
from pathlib import Path

import numpy as np
import tifffile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

NETWORKS = ("sfr_hrstem", "sfr_lrstem", "sfr_hrtem", "sfr_lrtem", "sfr_hrsem", "sfr_lrsem")
"""What it was trained for: high or low resolution (hr, lr), and the kind of microscope."""

COUNTS = 65535.0
"""Largest intensity given to the network: it was trained on counts of 16 bits."""

MULTIPLE = 2
"""The network works on half the resolution: sides must be even."""


def main() -> None:
    options = parsed()
    image = np.squeeze(tifffile.imread(options.input)).astype(np.float32)
    sign = -1 if options.invert else 1
    denoised = sign * restored(sign * image, network(options.network, options.threads))
    tifffile.imwrite(options.output, denoised.astype(np.float32), photometric="minisblack")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("input")
    parser.add_argument("output")
    parser.add_argument("--network", choices=NETWORKS, default=NETWORKS[0])
    parser.add_argument("--invert", action="store_true", help="denoise the negative")
    parser.add_argument("--threads", type=int, default=1, help="cores to use; 0: all")
    return parser.parse_args()


def network(name: str, threads: int):
    """Load a network: a function of an array of shape (1, rows, columns, 1)."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    model = tf.saved_model.load(str(folder(name)))
    signature = model.signatures["serving_default"]
    (argument,) = signature.structured_input_signature[1]

    def apply(images: np.ndarray) -> np.ndarray:
        # `model` must outlive its signature, which does not hold its variables
        assert model is not None
        (output,) = signature(**{argument: tf.constant(images, tf.float32)}).values()
        return output.numpy()

    return apply


def folder(name: str) -> Path:
    """Return where the package keeps a network; the package itself needs an older Keras."""
    return Path(metadata.distribution("tk_r_em").locate_file(f"tk_r_em/models/{name}"))


def restored(image: np.ndarray, apply) -> np.ndarray:
    """Apply a network to an image in counts of 16 bits, and return it to its own intensities."""
    low, width = float(image.min()), float(np.ptp(image)) or 1.0
    counts = (image - low) * (COUNTS / width)
    padded = np.pad(counts, [(0, -side % MULTIPLE) for side in image.shape], mode="reflect")
    output = apply(padded[None, :, :, None])[0, : image.shape[0], : image.shape[1], 0]
    return output * (width / COUNTS) + low


if __name__ == "__main__":
    main()
