"""Training through Supervisely's contract: the task under /sly_task_data, events on stdout."""

from ravenml.agent.builtin_tasks import train_task
from ravenml_tf_bbox.export import checkpoint_config

if __name__ == "__main__":
    train_task("tf-bbox", checkpoint_config)
