"""The denoising networks, chosen by name from one table."""

import math
from collections.abc import Mapping
from contextlib import nullcontext
from itertools import product
from types import MappingProxyType
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

ONE_SIGMA = 0.6827
"""Fraction of the errors that sigma is to cover, as for a normal distribution."""

SIGMA_UNIT = 0.05
"""Normalised intensity; below about this, sigma falls off exponentially."""

WIDEST = 1024
"""Most channels of the first level."""

DEEPEST = 8
"""Most resolutions."""


class DenoisingNetwork(Protocol):
    """What a network of `NETWORKS` offers: a `torch.nn.Module` made by ``(width=, levels=)``.

    It refuses a width or a number of levels that no training would ask for: a model file may
    name any. In its passes it makes tensors on the device of what it is given.

    Attributes
    ----------
    options
        What it was made with.
    """

    options: Mapping[str, Any]

    @property
    def block(self) -> int:
        """Sides of an image are made multiples of it [pixels]."""
        ...

    @property
    def reach(self) -> int:
        """Farthest a pixel of the noisy image acts [pixels]."""
        ...

    def __call__(self, noisy: Tensor) -> tuple[Tensor, Tensor]:
        """Give image and sigma of noisy images, shape (n, 1, x, y) each."""
        ...


class UNet(nn.Module):
    """A U-Net that corrects a blurred image, keeps what is untouched, and says how far off it is.

    The estimate is a blur of the noisy image (its kernel is learned, too) plus a correction. Of
    how far the noisy pixel lies from it, a fraction is kept: all where noise left a pixel alone, as
    salt and pepper do, next to nothing where every pixel is noisy. A network that had to name the
    noise, to be subtracted, would have to carry all of it through its features.

    For the correction, the fraction and the error to expect, the image is first rearranged into
    2 x 2 blocks of pixels (nothing is lost), so that the expensive first level works on a quarter
    of the pixels; the U-Net then halves the resolution `levels` - 1 times.

    Parameters
    ----------
    width
        Channels of the first level; the second has twice as many, all further ones four times.
    levels
        Number of resolutions.

    Notes
    -----
    After the U-Net of O. Ronneberger et al., doi:10.1007/978-3-319-24574-4_28, with the
    short cuts of K. He et al., doi:10.1109/CVPR.2016.90, and the pixel rearrangement of
    W. Shi et al., doi:10.1109/CVPR.2016.207.
    """

    def __init__(self, *, width: int, levels: int):
        super().__init__()
        for name, value, most in (("width", width, WIDEST), ("levels", levels, DEEPEST)):
            if type(value) is not int or not 1 <= value <= most:
                raise ValueError(f"{name} = {value!r}: expected a whole number from 1 to {most}")
        self.options = {"width": width, "levels": levels}
        channels = [width * min(2**level, 4) for level in range(levels)]
        self.blur = nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect", bias=False)
        self.stem = nn.Conv2d(4, width, 3, padding=1, padding_mode="reflect")
        self.down = nn.ModuleList(
            _Block(before, after)
            for before, after in zip([width, *channels[:-1]], channels, strict=True)
        )
        # on the way up the level below is added, not appended: a third less to compute
        lower = list(reversed(range(levels - 1)))
        self.narrow = nn.ModuleList(
            nn.Conv2d(channels[level + 1], channels[level], 1) for level in lower
        )
        self.up = nn.ModuleList(_Block(channels[level], channels[level]) for level in lower)
        self.correction = nn.Conv2d(width, 4, 1)
        # both see the features, and how far the noisy pixels lie from the estimate, with and
        # without its sign
        self.kept, self.doubt = (
            nn.Sequential(nn.Conv2d(width + 8, width, 1), nn.ReLU(), nn.Conv2d(width, 4, 1))
            for _ in range(2)
        )
        self.reset_parameters()
        # channels next to each other in memory: a third faster on a CPU
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in its stub

    @property
    def block(self) -> int:
        """Pixels that are halved together: sides are made multiples of it."""
        return 1 << self.options["levels"]

    @property
    def reach(self) -> int:
        """Farthest a pixel of the noisy image acts [pixels]."""
        sizes = [2 << level for level in range(self.options["levels"])]
        # 3 x 3 convolutions: the stem, two per level on the way down, two on the way up
        convolutions = sizes[0] + 2 * sum(sizes) + 2 * sum(sizes[:-1])
        return convolutions + self.block

    def reset_parameters(self) -> None:
        """Draw initial weights that keep the signal's size; the first answer is the blurred image.

        PyTorch's own choice lets the signal fade from layer to layer, and training
        then rests for hundreds of steps before it leaves that answer. An answer worse
        than the noisy image would have the network keep every pixel, and never come back.
        """
        if self.stem.weight.is_meta:
            return  # only shapes are wanted; to draw would take two seconds of imports
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, _Block):
                # the short cut already carries the signal
                module.second.weight.data.mul_(0.5)
        nn.init.zeros_(self.correction.weight)
        # a fraction of 0.05, and an error of 0.05 to begin with
        for head, start in ((self.kept, -3.0), (self.doubt, math.log(math.e - 1) * SIGMA_UNIT)):
            last = cast(nn.Conv2d, head[-1])
            nn.init.zeros_(last.weight)
            nn.init.constant_(cast(Tensor, last.bias), start)
        # a block and its neighbours are 6 x 6 pixels, its own pixels the third and fourth of them
        profiles = [
            functional.softmax(-0.5 * ((torch.arange(6) - own) / _BLUR) ** 2, dim=0)
            for own in (2, 3)
        ]
        kernels = torch.stack([torch.outer(x, y) for x, y in product(profiles, repeat=2)])
        self.blur.weight.data.copy_(functional.pixel_unshuffle(kernels[:, None], 2))

    def forward(self, noisy: Tensor) -> tuple[Tensor, Tensor]:
        """Denoise images.

        Parameters
        ----------
        noisy
            Shape (n, 1, x, y). Sides that are no multiple of `block` are mirrored up to one.

        Returns
        -------
        denoised, sigma : Tensor
            The image and the error to expect of it, shape (n, 1, x, y) each. No gradient
            flows from sigma into what makes the image.
        """
        sides = noisy.shape[-2:]
        pad = [-side % self.block for side in sides]
        if any(pad):
            noisy = functional.pad(noisy, (0, pad[1], 0, pad[0]), mode="reflect")
        blocks = functional.pixel_unshuffle(noisy, 2)
        features = self.features(blocks)
        rounded = features.dtype != blocks.dtype
        # in bfloat16 a brightness near 1 would be off by up to 0.002
        with torch.autocast(noisy.device.type, enabled=False) if rounded else nullcontext():
            answers = self.answer(blocks, features.to(blocks.dtype))
        denoised, sigma = (functional.pixel_shuffle(answer, 2) for answer in answers)
        return denoised[..., : sides[0], : sides[1]], sigma[..., : sides[0], : sides[1]]

    def features(self, blocks: Tensor) -> Tensor:
        """Give what the U-Net sees in blocks of pixels, (n, 4, x / 2, y / 2): `width` channels."""
        features: Tensor = self.stem(blocks)
        skips = []
        for level, block in enumerate(self.down):
            if level:
                features = functional.avg_pool2d(features, 2)
            features = block(features)
            skips.append(features)
        skips.pop()
        for narrow, block in zip(self.narrow, self.up, strict=True):
            features = functional.interpolate(narrow(features), scale_factor=2, mode="nearest")
            features = block(features + skips.pop())
        return features

    def answer(self, blocks: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Give the denoised image and sigma, of the noisy one and its features, all in blocks."""
        estimate = self.blur(blocks) + self.correction(features)
        far = (blocks - estimate).detach() / _FAR
        seen = torch.cat([features, far, far.abs()], dim=1)
        kept = torch.sigmoid(self.kept(seen))
        denoised = estimate + kept * (blocks - estimate)
        # grows no faster than the features, which grow as the noise does: outside the
        # trained range sigma goes on rising, and does not explode
        sigma = functional.softplus(self.doubt(seen.detach()), beta=1 / SIGMA_UNIT)
        return denoised, sigma


_FAR = 0.1  # normalised intensity; noise of about this is far from the image
_BLUR = 1.2  # pixels, standard deviation of the blur a training starts from


class _Block(nn.Module):
    """Two convolutions, the second around a short cut."""

    def __init__(self, before: int, after: int):
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, padding=1)
        self.second = nn.Conv2d(after, after, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        features = functional.relu(self.first(features), inplace=True)
        return features + functional.relu(self.second(features), inplace=True)


NETWORKS: Mapping[str, type[nn.Module]] = MappingProxyType({"unet": UNet})
"""Networks by the name that `training.network` takes; each offers a `DenoisingNetwork`."""


def network_of(name: str, options: Mapping[str, Any]) -> Any:
    """Make a network with random weights.

    Parameters
    ----------
    name
        A key of `NETWORKS`.
    options
        ``width`` and ``levels``.

    Raises
    ------
    ValueError
        If there is no such network, or it cannot be made with these options.

    Examples
    --------
    >>> network_of("unet", {"width": 8, "levels": 2}).block
    4
    """
    if name not in NETWORKS:
        raise ValueError(f"network {name!r}: expected one of {', '.join(NETWORKS)}")
    try:
        return NETWORKS[name](**options)
    except TypeError as error:
        raise ValueError(f"network {name!r} with {dict(options)}: {error}") from error


def name_of(network: nn.Module) -> str:
    """Name a network as `NETWORKS` does.

    Raises
    ------
    ValueError
        If it is none of them.

    Examples
    --------
    >>> name_of(UNet(width=4, levels=1))
    'unet'
    """
    for name, kind in NETWORKS.items():
        if type(network) is kind:
            return name
    raise ValueError(
        f"network of type {type(network).__name__}: expected one of "
        f"{', '.join(kind.__name__ for kind in NETWORKS.values())}, which NETWORKS names"
    )
