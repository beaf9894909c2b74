"""Object detection with TensorFlow and Keras, as a training plugin of ravenML."""

__version__ = "0.1.0"
