"""``/train``: what can be trained on."""

from __future__ import annotations

from ravenml.dashboard.frame import command, empty, frame, heading, section, tell
from ravenml.dashboard.pages import Nav
from ravenml.dashboard.settings import Settings
from ravenml.data.known import known_datasets
from ravenml.errors import RavenError

NAV: Nav | None = Nav("Train", "/train", "model_training")


def register(settings: Settings) -> None:
    """Declare ``/train``."""
    from nicegui import ui

    @ui.page("/train")
    def train() -> None:
        with frame("Train", "/train"):
            heading("Train", "From a folder of annotated images to a trained model.")
            _datasets()


def _datasets() -> None:
    from nicegui import ui

    try:
        known = known_datasets()
    except RavenError as error:
        tell(error)
        known = {}
    if not known:
        with empty("photo_library", "No dataset has a name yet", "A dataset is a Supervisely project."):
            command("raven data demo ~/.ravenML/datasets/demo")
        return
    with section("Datasets"):
        for name, folder in known.items():
            with ui.element("div").classes("line"):
                ui.label(name).classes("strong")
                ui.label(str(folder)).classes("muted mono cut")
