"""Networks of other people's: any module that maps images to a score for every class at every pixel."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional as F

from ravenml.errors import InputError
from ravenml.plugin.user_code import import_object
from ravenml_unet.models.network import SegmentationNetwork, pad_to_multiple
from ravenml_unet.models.registry import list_offered

Output = Literal["logits", "probabilities", "log_probabilities"]
OUTPUTS: tuple[Output, ...] = ("logits", "probabilities", "log_probabilities")
SMALLEST = 1e-12  # a probability of 0 has no logarithm


class ExternalNetwork(SegmentationNetwork):
    """A network that was not written for ravenML, behind the interface of those that were.

    It takes float RGB ``(N, 3, H, W)``, normalised as for all networks, and returns ``(N, classes, H, W)``;
    its attribute ``output`` says what these numbers are, ``stride`` (where it has one) of what the sides
    must be multiples, ``head`` which layers know the classes.  Its weights are saved under its own names.
    What it returns is checked once, at the first batch.
    """

    def __init__(self, network: nn.Module, num_classes: int, name: str, output: Output) -> None:
        super().__init__(num_classes)
        self.network, self.name, self.output = network, name, output
        # A network may have something else under these names, a convolution's stride say.
        stride, head = getattr(network, "stride", 1), getattr(network, "head", ())
        self.stride = stride if isinstance(stride, int) else 1  # type: ignore[misc]
        self.head = tuple(head) if isinstance(head, list | tuple) else ()  # type: ignore[misc]
        self._checked = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[-2:]
        padded = pad_to_multiple(x, self.stride)
        result = self.network(padded)
        if not self._checked:
            self._check(result, padded)
            self._checked = True
        result = result[..., :height, :width].float()
        if self.output == "logits":
            return F.log_softmax(result, dim=1)
        return result.clamp_min(SMALLEST).log() if self.output == "probabilities" else result

    def _check(self, result: Any, x: torch.Tensor) -> None:
        """Say what is wrong with the first batch's result.

        Raises:
            InputError: it is not a tensor, has another shape, or is not what ``output`` says.
        """
        wanted = (x.shape[0], self.num_classes, *x.shape[-2:])
        if not isinstance(result, torch.Tensor):
            raise InputError(
                f"model: {self.name} returned a {type(result).__name__}; it must return one tensor."
            )
        if tuple(result.shape) != wanted:
            raise InputError(
                f"model: {self.name} returned the shape {tuple(result.shape)} for images of "
                f"{tuple(x.shape)}; with {self.num_classes} classes it must return {wanted}."
            )
        values = result.detach().float()
        if not torch.isfinite(values).all() and not (self.output == "log_probabilities"):
            raise InputError(
                f"model: {self.name} returned values that are not numbers (NaN) in its first batch."
            )
        if self.output == "logits":
            return
        sums = (values.exp() if self.output == "log_probabilities" else values).sum(dim=1)
        # 0.05: bfloat16 has three digits, and there may be many classes.
        if not bool(((sums - 1).abs() < 0.05).all()) or (
            self.output == "probabilities" and bool((values < 0).any())
        ):
            raise InputError(
                f"model: {self.name} says that its output is {self.output}, but at a pixel they add up to "
                f'{float(sums.flatten()[(sums - 1).abs().argmax()]):g}; say output = "logits" if it ends '
                "without a softmax."
            )

    # Weights are the network's own, so that they can be loaded without ravenML.

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        return self.network.state_dict(*args, **kwargs)

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        return self.network.load_state_dict(state_dict, strict=strict, assign=assign)


def make_external(name: str, num_classes: int) -> ExternalNetwork:
    """Make the network ``name`` as ``Class(num_classes=…)``.

    Args:
        name: an entry point of ``ravenml.unet.models``, or ``package.module:Class``.
        num_classes: how many classes, background included.

    Raises:
        InputError: it cannot be imported or made, is not a ``torch.nn.Module``, or its ``output`` is unknown.
    """
    offered = list_offered().get(name)
    kind = import_object(offered.value if offered is not None else name, "model")
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise InputError(f"model: {name} is not a network; it must be a subclass of torch.nn.Module.")
    try:
        network = kind(num_classes=num_classes)
    except Exception as error:  # whatever its author did
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"model: {name}(num_classes={num_classes}) failed with {reason}.") from error
    output = getattr(network, "output", "logits")
    if output not in OUTPUTS:
        raise InputError(f"model: {name} has output = {output!r}; it must be one of {', '.join(OUTPUTS)}.")
    return ExternalNetwork(network, num_classes, name, output)
