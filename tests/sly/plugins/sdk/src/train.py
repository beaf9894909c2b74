"""Learns the mean colour of each class: a network that needs no framework, written with the SDK."""

import os

import numpy as np

import ravenml.sly as sly
from ravenml.sly.class_indexing import TRANSFER_LEARNING
from ravenml.sly.samples import SlyDataset, ensure_samples_nonempty
from ravenml.sly.trainer import EvalPlanner, SuperviselyModelTrainer


class Trainer(SuperviselyModelTrainer):
    @staticmethod
    def get_default_config():
        return {
            "dataset_tags": {"train": "train", "val": "val"},
            "batch_size": {"train": 2, "val": 2},
            "special_classes": {"background": "bg", "neutral": "neutral"},
            "input_size": {"width": 48, "height": 40},
            "epochs": 2,
            "val_every": 0.5,
            "lr": 0.1,
            "weights_init_type": TRANSFER_LEARNING,
        }

    def __init__(self):
        super().__init__(default_config=Trainer.get_default_config())

    def _determine_model_classes(self):
        super()._determine_model_classes_segmentation(bkg_input_idx=0)

    def _construct_data_loaders(self):
        self.loaders = {}
        for purpose, tag in self.name_to_tag.items():
            samples = self._deprecated_samples_by_tag[tag]
            ensure_samples_nonempty(samples, tag, self.project.meta)
            self.loaders[purpose] = SlyDataset(
                self.project.meta, samples, self._input_size, self.class_title_to_idx, bkg_color=0
            )
        self.eval_planner = EvalPlanner(epochs=self.config["epochs"], val_every=self.config["val_every"])

    def _construct_and_fill_model(self):
        sly.Progress("Building model:", 1).iter_done_report()
        count = max(self.class_title_to_idx.values()) + 1
        self.sums, self.counts = np.zeros((count, 3)), np.ones((count, 1))
        if not os.listdir(sly.TaskPaths.MODEL_DIR):
            sly.logger.info("Weights start at nothing.")

    def _construct_loss(self):
        self.loss = lambda image, indices: float(np.abs(image - (self.sums / self.counts)[indices]).mean())

    def _dump_model_weights(self, out_dir):
        np.save(os.path.join(out_dir, "colours.npy"), self.sums / self.counts)

    def _validation(self):
        losses = [self.loss(*self.loaders["val"][index]) for index in range(len(self.loaders["val"]))]
        metrics = {"loss": np.float32(np.mean(losses))}
        sly.report_metrics_validation(self.epoch_flt, metrics)
        return metrics

    def train(self):
        count = len(self.loaders["train"])
        progress = sly.Progress("Model training: ", self.config["epochs"] * count)
        best = float("inf")
        for epoch in range(self.config["epochs"]):
            for index in range(count):
                image, indices = self.loaders["train"][index]
                np.add.at(self.sums, indices.ravel(), image.reshape(-1, 3))
                np.add.at(self.counts, indices.ravel(), 1)
                progress.iter_done_report()
                self.epoch_flt = sly.epoch_float(epoch, index + 1, count)
                sly.report_metrics_training(self.epoch_flt, {"loss": self.loss(image, indices)})
                if self.eval_planner.need_validation(self.epoch_flt):
                    loss = self._validate()["loss"]  # the documents say both names
                    self.eval_planner.validation_performed()
                    self._save_model_snapshot(loss < best, opt_data={"epoch": self.epoch_flt})
                    best = min(best, loss)


def main():
    Trainer().train()


if __name__ == "__main__":
    sly.main_wrapper("COLOURS_TRAIN", main)
