"""An import that knows nothing but the contract: each picture becomes an image with one rectangle."""

import json
import os
from pathlib import Path

TASK = Path("/sly_task_data")
config = json.loads((TASK / "task_config.json").read_text())
name = config["options"].get("class", "thing")
project = TASK / "results" / config["res_names"]["project"]
(project / "ds" / "img").mkdir(parents=True)
(project / "ds" / "ann").mkdir()
classes = [{"title": name, "shape": "rectangle", "color": "#FF0000"}]
(project / "meta.json").write_text(json.dumps({"classes": classes, "tags_images": [], "tags_objects": []}))
for source in sorted((TASK / "data").rglob("*.png")):
    os.link(source, project / "ds" / "img" / source.name)
    source.chmod(0o600)  # what is imported is a copy that may be changed
    box = {"exterior": [[0, 0], [3, 3]], "interior": []}
    thing = {"classTitle": name, "description": "", "tags": [], "points": box}
    annotation = {"description": "", "tags": [], "size": {"width": 8, "height": 6}, "objects": [thing]}
    (project / "ds" / "ann" / f"{source.name}.json").write_text(json.dumps(annotation))
    source.unlink()
print(json.dumps({"message": "import finished", "event_type": "EventType.IMPORT_APPLIED", "level": "info"}))
