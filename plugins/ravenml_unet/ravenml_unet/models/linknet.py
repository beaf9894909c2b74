"""LinkNet34: LinkNet's decoder on a ResNet34 encoder.

Chaurasia and Culurciello, "LinkNet: Exploiting Encoder Representations for Efficient Semantic
Segmentation" (2017), in the form of https://github.com/ternaus/robot-surgery-segmentation.
"""

from __future__ import annotations

import torch
from torch import nn

from ravenml_unet.models.network import SegmentationNetwork
from ravenml_unet.models.resnet import ResNet34


class LinkNetBlock(nn.Module):
    """Doubles the size in a bottleneck of a quarter of the channels."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        middle = in_channels // 4
        self.relu = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(in_channels, middle, 1)
        self.norm1 = nn.BatchNorm2d(middle)
        self.deconv2 = nn.ConvTranspose2d(middle, middle, kernel_size=4, stride=2, padding=1)
        self.norm2 = nn.BatchNorm2d(middle)
        self.conv3 = nn.Conv2d(middle, out_channels, 1)
        self.norm3 = nn.BatchNorm2d(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.norm1(self.conv1(x)))
        x = self.relu(self.norm2(self.deconv2(x)))
        return self.relu(self.norm3(self.conv3(x)))


class LinkNet34(SegmentationNetwork):
    """ResNet34 down; up by blocks whose output is added to, not joined with, the encoder's."""

    stride = 32
    head = ("finalconv3",)
    torchvision_encoder = {
        "conv1.": "firstconv.",
        "bn1.": "firstbn.",
        "layer1.": "encoder1.",
        "layer2.": "encoder2.",
        "layer3.": "encoder3.",
        "layer4.": "encoder4.",
    }

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        resnet = ResNet34()
        self.firstconv = resnet.conv1
        self.firstbn = resnet.bn1
        self.firstrelu = resnet.relu
        self.firstmaxpool = resnet.maxpool
        self.encoder1 = resnet.layer1
        self.encoder2 = resnet.layer2
        self.encoder3 = resnet.layer3
        self.encoder4 = resnet.layer4
        self.decoder4 = LinkNetBlock(512, 256)
        self.decoder3 = LinkNetBlock(256, 128)
        self.decoder2 = LinkNetBlock(128, 64)
        self.decoder1 = LinkNetBlock(64, 64)
        # (H/2 - 1)·2 + 3 = H + 1, then -2, then +1: the size that came in.
        self.finaldeconv1 = nn.ConvTranspose2d(64, 32, kernel_size=3, stride=2)
        self.finalrelu1 = nn.ReLU(inplace=True)
        self.finalconv2 = nn.Conv2d(32, 32, kernel_size=3)
        self.finalrelu2 = nn.ReLU(inplace=True)
        self.finalconv3 = nn.Conv2d(32, num_classes, kernel_size=2, padding=1)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        x = self.firstmaxpool(self.firstrelu(self.firstbn(self.firstconv(x))))
        e1 = self.encoder1(x)
        e2 = self.encoder2(e1)
        e3 = self.encoder3(e2)
        x = self.decoder4(self.encoder4(e3)) + e3
        x = self.decoder3(x) + e2
        x = self.decoder2(x) + e1
        x = self.finalrelu1(self.finaldeconv1(self.decoder1(x)))
        return self.finalconv3(self.finalrelu2(self.finalconv2(x)))
