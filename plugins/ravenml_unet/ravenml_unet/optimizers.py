"""The optimizers that can be chosen."""

from __future__ import annotations

import torch
from torch import nn

from ravenml_unet.settings import UNetSettings


def make_optimizer(model: nn.Module, settings: UNetSettings, device: torch.device) -> torch.optim.Optimizer:
    """An optimizer over the parameters that learn, in its fused form where the device has one."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    fused = device.type in ("cpu", "cuda")
    lr, decay = settings.lr, settings.weight_decay
    if settings.optimizer == "SGD":
        return torch.optim.SGD(
            parameters,
            lr=lr,
            momentum=settings.momentum,
            nesterov=settings.nesterov,
            weight_decay=decay,
            fused=fused,
        )
    if settings.optimizer == "Adam":
        return torch.optim.Adam(parameters, lr=lr, weight_decay=decay, fused=fused)
    return torch.optim.AdamW(parameters, lr=lr, weight_decay=decay, fused=fused)
