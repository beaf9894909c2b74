"""Which functions and methods of which libraries save models, and which of their parameters says where.

Apart from `models.py`, since every Python process below `raven run` reads the table as it starts.
"""

from __future__ import annotations

# By module: the function, or `Class.method`, and the parameter that names the file or folder.
MODULES: dict[str, dict[str, str]] = {
    "torch": {"save": "f"},
    "torch.jit._serialization": {"save": "f"},
    "onnx": {"save_model": "f", "save": "f"},
    "safetensors.torch": {"save_file": "filename", "save_model": "filename"},
    "safetensors.numpy": {"save_file": "filename"},
    "safetensors.tensorflow": {"save_file": "filename"},
    "safetensors.flax": {"save_file": "filename"},
    "transformers.modeling_utils": {"PreTrainedModel.save_pretrained": "save_directory"},
    "peft.peft_model": {"PeftModel.save_pretrained": "save_directory"},
    "keras.src.models.model": {
        "Model.save": "filepath",
        "Model.save_weights": "filepath",
        "Model.export": "filepath",
    },
    "joblib.numpy_pickle": {"dump": "filename"},
    "joblib": {"dump": "filename"},
    "xgboost.core": {"Booster.save_model": "fname"},
    "lightgbm.basic": {"Booster.save_model": "filename"},
    "catboost.core": {"CatBoost.save_model": "fname"},
    "pytorch_lightning.trainer.trainer": {"Trainer.save_checkpoint": "filepath"},
    "lightning.pytorch.trainer.trainer": {"Trainer.save_checkpoint": "filepath"},
}
