"""Deploying through Supervisely's contract: the task's model behind HTTP, on the agent's port."""

from ravenml.agent.builtin_tasks import deploy_task
from ravenml.sly import main_wrapper

if __name__ == "__main__":
    main_wrapper("UNET_DEPLOY", deploy_task)
