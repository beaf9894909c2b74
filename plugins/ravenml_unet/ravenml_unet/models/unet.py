"""The vanilla U-Net of https://github.com/lopuhin/mapillary-vistas-2017, as Supervisely's app uses it.

Ronneberger and others, "U-Net: Convolutional Networks for Biomedical Image Segmentation" (2015), with
32 filters at the top, padded convolutions, nearest-neighbour upsampling, no batch norm, and a last
pooling and first upsampling by 4 instead of 2.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from ravenml_unet.models.blocks import ConvRelu
from ravenml_unet.models.network import SegmentationNetwork

FILTERS = (32, 64, 128, 256, 512)
FACTORS = (2, 2, 2, 4)  # by how much each step down shrinks, and the same step up grows


class DoubleConv(nn.Module):
    """Two 3×3 convolutions, each with its ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.l1 = ConvRelu(in_channels, out_channels)
        self.l2 = ConvRelu(out_channels, out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.l2(self.l1(x))


class UNet(SegmentationNetwork):
    """The vanilla U-Net; for ``num_classes`` classes, background included."""

    stride = 32
    head = ("conv_final",)

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        widths = (3, *FILTERS)
        self.down = nn.ModuleList(DoubleConv(widths[i], widths[i + 1]) for i in range(len(FILTERS)))
        self.up = nn.ModuleList(
            DoubleConv(FILTERS[i] + FILTERS[i + 1], FILTERS[i]) for i in range(len(FILTERS) - 1)
        )
        self.conv_final = nn.Conv2d(FILTERS[0], num_classes, kernel_size=1)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        x = self.down[0](x)
        skips = []
        for factor, down in zip(FACTORS, list(self.down)[1:], strict=True):
            skips.append(x)
            x = down(F.max_pool2d(x, factor))
        for factor, skip, up in reversed(list(zip(FACTORS, skips, self.up, strict=True))):
            x = up(torch.cat([F.interpolate(x, scale_factor=factor, mode="nearest"), skip], dim=1))
        return self.conv_final(x)
