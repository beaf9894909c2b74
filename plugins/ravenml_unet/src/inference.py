"""Inference through Supervisely's contract: the task under /sly_task_data, a project in its results/."""

from ravenml.agent.builtin_tasks import infer_task
from ravenml.sly import main_wrapper

if __name__ == "__main__":
    main_wrapper("UNET_INFERENCE", infer_task)
