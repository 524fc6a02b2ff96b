"""The denoising network."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

ONE_SIGMA = 0.6827
"""Share of the errors that sigma is to cover, as for a normal distribution."""


class UNet(nn.Module):
    """A U-Net that predicts the noise, subtracts it, and says how far off it may be.

    The image is first rearranged into 2 x 2 blocks of pixels (nothing is lost),
    so that the dear first level works on a quarter of the pixels; the U-Net then
    halves the resolution `levels` - 1 times.

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
        self.options = {"width": width, "levels": levels}
        channels = [width * min(2**level, 4) for level in range(levels)]
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
        self.head = nn.Conv2d(width, 4, 1)
        self.doubt = nn.Sequential(nn.Conv2d(width, width, 1), nn.ReLU(), nn.Conv2d(width, 4, 1))
        self.reset_parameters()
        # channels next to each other in memory: a third faster on a CPU
        self.to(memory_format=torch.channels_last)

    @property
    def block(self) -> int:
        """Pixels that are halved together: sides are made multiples of it."""
        return 2 ** self.options["levels"]

    @property
    def reach(self) -> int:
        """Farthest a pixel of the noisy image acts [pixels]."""
        sizes = [2 ** (level + 1) for level in range(self.options["levels"])]
        # 3 x 3 convolutions: the stem, two per level on the way down, two on the way up
        convolutions = sizes[0] + 2 * sum(sizes) + 2 * sum(sizes[:-1])
        return convolutions + self.block

    def reset_parameters(self) -> None:
        """Draw initial weights that keep the signal's size; the first answer is "no noise".

        PyTorch's own choice lets the signal fade from layer to layer, and training
        then rests for hundreds of steps before it leaves that answer.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, _Block):
                # the short cut already carries the signal
                module.second.weight.data.mul_(0.5)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.doubt[-1].weight)
        # an error of 0.05 to begin with
        nn.init.constant_(self.doubt[-1].bias, math.log(math.e - 1) * _SIGMA_UNIT)

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
        features = self.stem(functional.pixel_unshuffle(noisy, 2))
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
        denoised = noisy - functional.pixel_shuffle(self.head(features), 2)
        doubt = functional.pixel_shuffle(self.doubt(features.detach()), 2)
        # grows no faster than the features, which grow as the noise does: outside the
        # trained range sigma goes on rising, and does not explode
        sigma = functional.softplus(doubt, beta=1 / _SIGMA_UNIT)
        return denoised[..., : sides[0], : sides[1]], sigma[..., : sides[0], : sides[1]]


_SIGMA_UNIT = 0.05  # normalised intensity; below about this, sigma falls off exponentially


class _Block(nn.Module):
    """Two convolutions, the second around a short cut."""

    def __init__(self, before: int, after: int):
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, padding=1)
        self.second = nn.Conv2d(after, after, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        features = functional.relu(self.first(features), inplace=True)
        return features + functional.relu(self.second(features), inplace=True)
