"""How a network's weights begin."""

from __future__ import annotations

from torch import nn


def initialise(model: nn.Module) -> None:
    """Draw every convolution's weights as He and others (2015) do for ReLU networks; biases are zero.

    Without it the vanilla U-Net, which has no batch norm, hardly learns: PyTorch's own initialisation
    shrinks the signal to a third at every convolution.  The last layer begins small, so that all
    classes begin equally likely and the first loss is log(classes).
    """
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    for layer in convolutions:
        if isinstance(layer, nn.ConvTranspose2d):
            # Each output pixel sees kernel area / stride² weights of every input channel.
            seen = layer.in_channels * layer.kernel_size[0] ** 2 / layer.stride[0] ** 2
            nn.init.normal_(layer.weight, std=(2.0 / seen) ** 0.5)
        else:
            nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    nn.init.normal_(convolutions[-1].weight, std=0.01)
