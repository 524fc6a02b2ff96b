"""Random generators: one independent stream per structure, noise, level, ..."""

import hashlib

import numpy as np


def generator(seed: int, *path: str | int) -> np.random.Generator:
    """Return the generator of one named stream of a run.

    Streams of different paths are statistically independent, and one stream
    does not change when another is added or drawn from.

    Parameters
    ----------
    seed
        The run's seed, at least 0.
    *path
        What the stream is for, e.g. ``"noise", "gaussian", "test", 3``.

    Examples
    --------
    >>> a, b = generator(1, "noise", 0), generator(1, "noise", 1)
    >>> bool(a.random() == generator(1, "noise", 0).random()), bool(a.random() == b.random())
    (True, False)
    """
    key = tuple(
        int.from_bytes(hashlib.blake2b(repr(part).encode(), digest_size=8).digest(), "big")
        for part in path
    )
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
