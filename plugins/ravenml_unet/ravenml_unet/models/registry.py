"""Which networks there are, and the one door through which they are made.

A new architecture is one new file beside this one and one line in ``ARCHITECTURES``.  Nothing here
imports torch until a network is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from ravenml.errors import InputError

if TYPE_CHECKING:
    from ravenml_unet.models.network import SegmentationNetwork


@dataclass(frozen=True, slots=True)
class Architecture:
    """One line of the registry: ``target`` is ``module:Class`` below ``ravenml_unet.models``."""

    target: str
    description: str


ARCHITECTURES = {
    "UNet": Architecture("unet:UNet", "vanilla U-Net, 7.8M parameters, no batch norm"),
    "UNet11": Architecture("ternausnet:UNet11", "U-Net on a VGG11 encoder (TernausNet), 25.4M parameters"),
    "UNet16": Architecture("ternausnet:UNet16", "U-Net on a VGG16 encoder, 32.2M parameters, slowest"),
    "AlbuNet": Architecture("albunet:AlbuNet", "U-Net on a ResNet34 encoder, 35.1M parameters"),
    "LinkNet34": Architecture(
        "linknet:LinkNet34", "LinkNet on a ResNet34 encoder, 21.8M parameters, the fastest"
    ),
}


def create_model(name: str, num_classes: int) -> SegmentationNetwork:
    """Make a network with freshly initialised weights, drawn from torch's global generator.

    Args:
        name: a key of ``ARCHITECTURES``.
        num_classes: how many classes, background included; at least 1.

    Raises:
        InputError: there is no such architecture, or no class.
    """
    if name not in ARCHITECTURES:
        raise InputError(f"There is no architecture {name!r}; choose one of {', '.join(ARCHITECTURES)}.")
    if num_classes < 1:
        raise InputError("A segmentation network needs at least one class.")
    from ravenml_unet.models.initialise import initialise

    module_name, _, class_name = ARCHITECTURES[name].target.partition(":")
    module = import_module(f"ravenml_unet.models.{module_name}")
    model: SegmentationNetwork = getattr(module, class_name)(num_classes=num_classes)
    initialise(model)
    return model
