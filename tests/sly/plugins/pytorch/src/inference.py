"""The same network, run on a project."""

import supervisely_lib as sly
from model import model_factory_fn
from supervisely_lib.nn.hosted.inference_batch import BatchInferenceApplier
from supervisely_lib.nn.hosted.inference_modes import InfModeFullImage
from supervisely_lib.nn.hosted.pytorch.inference_applier import PytorchSegmentationApplier


def main():
    BatchInferenceApplier(
        single_image_inference=PytorchSegmentationApplier(model_factory_fn),
        default_inference_mode_config=InfModeFullImage.make_default_config(model_result_suffix="_easy"),
    ).run_inference()


if __name__ == "__main__":
    sly.main_wrapper("EASY_INFERENCE", main)
