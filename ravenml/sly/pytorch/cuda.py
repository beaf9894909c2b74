"""Where tensors and networks are computed: on the GPU where there is one, else on the processor."""

from __future__ import annotations

from typing import Any

from ravenml.utils.plugins import lazy_import

torch = lazy_import("torch", "pip install torch")


def cuda_variable(x: Any, volatile: bool = False) -> Any:
    """A tensor, or a network, on the GPU; as it is where there is none.

    Args:
        x: what has ``cuda()``.
        volatile: is passed over, as PyTorch does since 0.4; gradients are left out by ``torch.no_grad()``.
    """
    return x.cuda() if torch.cuda.is_available() else x
