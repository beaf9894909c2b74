"""What all networks share: any image size in, log-probabilities of the same size out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F


class SegmentationNetwork(nn.Module):
    """A network whose output is the log-probability of every class at every pixel.

    Subclasses set ``stride`` and write ``logits``, which may rely on sides that are multiples of it.

    Attributes:
        head: the layers that know the classes; transfer learning reinitialises them.
        torchvision_encoder: how the names in torchvision's weights begin, and how they do here; the first
            beginning that fits counts.  Empty where the encoder is none of torchvision's.
    """

    stride: ClassVar[int]
    head: ClassVar[Sequence[str]]
    torchvision_encoder: ClassVar[Mapping[str, str]] = {}

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(N, 3, H, W)`` to ``(N, classes, H, W)``; ``H`` and ``W`` are multiples of ``stride``."""
        raise NotImplementedError

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give float32 log-probabilities ``(N, classes, H, W)`` for normalised RGB ``(N, 3, H, W)``.

        Several classes: their probabilities add up to 1 at every pixel.  A single class: the logarithm
        of the probability that the pixel belongs to it (a sigmoid, as the published binary networks use).
        """
        height, width = x.shape[-2:]
        # In float32 whatever the precision of the convolutions: the loss is taken from this.
        logits = self.logits(pad_to_multiple(x, self.stride))[..., :height, :width].float()
        return F.logsigmoid(logits) if self.num_classes == 1 else F.log_softmax(logits, dim=1)


def pad_to_multiple(x: torch.Tensor, multiple: int) -> torch.Tensor:
    """Extend ``(N, C, H, W)`` to the right and below until both sides are multiples of ``multiple``.

    The border is mirrored, which looks most like an image; where the image is too small for that (a
    mirror cannot give more than it has), its last row or column is repeated.
    """
    height, width = x.shape[-2:]
    below, right = -height % multiple, -width % multiple
    if right:
        x = F.pad(x, (0, right, 0, 0), mode="reflect" if right < width else "replicate")
    if below:
        x = F.pad(x, (0, 0, 0, below), mode="reflect" if below < height else "replicate")
    return x
