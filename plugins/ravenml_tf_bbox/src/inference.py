"""Inference through Supervisely's contract: the task under /sly_task_data, a project in its results/."""

from ravenml.sly import main_wrapper
from ravenml.sly.ours import infer_task

if __name__ == "__main__":
    main_wrapper("TF_BBOX_INFERENCE", infer_task)
