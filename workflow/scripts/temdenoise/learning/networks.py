"""The denoising network."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class UNet(nn.Module):
    """A U-Net that predicts the noise and subtracts it.

    The image is first rearranged into 2 x 2 blocks of pixels (nothing is lost),
    so that the dear first level works on a quarter of the pixels; the U-Net then
    halves the resolution `levels` - 1 times.

    Parameters
    ----------
    width
        Channels of the first level; each further level has twice as many.
    levels
        Number of resolutions.

    Notes
    -----
    After the U-Net of O. Ronneberger et al., doi:10.1007/978-3-319-24574-4_28, with
    the pixel rearrangement of W. Shi et al., doi:10.1109/CVPR.2016.207.
    """

    def __init__(self, *, width: int, levels: int):
        super().__init__()
        self.options = {"width": width, "levels": levels}
        channels = [width * 2**level for level in range(levels)]
        self.stem = nn.Conv2d(4, width, 3, padding=1, padding_mode="reflect")
        self.down = nn.ModuleList(
            _block(before, after)
            for before, after in zip([width, *channels[:-1]], channels, strict=True)
        )
        self.up = nn.ModuleList(
            _block(channels[level] + channels[level + 1], channels[level])
            for level in reversed(range(levels - 1))
        )
        self.head = nn.Conv2d(width, 4, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # keeps the signal's size through the layers; PyTorch's own choice lets it fade,
                # and training then rests for hundreds of steps on the plateau "no noise"
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)
        # begin with "no noise" all the same, so that the first steps are not wasted
        nn.init.zeros_(self.head.weight)

    def forward(self, noisy: Tensor) -> Tensor:
        """Denoise images of shape (n, 1, x, y).

        Sides that are no multiple of 2 to the power of `levels` are mirrored up to one.
        """
        sides = noisy.shape[-2:]
        pad = [-side % 2 ** self.options["levels"] for side in sides]
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
        for block in self.up:
            features = functional.interpolate(features, scale_factor=2, mode="nearest")
            features = block(torch.cat([features, skips.pop()], dim=1))
        denoised = noisy - functional.pixel_shuffle(self.head(features), 2)
        return denoised[..., : sides[0], : sides[1]]


def _block(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(after, after, 3, padding=1),
        nn.ReLU(),
    )
