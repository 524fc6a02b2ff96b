"""Models that nobody trained, for the tests of what is done with one."""

import torch
from temdenoise.learning.description import ModelDescription
from temdenoise.learning.inference import Model
from temdenoise.learning.networks import UNet

DENSITY = {"trained_on": "all", "c_noise_train": [0.02, 1.0], "sampling_angstrom": 0.2}
"""The least a model file says."""

ADF = {
    "method": "universal",
    "trained_on": "all",
    "c_noise_train": [0.02, 2.0],
    "sampling_angstrom": 0.15,
    "sampling_range_angstrom": [0.12, 0.17],
    "image_kind": "adf",
    "spacings_angstrom": {"mos2": 2.7366},
}
"""What the file of a model of bright atoms says."""

SCALED = ADF | {"clean_mean": 0.3, "clean_std": 0.2, "sigma_factor": 1.3, "sigma_growth": 0.2}
"""And of the intensities it knows."""


def made_up(about, *, width=4, levels=2, stirred=0.0):
    """A network that does nothing, so that scales can be followed exactly.

    With its weights stirred (by this standard deviation) it does change what it is given.
    `about` is as in a model file.
    """
    torch.manual_seed(1)
    network = UNet(width=width, levels=levels).eval()
    with torch.no_grad():
        network.blur.weight.zero_()
        network.blur.weight[range(4), range(4), 1, 1] = 1
        for parameter in network.parameters():
            parameter.add_(stirred * torch.randn_like(parameter))
    return Model(network, ModelDescription.from_dict(about))
