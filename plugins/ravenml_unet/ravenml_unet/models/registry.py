"""Which networks there are, and the one entry point through which they are made.

A new architecture is one new file beside this one and one line in ``ARCHITECTURES``; one of another
package needs no change here: it is an entry point, or named ``package.module:Class``.  Nothing here imports
torch until a network is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ravenml.errors import InputError
from ravenml.plugin.user_code import REFERENCE, check_trusted

if TYPE_CHECKING:
    from ravenml_unet.models.network import SegmentationNetwork


GROUP = "ravenml.unet.models"


@dataclass(frozen=True, slots=True)
class Architecture:
    """One line of the registry: ``target`` is ``module:Class`` below ``ravenml_unet.models``."""

    target: str
    text: str
    parameters: int

    @property
    def description(self) -> str:
        """What it is, in a line."""
        return f"{self.text}, {self.parameters / 1e6:.1f}M parameters"


# The numbers of parameters are those of two classes; each further class adds less than a thousandth.
ARCHITECTURES = {
    "UNet": Architecture("unet:UNet", "vanilla U-Net, no batch norm", 7_846_690),
    "UNet11": Architecture("ternausnet:UNet11", "U-Net on a VGG11 encoder (TernausNet)", 25_364_546),
    "UNet16": Architecture("ternausnet:UNet16", "U-Net on a VGG16 encoder, the slowest", 32_202_370),
    "AlbuNet": Architecture("albunet:AlbuNet", "U-Net on a ResNet34 encoder", 35_117_930),
    "LinkNet34": Architecture("linknet:LinkNet34", "LinkNet on a ResNet34 encoder, the fastest", 21_794_850),
}


def list_offered() -> dict[str, Any]:
    """The networks that other packages offer: entry points of the group ``ravenml.unet.models`` by name."""
    from importlib_metadata import entry_points

    return {point.name: point for point in entry_points(group=GROUP) if point.name not in ARCHITECTURES}


def check_model_name(name: str) -> str:
    """Give ``name`` back where it can name a network; whether that can be made is seen when it is.

    Raises:
        InputError: it is none of ours, none that a package offers, and not like ``package.module:Class``.
    """
    if name in ARCHITECTURES or REFERENCE.fullmatch(name):
        return name
    offered = list_offered()
    if name not in offered:
        known = ", ".join([*ARCHITECTURES, *offered])
        raise InputError(
            f"There is no architecture {name!r}; choose one of {known}, or package.module:Class."
        )
    return name


def check_named_by_file(name: object, where: str) -> str:
    """Give ``name``, which a file says, back where it names a network that may be made.

    Args:
        name: the field's value.
        where: the file and its field, for messages.

    Raises:
        InputError: it names no network, or code of somebody's own that the user does not trust.
    """
    if not isinstance(name, str):
        raise InputError(f"{where} should be the name of a network, not {str(name)[:50]!r}.")
    check_model_name(name)
    if name not in ARCHITECTURES and name not in list_offered():
        check_trusted(name, where)
    return name


def create_model(name: str, num_classes: int) -> SegmentationNetwork:
    """Make a network with freshly initialised weights, drawn from torch's global generator.

    Args:
        name: a key of ``ARCHITECTURES``, an entry point of ``ravenml.unet.models``, or
            ``package.module:Class``.
        num_classes: how many classes, background included; at least 1.

    Raises:
        InputError: there is no such architecture, it cannot be made, or there is no class.
    """
    check_model_name(name)
    if num_classes < 1:
        raise InputError("A segmentation network needs at least one class.")
    if name not in ARCHITECTURES:
        from ravenml_unet.models.external import make_external

        return make_external(name, num_classes)
    from ravenml_unet.models.initialise import initialise

    module_name, _, class_name = ARCHITECTURES[name].target.partition(":")
    module = import_module(f"ravenml_unet.models.{module_name}")
    model: SegmentationNetwork = getattr(module, class_name)(num_classes=num_classes)
    initialise(model)
    return model


def model_descriptions() -> dict[str, str]:
    """Every network that can be chosen by name, with what it is; an offered one's module is imported.

    The description is the class's attribute ``description``, or else the first line of its docstring.
    """
    known = {name: architecture.description for name, architecture in ARCHITECTURES.items()}
    for name, point in list_offered().items():
        distribution = f" ({point.dist.name})" if point.dist is not None else ""
        try:
            target = point.load()
        except Exception as error:  # one broken package must not hide the others
            known[name] = f"cannot be loaded: {type(error).__name__}: {error}{distribution}"
            continue
        described = getattr(target, "description", None) or (target.__doc__ or "").strip().partition("\n")[0]
        known[name] = f"{str(described).rstrip('.') or 'no description'}{distribution}"
    return known
