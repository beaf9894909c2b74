"""TernausNet: U-Nets whose encoder is VGG11 or VGG16.

Iglovikov and Shvets, "TernausNet: U-Net with VGG11 Encoder Pre-Trained on ImageNet for Image
Segmentation" (2018), in the form of https://github.com/ternaus/robot-surgery-segmentation.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ravenml_unet.models.blocks import ConvRelu, DeconvBlock
from ravenml_unet.models.network import SegmentationNetwork
from ravenml_unet.models.vgg import VGG11, VGG16, vgg_features

FILTERS = 32


class TernausNet(SegmentationNetwork):
    """Five stages of VGG down, five transposed convolutions up.

    The convolutions are held under two names, ``encoder.N`` and ``convS.M``, as in the published code;
    saved weights have both.
    """

    stride = 32
    head = ("final",)
    torchvision_encoder = {"features.": "encoder."}
    conv1: nn.Sequential
    conv2: nn.Sequential
    conv3: nn.Sequential
    conv4: nn.Sequential
    conv5: nn.Sequential

    def __init__(
        self, num_classes: int, stages: Sequence[tuple[int, int]], dec4_out: int, dec3_middle: int
    ) -> None:
        super().__init__(num_classes)
        self.pool = nn.MaxPool2d(2, 2)
        self.encoder, convolutions = vgg_features(stages)
        self.relu = nn.ReLU(inplace=True)
        for number, stage in enumerate(convolutions, start=1):
            with_relu = [layer for convolution in stage for layer in (convolution, self.relu)]
            self.add_module(f"conv{number}", nn.Sequential(*with_relu))
        f = FILTERS
        self.center = DeconvBlock(512, f * 16, f * 8)
        self.dec5 = DeconvBlock(512 + f * 8, f * 16, f * 8)
        self.dec4 = DeconvBlock(512 + f * 8, f * 16, dec4_out)
        self.dec3 = DeconvBlock(256 + dec4_out, dec3_middle, f * 2)
        self.dec2 = DeconvBlock(128 + f * 2, f * 4, f)
        self.dec1 = ConvRelu(64 + f, f)
        self.final = nn.Conv2d(f, num_classes, kernel_size=1)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        conv1 = self.conv1(x)
        conv2 = self.conv2(self.pool(conv1))
        conv3 = self.conv3(self.pool(conv2))
        conv4 = self.conv4(self.pool(conv3))
        conv5 = self.conv5(self.pool(conv4))
        x = self.center(self.pool(conv5))
        x = self.dec5(torch.cat([x, conv5], dim=1))
        x = self.dec4(torch.cat([x, conv4], dim=1))
        x = self.dec3(torch.cat([x, conv3], dim=1))
        x = self.dec2(torch.cat([x, conv2], dim=1))
        x = self.dec1(torch.cat([x, conv1], dim=1))
        return self.final(x)


class UNet11(TernausNet):
    """The one with VGG11."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes, VGG11, dec4_out=FILTERS * 4, dec3_middle=FILTERS * 8)


class UNet16(TernausNet):
    """The one with VGG16, whose fourth decoder is twice as wide."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes, VGG16, dec4_out=FILTERS * 8, dec3_middle=FILTERS * 8)
