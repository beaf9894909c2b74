"""The bounding-box plugin of ravenML."""

from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
# `name:version` of the image too, after Supervisely's contract: the one place where the version stands.
version = (here / "VERSION").read_text().strip().split(":")[1]

setup(
    name="ravenml-tf-bbox",
    version=version,
    description="Object detection with RetinaNet on TensorFlow and Keras, for ravenML.",
    long_description=(here / "README.md").read_text(),
    long_description_content_type="text/markdown",
    author="the ravenML authors",
    license="MIT",
    license_files=["LICENSE"],
    keywords=["ravenml", "object detection", "retinanet", "tensorflow"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    python_requires=">=3.11",
    packages=find_packages(include=["ravenml_tf_bbox", "ravenml_tf_bbox.*"]),
    package_data={"ravenml_tf_bbox": ["py.typed", "VERSION", "predefined_run_configs.json"]},
    install_requires=[
        "ravenml>=2.0,<3",
        "click>=8.1,<9",
        "numpy>=2.0",
        "opencv-python-headless>=4.13",
        "pydantic>=2.7,<3",
        "tensorflow>=2.21,<3",
        "keras>=3.15,<4",
        # requirements.in pins the one version that was tried.
        "keras-hub>=0.32,<0.33",
        "pycocotools>=2.0.8",
        "matplotlib>=3.9",
    ],
    entry_points={
        "ravenml.plugins.train": ["tf-bbox=ravenml_tf_bbox.core:tf_bbox"],
        "ravenml.plugins.settings": ["tf-bbox=ravenml_tf_bbox.settings:BoxSettings"],
        "ravenml.plugins.predict": ["tf-bbox=ravenml_tf_bbox.predict:load"],
    },
)
