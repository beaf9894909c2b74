"""Deploying through Supervisely's contract: the task's model behind HTTP, on the agent's port."""

from ravenml.sly import main_wrapper
from ravenml.sly.ours import deploy_task

if __name__ == "__main__":
    main_wrapper("TF_BBOX_DEPLOY", deploy_task)
