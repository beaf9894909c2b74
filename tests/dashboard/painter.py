"""A plugin that learns nothing, but publishes everything that the wizard asks for."""

from __future__ import annotations

from pathlib import Path

from throwaway import GROUP, write_plugin

SOURCE = (
    GROUP
    + """
@my_plugin.command()
@pass_train
@click.pass_context
def train(ctx, train: TrainInput):
    import time
    import numpy as np
    from ravenml.errors import InputError
    if train.settings.words == "too many":
        raise InputError("words: too many of them; use fewer.")
    run, s = train.run, train.settings
    kept = run.path / "checkpoints" / "state_epoch.txt"
    start = 1
    if train.resume_from is not None and kept.exists():
        start = int(kept.read_text()) + 1
        run.resumed(step=start - 1, epoch=start - 1)
    print("painting <script>document.title = 'taken over'</script>", len(train.split.train))
    for epoch in range(start, s.epochs + 1):
        for step in range(10):
            if s.polite and run.should_stop():
                return None
            time.sleep(s.seconds / 10)
            run.progress("Iteration", step + 1, 10)
        kept.write_text(str(epoch))
        run.checkpoint(epoch, [kept], epoch=epoch)
        run.metrics("train", epoch, {"loss": 1 / epoch, "lr": s.lr}, step=epoch)
        run.metrics("val", epoch, {"loss": 2 / epoch, "miou": epoch / 100}, step=epoch)
        run.image(f"val/meadow/{epoch:03d}", np.full((24, 32, 3), epoch * 20 % 255, np.uint8), epoch=epoch)
        run.progress("Epoch", epoch, s.epochs)
    if s.words == "pack":
        from ravenml.store.model_state import pack_model
        about = {"settings": {"plugin": "painter", "architecture": s.brush}, "out_classes": []}
        return TrainOutput(model_path=pack_model(run.path / "model-state.tar", about, []))
    return TrainOutput()
"""
)

SETTINGS = """
import os, time
from typing import Literal
from pydantic import BaseModel, Field, field_validator
from ravenml.train.settings import Choice, TrainSettings, shown

class Size(BaseModel):
    width: int = Field(64, gt=0, json_schema_extra=shown(title="Canvas width", unit="pixels"))

class Frame(BaseModel):
    width: int = Field(64, gt=0, json_schema_extra=shown(title="Frame width"))
    height: int = Field(48, gt=0, json_schema_extra=shown(title="Frame height"))

class Settings(TrainSettings):
    epochs: int = Field(3, ge=1, description="How many.", json_schema_extra=shown(role="epochs"))
    seconds: float = Field(0.05, ge=0, description="Of an epoch.")
    polite: bool = Field(True, description="Whether it looks for requests.")
    brush: str = Field("round", description="Which brush.", json_schema_extra=shown(role="architecture"))
    titles: list[str] = Field([], json_schema_extra=shown(role="classes"))
    changes: str = Field("none", description="A style.", json_schema_extra=shown(role="augmentations"))
    begin: str | None = Field(None, description="A picture.", json_schema_extra=shown(role="weights"))
    lr: float = Field(0.1, gt=0, json_schema_extra=shown(group="optimizer", title="Stroke"))
    kind: Literal["flat", "falling"] = Field("flat", json_schema_extra=shown(group="schedule", title="Kind"))
    fall: float = Field(0.5, json_schema_extra=shown(group="schedule", when={"kind": ["falling"]}))
    canvas: Size = Size()
    frame: Frame = Frame()
    words: str = Field("<script>document.title = 'taken over'</script>", description="<b>Any</b> words.")

    @classmethod
    def choices(cls, field):
        if field == "brush":
            return [Choice("round", "<i>soft</i>", 1_500_000), Choice("flat", "hard", 18_342)]
        return [Choice("none"), Choice("night", "darker")] if field == "changes" else []

    @field_validator("brush")
    @classmethod
    def _known(cls, value):
        if value == "flat":
            time.sleep(float(os.environ.get("PAINTER_THINKS", 0)))
        if value not in ("round", "flat"):
            raise ValueError(f"There is no brush {value!r}")
        return value

    def learning_rates(self, steps):
        fall = self.fall if self.kind == "falling" else 1
        return [self.lr * fall ** (step // steps) for step in range(steps * self.epochs)]

    def find_problems(self, classes):
        from pathlib import Path
        from ravenml.errors import InputError
        from ravenml.toolkit.preflight import check_classes, find_problems
        def check_changes():
            if self.changes not in ("none", "night") and Path(self.changes).read_text() != "a style":
                raise InputError(f"changes: {self.changes} is no style; write one.")
        checks = {"titles": lambda: check_classes(self.titles or None, classes), "changes": check_changes}
        return find_problems(checks)

    def augmented(self, image, count, seed):
        return [image // 2 if self.changes == "night" else image for _ in range(count)]

    def augmented_with_mask(self, image, mask, count, seed):
        return [(one[:, ::-1].copy(), mask[:, ::-1].copy()) for one in self.augmented(image, count, seed)]

    def augmentation_code(self):
        return "darker()" if self.changes == "night" else ""
"""

PRESETS = '[{"title": "long", "config": {"epochs": 40}}]'


def write_painter(site: Path) -> None:
    """Install the plugin ``painter`` in a folder on the path."""
    files = {"predefined_run_configs.json": PRESETS}
    write_plugin(site, "painter", SOURCE, settings=SETTINGS, files=files)
