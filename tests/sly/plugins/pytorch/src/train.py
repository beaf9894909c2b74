"""A training for segmentation in which the plugin's author says no more than network and loss."""

import supervisely_lib as sly
import torch
from model import model_factory_fn
from supervisely_lib.nn.hosted.pytorch.trainer import PytorchSegmentationTrainer
from supervisely_lib.nn.pytorch.metrics import MultiClassAccuracy


def main():
    torch.manual_seed(0)
    PytorchSegmentationTrainer(
        model_factory_fn=model_factory_fn,
        optimization_loss_fn=torch.nn.CrossEntropyLoss(),
        training_metrics_dict={"accuracy": MultiClassAccuracy()},
        default_model_config={"channels": 4},
    ).train()


if __name__ == "__main__":
    sly.main_wrapper("EASY_TRAIN", main)
