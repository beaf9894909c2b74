"""Names that plugins on PyTorch share with their models."""

CUSTOM_MODEL_CONFIG = "custom_model_config"  # in a config: what the network's factory is given
HEAD_LAYER = "_head_layer"  # how the names of layers that know the classes begin
