"""What decides the weights of a network, besides its images: one frozen object."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self, TypeVar

from temdenoise.foundation.quantities import NoiseRange, PixelRange
from temdenoise.images.noise import NoiseOptions


@dataclass(frozen=True)
class NetworkOptions:
    """Which network is trained.

    Attributes
    ----------
    name
        A key of `networks.NETWORKS`.
    width, levels
        Channels of its first level, and its number of resolutions.
    """

    name: str
    width: int
    levels: int

    @property
    def sizes(self) -> dict[str, int]:
        """What a network is made with."""
        return {"width": self.width, "levels": self.levels}


@dataclass(frozen=True)
class OptimisationOptions:
    """How the weights are found.

    Attributes
    ----------
    steps
        Optimiser steps.
    checkpoint_every
        Steps between two checkpoints, each with a validation; divides `steps`.
    learning_rate
        Peak of the one-cycle schedule.
    average
        Decay per step of the exponential moving average of the weights.
    precision
        Of the passes through the network, see `devices.hardware`; the weights and what is
        judged by them are float32.
    quadratic_below
        Error at which the loss turns from quadratic to linear [what the network sees].
    low_noise_weight
        Weight of a patch with hardly any noise, where one in the middle of the range of C has
        the weight 1; it is linear in C.
    """

    steps: int
    checkpoint_every: int
    learning_rate: float
    average: float
    precision: str = "float32"
    quadratic_below: float = 0.05
    low_noise_weight: float = 1.0


@dataclass(frozen=True)
class PatchOptions:
    """What a network is shown: patches of the training images, changed and made noisy.

    Attributes
    ----------
    patch
        Side of a patch [pixels].
    batch
        Patches per step.
    noise_source
        ``fresh``: new noise in every batch; ``stored``: the stored frames.
    mixtures
        Fraction of the patches with a second noise on top of the first (``fresh`` alone).
    featureless
        Fraction of the patches that are partly or wholly without structure, so that the
        network invents none. On the latter, C comes from the upper half of its range.
    turned
        Whether patches are flipped and turned by quarters.
    odds
        How often a noise is drawn, by its name; those not named count 1.
    c_spacing
        Scale on which C is drawn uniformly: ``linear``, ``square_root`` or ``logarithmic``.
    standardised
        Whether each patch has mean 0 and standard deviation 1, or about so. This and what
        follows is for micrographs (``fresh`` alone).
    rotation
        Whether patches are turned by any angle.
    pixel_range
        Range of pixel sizes they are resampled to, drawn as often from every octave [Å]; None:
        that of the images.
    edges
        Fraction of the patches with vacuum beyond an irregular edge.
    stretch
        Largest logarithm of the ratio of the pixel sizes along the two axes.
    blur
        Largest standard deviation of a Gaussian probe beyond that of the images [Å].
    keep_slow
        Standard deviation of the Gaussian whose part of the noisy patch the network is to
        keep [Å]; 0: none.
    """

    patch: int
    batch: int
    noise_source: str
    mixtures: float
    featureless: float
    turned: bool
    odds: Mapping[str, float] = field(default_factory=dict)
    c_spacing: str = "linear"
    standardised: bool = False
    rotation: bool = False
    pixel_range: PixelRange | None = None
    edges: float = 0.0
    stretch: float = 0.0
    blur: float = 0.0
    keep_slow: float = 0.0

    @property
    def resampled(self) -> bool:
        """Whether patches are more than windows of the images."""
        return bool(self.rotation or self.pixel_range or self.stretch or self.blur)


@dataclass(frozen=True)
class TrainingOptions:
    """What decides the weights of one network, besides its images and the machine.

    Attributes
    ----------
    name, seed
        Of the model and of the run: together they name the random streams.
    c_noise_range
        Range of the noise coefficient C [normalised intensity].
    network, optimisation, patches
        The groups of options.
    noise
        What noise depends on besides C, the same as of the stored frames.
    """

    name: str
    seed: int
    c_noise_range: NoiseRange
    network: NetworkOptions
    optimisation: OptimisationOptions
    patches: PatchOptions
    noise: NoiseOptions

    @classmethod
    def of(cls, plan: Mapping[str, Any], noise: NoiseOptions) -> Self:
        """Build them from what a checked configuration says.

        Parameters
        ----------
        plan
            Of one model, see `configuration.models_of`.
        noise
            Of the data sets.

        Raises
        ------
        ValueError
            If there is an option that no group knows.

        Examples
        --------
        >>> from temdenoise.foundation.configuration import checked, models_of
        >>> plan = models_of(checked({}))["gaussian"]
        >>> options = TrainingOptions.of(plan, NoiseOptions())
        >>> options.network, options.optimisation.low_noise_weight
        (NetworkOptions(name='unet', width=32, levels=3), 0.3)
        """
        given = {_RENAMED.get(key, key): value for key, value in plan["options"].items()}
        given["name"] = plan["network"]
        if given.get("pixel_range"):
            given["pixel_range"] = PixelRange(*given["pixel_range"])
        options = cls(
            name=plan["name"],
            seed=plan["seed"],
            c_noise_range=NoiseRange(*plan["c_noise"]),
            network=_taken(NetworkOptions, given),
            optimisation=_taken(OptimisationOptions, given),
            patches=_taken(PatchOptions, given),
            noise=noise,
        )
        if given:
            raise ValueError(f"unknown training options: {', '.join(sorted(given))}")
        return options


_RENAMED = {"weak": "low_noise_weight", "sampling": "pixel_range"}
"""Keys of the configuration, and of models, that are called otherwise here."""

Group = TypeVar("Group", NetworkOptions, OptimisationOptions, PatchOptions)


def _taken(group: type[Group], given: dict[str, Any]) -> Group:
    """Make a group of the options it knows, and take them out of those that were given."""
    return group(**{f.name: given.pop(f.name) for f in fields(group) if f.name in given})
