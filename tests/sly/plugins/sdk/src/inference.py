"""Gives each pixel the class whose mean colour is nearest."""

import os

import numpy as np

import ravenml.sly as sly
from ravenml.sly.inference import (
    BatchInferenceApplier,
    InfModeFullImage,
    SingleImageInferenceBase,
    segmentation_array_to_sly_bitmaps,
    segmentation_scores_to_per_class_labels,
)


class Applier(SingleImageInferenceBase):
    def _load_train_config(self):
        super()._load_train_config()
        self._determine_model_input_size()

    def _construct_and_fill_model(self):
        super()._construct_and_fill_model()
        self.colours = np.load(os.path.join(sly.TaskPaths.MODEL_DIR, "colours.npy"))

    def inference(self, image, ann):
        distance = np.linalg.norm(image[:, :, None] - self.colours, axis=3)
        scores = np.exp(-distance) + 1e-9
        labels = segmentation_array_to_sly_bitmaps(self.out_class_mapping, distance.argmin(axis=2))
        pixelwise = segmentation_scores_to_per_class_labels(self.out_class_mapping, scores)
        return sly.Annotation(ann.img_size, labels=labels, pixelwise_scores_labels=pixelwise)


def main():
    BatchInferenceApplier(
        single_image_inference=Applier(),
        default_inference_mode_config=InfModeFullImage.make_default_config(model_result_suffix="_colour"),
    ).run_inference()


if __name__ == "__main__":
    sly.main_wrapper("COLOURS_INFERENCE", main)
