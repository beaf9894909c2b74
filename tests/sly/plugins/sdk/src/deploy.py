"""The network behind HTTP."""

from inference import Applier

import ravenml.sly as sly
from ravenml.sly.deploy import ModelDeploy


def main():
    ModelDeploy(model_applier_cls=Applier).run()


if __name__ == "__main__":
    sly.main_wrapper("COLOURS_DEPLOY", main)
