"""Super-resolution with a U-Net (Ronneberger et al., MICCAI 2015; Shi et al., CVPR 2016)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tvm_sparse.bench.networks.layers import image, normalized


class UNet(nn.Module):
    """Halve the image twice, double it twice beside the skipped features, then twice as large.

    Parameters
    ----------
    width : int
        Channels at full size; they double with every halving.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.begin = self._pair(3, width)
        self.down1 = self._pair(width, 2 * width)
        self.down2 = self._pair(2 * width, 4 * width)
        self.up1 = self._pair(6 * width, 2 * width)
        self.up2 = self._pair(3 * width, width)
        self.end = nn.Conv2d(width, 12, 3, padding=1)

    @staticmethod
    def _pair(inner: int, outer: int) -> nn.Sequential:
        first = normalized(inner, outer, 3, activation=nn.ReLU)
        return nn.Sequential(*first, *normalized(outer, outer, 3, activation=nn.ReLU))

    def forward(self, x: Tensor) -> Tensor:
        """Return the image at twice its size."""
        full = self.begin(x)
        half = self.down1(F.max_pool2d(full, 2))
        low = self.down2(F.max_pool2d(half, 2))
        half = self.up1(torch.cat([F.interpolate(low, scale_factor=2.0), half], 1))
        full = self.up2(torch.cat([F.interpolate(half, scale_factor=2.0), full], 1))
        return F.pixel_shuffle(self.end(full), 2) + F.interpolate(x, scale_factor=2.0)


def unet_sr(size: int, classes: int) -> tuple[nn.Module, Tensor]:
    """Return a U-Net that doubles an image; its sides should be divisible by 4."""
    return UNet(32), image(size)


NETWORKS = {"unet_sr": unet_sr}
