"""Object detection with TensorFlow and Keras, as a training plugin of ravenML."""

from pathlib import Path

__version__ = (Path(__file__).parent / "VERSION").read_text().strip().split(":")[1]
