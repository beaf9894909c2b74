"""The U-Net plugin of ravenML."""

from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
# `name:version` of the image too, after Supervisely's contract: the one place where the version stands.
version = (here / "VERSION").read_text().strip().split(":")[1]

setup(
    name="ravenml-unet",
    version=version,
    description="Semantic segmentation with five U-Net architectures, for ravenML.",
    long_description=(here / "README.md").read_text(),
    long_description_content_type="text/markdown",
    author="the ravenML authors",
    license="MIT",
    license_files=["LICENSE"],
    keywords=["ravenml", "segmentation", "u-net", "pytorch"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    python_requires=">=3.11",
    packages=find_packages(include=["ravenml_unet", "ravenml_unet.*"]),
    package_data={"ravenml_unet": ["py.typed", "VERSION", "predefined_run_configs.json"]},
    install_requires=[
        "ravenml>=2.0,<3",
        "click>=8.1,<9",
        "numpy>=2.0",
        "opencv-python-headless>=4.13",
        "pydantic>=2.7,<3",
        "torch>=2.4",
        # A range, as everywhere in setup.py; requirements.in pins the one version that was tried.
        "lightning-fabric>=2.6.6,<2.7",
        "safetensors>=0.5,<1",
        "kornia>=0.9,<0.10",
        "matplotlib>=3.9",
    ],
    entry_points={
        "ravenml.plugins.train": ["unet=ravenml_unet.core:unet"],
        "ravenml.plugins.settings": ["unet=ravenml_unet.settings:UNetSettings"],
        "ravenml.plugins.predict": ["unet=ravenml_unet.predict:load"],
    },
)
