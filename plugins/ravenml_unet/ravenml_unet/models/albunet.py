"""AlbuNet: a U-Net whose encoder is ResNet34, by Alexander Buslaev.

In the form of https://github.com/ternaus/robot-surgery-segmentation (bilinear upsampling).
"""

from __future__ import annotations

import torch
from torch import nn

from ravenml_unet.models.blocks import ConvRelu, UpsampleBlock
from ravenml_unet.models.network import SegmentationNetwork
from ravenml_unet.models.resnet import ResNet34

FILTERS = 32


class AlbuNet(SegmentationNetwork):
    """ResNet34 down, five bilinear upsamplings up.

    Its first pooling is 2×2, not ResNet's own 3×3.  The encoder's layers are held under two names
    (``encoder.layer1`` and ``conv2``, and so on), as in the published code; saved weights have both.
    """

    stride = 64
    head = ("final",)
    torchvision_encoder = {"": "encoder."}

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        f = FILTERS
        self.pool = nn.MaxPool2d(2, 2)
        self.encoder = ResNet34()
        self.conv1 = nn.Sequential(self.encoder.conv1, self.encoder.bn1, self.encoder.relu, self.pool)
        self.conv2 = self.encoder.layer1
        self.conv3 = self.encoder.layer2
        self.conv4 = self.encoder.layer3
        self.conv5 = self.encoder.layer4
        self.center = UpsampleBlock(512, f * 16, f * 8)
        self.dec5 = UpsampleBlock(512 + f * 8, f * 16, f * 8)
        self.dec4 = UpsampleBlock(256 + f * 8, f * 16, f * 8)
        self.dec3 = UpsampleBlock(128 + f * 8, f * 8, f * 2)
        self.dec2 = UpsampleBlock(64 + f * 2, f * 4, f * 4)
        self.dec1 = UpsampleBlock(f * 4, f * 4, f)
        self.dec0 = ConvRelu(f, f)
        self.final = nn.Conv2d(f, num_classes, kernel_size=1)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        conv1 = self.conv1(x)
        conv2 = self.conv2(conv1)
        conv3 = self.conv3(conv2)
        conv4 = self.conv4(conv3)
        conv5 = self.conv5(conv4)
        x = self.center(self.pool(conv5))
        x = self.dec5(torch.cat([x, conv5], dim=1))
        x = self.dec4(torch.cat([x, conv4], dim=1))
        x = self.dec3(torch.cat([x, conv3], dim=1))
        x = self.dec2(torch.cat([x, conv2], dim=1))
        return self.final(self.dec0(self.dec1(x)))
