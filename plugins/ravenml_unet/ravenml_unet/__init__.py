"""Five U-Net architectures for semantic segmentation, as a training plugin of ravenML."""

__version__ = "0.1.0"
