"""Convolutions that keep their weights in the order in which the processor's library (oneDNN) reads them.

PyTorch brings a convolution's weights into that order at every call.  For one image in a network of many
weights that is a good part of the time, and the result is the same every time.
"""

from __future__ import annotations

import platform
from typing import Any

import torch
from torch import nn

from ravenml_unet.models.network import SegmentationNetwork

_MACHINES = ("x86_64", "AMD64")  # where it was tried
# What `torch.compile` calls itself.  No manual has these names, so they are looked for before they are used.
_OPERATORS = (
    "_convolution_pointwise",
    "_convolution_transpose_pointwise",
    "_reorder_convolution_weight",
    "_reorder_convolution_transpose_weight",
)
_C: Any = torch._C
_CHOICE = "_select_conv_backend"  # which way a convolution goes: small ones do not use the library


def keep_packed(model: nn.Module) -> None:
    """Let a network's convolutions keep packed weights, made at the first image that they predict.

    Nothing else changes, not even a prediction's last digit: the network can be trained, saved, copied and
    moved as before, and weights that have changed are packed again (changes within ``weight.data`` are the
    exception: PyTorch does not count them).  Packed weights take as much memory as the weights do.  Nothing
    is done where the library or the kind of processor is another, nor to convolutions of kinds of somebody's
    own.

    Args:
        model: any network; its convolutions become those of this file.
    """
    if platform.machine() not in _MACHINES or not torch.backends.mkldnn.is_available():
        return
    if not all(hasattr(torch.ops.mkldnn, name) for name in _OPERATORS) or not hasattr(_C, _CHOICE):
        return
    for module in model.modules():
        kept = _KINDS.get(type(module))
        if kept is not None and module.padding_mode == "zeros" and not isinstance(module.padding, str):
            module.__class__ = kept


def drop_packed(model: SegmentationNetwork) -> SegmentationNetwork:
    """Make a network's convolutions PyTorch's own again, which can be traced.  Returns the network."""
    for module in model.modules():
        plain = next((kind for kind, kept in _KINDS.items() if type(module) is kept), None)
        if plain is not None:
            module.__class__ = plain
            module.__dict__.pop("_kept", None)
    return model


class _KeepsPacked(nn.Module):
    """What both kinds of convolution share."""

    weight: torch.Tensor
    _kept: tuple[torch.Tensor, int, torch.Tensor] | None = None  # weights, their version, the same packed

    def _predicts(self, x: torch.Tensor) -> bool:
        """Whether this is a prediction of float32 on a processor, for which the library is used."""
        if torch.is_grad_enabled() or torch.is_autocast_enabled("cpu") or x.device.type != "cpu":
            return False
        assert isinstance(self, nn.Conv2d | nn.ConvTranspose2d)
        if self.weight.is_inference() or not (x.dtype is self.weight.dtype is torch.float32):
            return False  # inference tensors count no versions
        how = self.stride, self.padding, self.dilation, self.transposed, self.output_padding, self.groups
        way = int(_C._select_conv_backend(x, self.weight, self.bias, *how))
        library = int(_C._ConvBackend.Mkldnn)
        return way in (library, library + 1)  # the second, MkldnnTranspose, has no name in Python

    def _packed(self, reorder: Any, *how: Any) -> torch.Tensor:
        """The packed weights; packed again where they have changed."""
        weight, kept = self.weight, self._kept
        # What is kept holds the memory of the weights, so that no others can lie at its address.
        if kept is None or (kept[0].data_ptr(), kept[1]) != (weight.data_ptr(), weight._version):
            bare = weight.detach()
            kept = self._kept = bare, weight._version, reorder(bare, *how)
        return kept[2]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_kept"}


class PackedConv2d(_KeepsPacked, nn.Conv2d):
    """``nn.Conv2d``, with its weights packed where it predicts."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve ``(N, C, H, W)``."""
        if not self._predicts(x):
            return super().forward(x)
        how = self.padding, self.stride, self.dilation, self.groups
        weight = self._packed(torch.ops.mkldnn._reorder_convolution_weight, *how, x.shape)
        convolve = torch.ops.mkldnn._convolution_pointwise
        result: torch.Tensor = convolve(x, weight, self.bias, *how, "none", [], "")
        return result


class PackedConvTranspose2d(_KeepsPacked, nn.ConvTranspose2d):
    """``nn.ConvTranspose2d``, with its weights packed where it predicts."""

    def forward(self, x: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
        """Convolve ``(N, C, H, W)``."""
        if output_size is not None or not self._predicts(x):
            return super().forward(x, output_size)
        how = self.padding, self.output_padding, self.stride, self.dilation, self.groups
        weight = self._packed(torch.ops.mkldnn._reorder_convolution_transpose_weight, *how, x.shape)
        convolve = torch.ops.mkldnn._convolution_transpose_pointwise
        result: torch.Tensor = convolve(x, weight, self.bias, *how, "none", [], "")
        return result


_KINDS: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv2d: PackedConv2d,
    nn.ConvTranspose2d: PackedConvTranspose2d,
}
