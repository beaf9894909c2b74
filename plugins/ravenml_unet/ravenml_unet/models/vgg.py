"""The convolutional part of VGG11 and VGG16, with torchvision's layer numbers.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (2014).
torchvision itself is not needed, and its ImageNet weights fit: ``features.N`` is ``encoder.N`` here.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

# How many 3×3 convolutions each of the five stages has, and how many channels.
VGG11 = ((1, 64), (1, 128), (2, 256), (2, 512), (2, 512))
VGG16 = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))


def vgg_features(stages: Sequence[tuple[int, int]]) -> tuple[nn.Sequential, list[list[nn.Module]]]:
    """Make torchvision's ``vgg.features`` and list each stage's convolutions (the same objects)."""
    layers: list[nn.Module] = []
    convolutions: list[list[nn.Module]] = []
    channels = 3
    for count, width in stages:
        convolutions.append([])
        for _ in range(count):
            convolution = nn.Conv2d(channels, width, kernel_size=3, padding=1)
            convolutions[-1].append(convolution)
            layers += [convolution, nn.ReLU(inplace=True)]
            channels = width
        layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
    return nn.Sequential(*layers), convolutions
