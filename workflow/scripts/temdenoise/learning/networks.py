"""The denoising network."""

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
    After the U-Net of O. Ronneberger et al., doi:10.1007/978-3-319-24574-4_28, with the
    short cuts of K. He et al., doi:10.1109/CVPR.2016.90, and the pixel rearrangement of
    W. Shi et al., doi:10.1109/CVPR.2016.207.
    """

    def __init__(self, *, width: int, levels: int):
        super().__init__()
        self.options = {"width": width, "levels": levels}
        channels = [width * 2**level for level in range(levels)]
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
        self.reset_parameters()

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
        for narrow, block in zip(self.narrow, self.up, strict=True):
            features = functional.interpolate(narrow(features), scale_factor=2, mode="nearest")
            features = block(features + skips.pop())
        denoised = noisy - functional.pixel_shuffle(self.head(features), 2)
        return denoised[..., : sides[0], : sides[1]]


class _Block(nn.Module):
    """Two convolutions, the second around a short cut."""

    def __init__(self, before: int, after: int):
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, padding=1)
        self.second = nn.Conv2d(after, after, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        features = functional.relu(self.first(features))
        return features + functional.relu(self.second(features))
