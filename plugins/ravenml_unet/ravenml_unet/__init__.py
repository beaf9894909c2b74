"""Five U-Net architectures for semantic segmentation, as a training plugin of ravenML.

For code of one's own: :func:`load_model`, :func:`inference`, :func:`convert_prediction_to_sly_format`.
They are loaded when they are first used, so that importing the package imports no framework.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

__version__ = (Path(__file__).parent / "VERSION").read_text().strip().split(":")[1]
__all__ = ["__version__", "convert_prediction_to_sly_format", "inference", "load_model"]

if TYPE_CHECKING:
    from ravenml_unet.loading import convert_prediction_to_sly_format, inference, load_model


def __getattr__(name: str) -> Any:
    if name in __all__:
        from ravenml_unet import loading

        return getattr(loading, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
