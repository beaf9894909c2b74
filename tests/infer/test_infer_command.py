"""`raven infer`: images come in, a Supervisely project goes out."""

from __future__ import annotations

import json
import os
import pty
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from as_user import Raven, start_raven
from numpy.typing import NDArray
from predicting import pack, write_predicting_plugins

from ravenml.data.images import read_image
from ravenml.data.masks import draw_mask
from ravenml.data.project import Project
from ravenml.errors import InputError
from ravenml.infer.model_resolver import find_one_model
from ravenml.store.model_state import pack_model


@pytest.fixture(autouse=True)
def plugins(site: Path) -> None:
    write_predicting_plugins(site)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return pack(tmp_path / "model.tar")


def predicted(project: Path, item: str, title: str = "red_tints") -> NDArray[np.bool_]:
    opened = Project.open(project)
    return draw_mask(opened.annotation(opened.item(item)), [title]) > 0


def expected(image: Path, gain: float = 1.0) -> NDArray[np.bool_]:
    return np.minimum(read_image(image)[..., 0] / 255 * gain, 1) > 0.5


def titles(project: Path, item: str) -> list[str]:
    opened = Project.open(project)
    return [one.class_title for one in opened.annotation(opened.item(item)).objects]


# --- what comes in, and what goes out -------------------------------------------------------------


def test_results_are_added_to_a_project_s_annotations_under_suffixed_names(
    raven: Raven, project: Path, model: Path, tmp_path: Path
) -> None:
    told = raven.ok("infer", model, "--data", project, "--out", tmp_path / "out")
    assert told.startswith(f"12 images: {tmp_path / 'out'} (") and "images/s" in told
    for item in Project.open(project).items:
        assert titles(tmp_path / "out", item.key) == ["thing", "red_tints"]
        assert (predicted(tmp_path / "out", item.key) == expected(item.image_path)).all()
    out = Project.open(tmp_path / "out")
    assert [(one.title, one.shape, one.color) for one in out.classes] == [
        ("thing", "rectangle", "#FF8800"),
        ("red_tints", "bitmap", "#FF1111"),
    ]
    assert out.tags_of(out.item("ds/meadow11.png")) == {"val"}
    original, copy = project / "ds/img/meadow00.png", tmp_path / "out/ds/img/meadow00.png"
    assert copy.read_bytes() == original.read_bytes() and not os.path.samefile(copy, original)


def test_only_the_images_of_one_split_are_annotated_where_it_is_named(
    raven: Raven, project: Path, model: Path, tmp_path: Path
) -> None:
    file = project / "ds/ann/meadow03.png.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"tags": [{"name": "test"}]}))
    raven.ok("infer", model, "--data", project, "--out", tmp_path / "out", "--split", "test")
    assert [item.name for item in Project.open(tmp_path / "out").items] == ["meadow03.png"]
    said = raven("infer", model, "--data", project / "ds/img", "--out", tmp_path / "o", "--split", "test")
    assert said.returncode == 2 and "is not a project, so its images have no tags" in said.stderr


def test_a_broken_annotation_is_named_and_the_other_images_of_the_split_are_annotated(
    raven: Raven, project: Path, model: Path, tmp_path: Path
) -> None:
    file = project / "ds/ann/meadow03.png.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"tags": [{"name": "test"}]}))
    (project / "ds/ann/meadow05.png.json").write_text("{")
    said = raven("infer", model, "--data", project, "--out", tmp_path / "out", "--split", "test")
    assert said.returncode == 1 and "meadow05.png.json" in said.stderr
    assert "1 image could not be used; see above." in said.stderr
    assert [item.name for item in Project.open(tmp_path / "out").items] == ["meadow03.png"]


def test_old_objects_are_dropped_where_that_is_asked_for(
    raven: Raven, project: Path, model: Path, tmp_path: Path
) -> None:
    raven.ok("infer", model, "--data", project, "--out", tmp_path / "out", "--replace", "--suffix", "")
    assert titles(tmp_path / "out", "ds/meadow00.png") == ["red"]
    out = Project.open(tmp_path / "out")
    assert out.tags_of(out.items[0]) == {"train"}


def test_a_folder_of_images_becomes_a_project_with_a_dataset_for_each_folder(
    raven: Raven, project: Path, model: Path, tmp_path: Path
) -> None:
    pictures = tmp_path / "pictures"
    shutil.copytree(project / "ds" / "img", pictures / "north" / "east")
    shutil.copy(project / "ds" / "img" / "meadow00.png", pictures / "alone.png")
    (pictures / "notes.txt").write_text("no image")
    raven.ok("infer", model, "--data", pictures, "--out", tmp_path / "out")
    out = Project.open(tmp_path / "out")
    assert out.datasets == ["images", "north/east"] and len(out.items) == 13
    assert (predicted(tmp_path / "out", "images/alone.png") == expected(pictures / "alone.png")).all()


def test_one_image_is_enough_and_may_be_linked(
    raven: Raven, project: Path, model: Path, tmp_path: Path
) -> None:
    image = project / "ds" / "img" / "meadow03.png"
    raven.ok("infer", model, "--data", image, "--out", tmp_path / "out", "--link")
    assert (predicted(tmp_path / "out", "images/meadow03.png") == expected(image)).all()
    assert (tmp_path / "out" / "images" / "img" / "meadow03.png").is_symlink()


def test_masks_overlays_and_probabilities_are_written_too(
    raven: Raven, project: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    raven.ok(
        "infer", model, "--data", project, "--out", out, "--save", "masks,overlays", "--save", "probabilities"
    )
    image = read_image(project / "ds/img/meadow00.png")
    mask = cv2.imread(str(out / "ds/masks/meadow00.png.png"), cv2.IMREAD_UNCHANGED)
    assert mask is not None and json.loads((out / "infer.json").read_text())["masks"] == {"red_tints": 1}
    assert (mask == expected(project / "ds/img/meadow00.png")).all()
    shown = read_image(out / "ds/overlays/meadow00.png.png")
    assert (shown[mask == 0] == image[mask == 0]).all() and (shown[mask > 0] != image[mask > 0]).any()
    said = np.load(out / "ds/probabilities/meadow00.png.npy")
    assert said.shape == (2, 24, 32) and np.allclose(said[1], image[..., 0] / 255, atol=1e-3)
    assert len(Project.open(out).items) == 12


def test_boxes_of_windows_are_put_together(raven: Raven, project: Path, tmp_path: Path) -> None:
    spots = pack(tmp_path / "spots.tar", "spots")
    out = tmp_path / "out"
    raven.ok(
        "infer", spots, "--data", project, "--out", out, "--mode", "sliding_window_det", "--overlap", "14"
    )
    for item in Project.open(project).items:
        (thing,) = json.loads(item.annotation_path.read_text())["objects"]
        found = json.loads((out / "ds/ann" / f"{item.name}.json").read_text())["objects"][1:]
        assert thing["points"]["exterior"] in [one["points"]["exterior"] for one in found]
        assert all(
            one["classTitle"] == "spot_spots" and one["tags"][0]["name"] == "confidence" for one in found
        )
    config = json.loads((out / "infer.json").read_text())["mode"]
    assert config["nms_after"]["enable"] and config["window"] == {"width": 16, "height": 16}
    assert Project.open(out).tags[-1].name == "confidence"


def test_found_boxes_are_drawn_and_painted_too(raven: Raven, project: Path, tmp_path: Path) -> None:
    spots, out = pack(tmp_path / "spots.tar", "spots"), tmp_path / "out"
    raven.ok("infer", spots, "--data", project, "--out", out, "--save", "overlays,masks")
    for item in Project.open(project).items:
        (box,) = json.loads((out / "ds/ann" / f"{item.name}.json").read_text())["objects"][1:]
        (left, top), (right, bottom) = box["points"]["exterior"]
        mask = cv2.imread(str(out / f"ds/masks/{item.name}.png"), cv2.IMREAD_UNCHANGED)
        assert mask is not None and (mask[top : bottom + 1, left : right + 1] == 1).all()
        assert mask.sum() == (bottom + 1 - top) * (right + 1 - left)
        changed = (read_image(out / f"ds/overlays/{item.name}.png") != read_image(item.image_path)).any(
            axis=2
        )
        assert changed[top, left] and changed[bottom, right] and not changed[mask == 0].any()


# --- what is broken, what is there ----------------------------------------------------------------


def test_a_broken_image_is_told_and_the_others_go_on_and_later_only_it_is_done(
    raven: Raven, project: Path, model: Path, tmp_path: Path
) -> None:
    broken, annotation = project / "ds/img/meadow04.png", project / "ds/ann/meadow05.png.json"
    whole, content = broken.read_bytes(), annotation.read_text()
    broken.write_bytes(whole[:100])
    annotation.write_text("{")
    command = ("infer", model, "--data", project, "--out", tmp_path / "out")
    done = raven(*command)
    assert done.returncode == 1 and "10 images: " in done.stdout
    assert (
        "Passed over: " in done.stderr
        and "meadow04.png" in done.stderr
        and "meadow05.png.json" in done.stderr
    )
    assert done.stderr.splitlines()[-1] == "Error: 2 images could not be used; see above."
    assert len(Project.open(tmp_path / "out").items) == 10
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "out/ds/ann").iterdir()}
    broken.write_bytes(whole)
    annotation.write_text(content)
    assert "2 images: " in (told := raven.ok(*command)) and "10 were there" in told
    assert all(path.stat().st_mtime_ns == before for path, before in made.items())
    assert raven.ok(*command) == f"All 12 images have their results: {tmp_path / 'out'}\n"


def test_an_image_that_the_model_fails_on_is_told_too(
    raven: Raven, project: Path, model: Path, tmp_path: Path
) -> None:
    cv2.imwrite(str(project / "ds/img/meadow02.png"), np.full((24, 32, 3), 77, np.uint8))
    done = raven("infer", model, "--data", project, "--out", tmp_path / "out", "--batch-size", "4")
    assert done.returncode == 1 and "meadow02.png: RuntimeError: this shade is too much" in done.stderr
    assert "11 images: " in done.stdout and len(Project.open(tmp_path / "out").items) == 11


def test_an_annotation_that_was_changed_since_is_done_again(
    raven: Raven, project: Path, model: Path, tmp_path: Path
) -> None:
    command = ("infer", model, "--data", project, "--out", tmp_path / "out")
    raven.ok(*command)
    changed = project / "ds/ann/meadow00.png.json"
    content = json.loads(changed.read_text())
    changed.write_text(json.dumps({**content, "objects": []}))
    os.utime(changed, (os.path.getmtime(changed) + 60,) * 2)
    assert raven.ok(*command).startswith("1 images: ")
    assert titles(tmp_path / "out", "ds/meadow00.png") == ["red_tints"]


def test_results_of_other_settings_are_not_mixed(
    raven: Raven, project: Path, model: Path, tmp_path: Path
) -> None:
    command = ("infer", model, "--data", project, "--out", tmp_path / "out")
    raven.ok(*command)
    refused = raven(*command, "--replace")
    assert refused.returncode == 2 and "other settings (replace differ)" in refused.stderr
    other = raven("infer", pack(tmp_path / "other.tar", gain=2.0), *command[2:])
    assert other.returncode == 2 and "(model differ)" in other.stderr
    assert raven.ok(*command, "--replace", "--overwrite").startswith("12 images: ")
    assert titles(tmp_path / "out", "ds/meadow00.png") == ["red_tints"]


def test_other_data_overwrites_all_that_was_there(
    raven: Raven, project: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    raven.ok("infer", model, "--data", project, "--out", out, "--save", "masks", "--save", "overlays")
    image = project / "ds/img/meadow00.png"
    (out / "mine.txt").write_text("mine")
    raven.ok("infer", model, "--data", image, "--out", out, "--overwrite")
    left = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert left == [
        *("images/ann/meadow00.png.json", "images/img/meadow00.png"),
        *("infer.json", "meta.json", "mine.txt"),
    ]
    assert [item.key for item in Project.open(out).items] == ["images/meadow00.png"]


def test_images_beside_a_folder_called_images_keep_their_own_results(
    raven: Raven, project: Path, model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    (folder / "images").mkdir(parents=True)
    shutil.copy(project / "ds/img/meadow00.png", folder / "a.png")
    shutil.copy(project / "ds/img/meadow01.png", folder / "images" / "a.png")
    assert raven.ok("infer", model, "--data", folder, "--out", tmp_path / "out").startswith("2 images: ")
    for key, source in (("images_2/a.png", folder / "a.png"), ("images/a.png", folder / "images/a.png")):
        assert (predicted(tmp_path / "out", key) == expected(source)).all()


def test_a_mask_holds_what_was_predicted_and_not_the_area_that_was_looked_at(
    raven: Raven, project: Path, model: Path, tmp_path: Path
) -> None:
    config = tmp_path / "roi.json"
    bounds = {side: "0px" for side in ("left", "top", "right", "bottom")}
    config.write_text(json.dumps({"mode": {"name": "roi", "bounds": bounds, "save": True}}))
    out, image = tmp_path / "out", project / "ds/img/meadow00.png"
    raven.ok("infer", model, "--data", image, "--out", out, "--config", config, "--save", "masks")
    mask = cv2.imread(str(out / "images/masks/meadow00.png.png"), cv2.IMREAD_UNCHANGED)
    number = json.loads((out / "infer.json").read_text())["masks"]["red_tints"]
    assert ((mask == number) == expected(image)).all() and len(np.unique(mask)) == 2


def test_probabilities_that_the_config_asks_for_are_missed_when_they_are_gone(
    raven: Raven, project: Path, model: Path, tmp_path: Path
) -> None:
    config, out = tmp_path / "config.json", tmp_path / "out"
    config.write_text('{"mode": {"name": "full_image", "save_probabilities": true}}')
    command = ("infer", model, "--data", project, "--out", out, "--config", config)
    raven.ok(*command)
    (out / "ds/probabilities/meadow03.png.npy").unlink()
    assert raven.ok(*command).startswith("1 images: ")
    assert (out / "ds/probabilities/meadow03.png.npy").exists()


def test_a_model_without_classes_is_not_said_to_be_stored_for_transfer(
    raven: Raven, project: Path, tmp_path: Path
) -> None:
    model = pack_model(tmp_path / "bare.tar", {"settings": {"plugin": "tints", "gain": 1.0}}, [])
    refused = raven("infer", model, "--data", project, "--out", tmp_path / "out")
    assert refused.returncode == 2 and "names no classes (`out_classes` of its config.json)" in refused.stderr


@pytest.mark.parametrize("out", ["project/ds/out", "project", ".", "full"])
def test_a_folder_that_holds_anything_else_is_not_written_into(
    raven: Raven, project: Path, model: Path, tmp_path: Path, out: str
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    before = sorted(path for path in tmp_path.rglob("*") if "home" not in path.parts)
    refused = raven("infer", model, "--data", project, "--out", tmp_path / out)
    assert refused.returncode == 2 and "name " in refused.stderr
    assert sorted(path for path in tmp_path.rglob("*") if "home" not in path.parts) == before


# --- which model ----------------------------------------------------------------------------------


@pytest.fixture
def folds(home: Path) -> Path:
    """A finished k-fold run whose folds are of different opinions."""
    folder = home / "runs" / "20260102-030405-abcdef"
    for number, gain in enumerate((0.4, 2.4)):
        (folder / "folds" / str(number)).mkdir(parents=True)
        pack(folder / "folds" / str(number) / "model-state.tar", gain=gain)
    (folder / "run.json").write_text('{"id": "20260102-030405-abcdef", "attempts": [], "process": {}}')
    return folder


def test_a_k_fold_run_predicts_with_the_mean_of_its_folds_or_with_one(
    raven: Raven, project: Path, folds: Path, tmp_path: Path
) -> None:
    image = project / "ds/img/meadow00.png"
    red = read_image(image)[..., 0] / 255
    mean = (np.minimum(red * 0.4, 1) + np.minimum(red * 2.4, 1)) / 2
    raven.ok("infer", "20260102", "--data", image, "--out", tmp_path / "a", "--save", "probabilities")
    assert (predicted(tmp_path / "a", "images/meadow00.png") == (mean > 0.5)).all() and (mean > 0.5).any()
    assert np.allclose(np.load(tmp_path / "a/images/probabilities/meadow00.png.npy")[1], mean, atol=1e-3)
    raven.ok("infer", folds, "--data", image, "--out", tmp_path / "b", "--fold", "1")
    assert (predicted(tmp_path / "b", "images/meadow00.png") == expected(image, 2.4)).all()
    wrong = raven("infer", "20260102", "--data", image, "--out", tmp_path / "c", "--fold", "7")
    assert wrong.returncode == 2 and "has the folds 0, 1, and no fold 7" in wrong.stderr


def test_a_command_for_one_model_takes_a_run_and_asks_for_a_fold(
    folds: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAVENML_STORAGE_PATH", str(home))
    with pytest.raises(
        InputError, match=r"is 2 models, one of each fold; name one, .*folds/0/model-state.tar"
    ):
        find_one_model("20260102")
    assert find_one_model(str(tmp_path)) == tmp_path
    pack(folds / "model-state.tar")
    assert find_one_model("20260102") == folds
    with pytest.raises(InputError, match="No file, folder, run or stored model is called '2099'"):
        find_one_model("2099")


def test_a_stored_model_is_found_by_its_id_and_refused_if_it_is_for_transfer_learning_only(
    raven: Raven, project: Path, model: Path, tmp_path: Path
) -> None:
    raven.ok("models", "push", model)
    (stored,) = json.loads(raven.ok("models", "list", "--json"))
    raven.ok("infer", stored["id"], "--data", project, "--out", tmp_path / "out")
    raven.ok("models", "push", model, "--transfer-only")
    other = next(
        one["id"] for one in json.loads(raven.ok("models", "list", "--json")) if one["id"] != stored["id"]
    )
    refused = raven("infer", other, "--data", project, "--out", tmp_path / "other")
    assert refused.returncode == 2 and "for transfer learning only" in refused.stderr
    file = next((raven.home / "store" / "models").glob(f"*_{other}.tar"))
    assert raven("infer", file, "--data", project, "--out", tmp_path / "other").returncode == 2
    raven.ok("infer", other, "--data", project, "--out", tmp_path / "other", "--force")


def test_a_folder_of_another_program_goes_to_the_plugin_that_knows_it(
    raven: Raven, project: Path, tmp_path: Path
) -> None:
    folder, image = tmp_path / "artifacts", project / "ds/img/meadow00.png"
    folder.mkdir()
    (folder / "tint.txt").write_text("2.4")
    raven.ok("infer", folder, "--data", image, "--out", tmp_path / "out")
    assert (predicted(tmp_path / "out", "images/meadow00.png") == expected(image, 2.4)).all()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("nowhere.tar", "does not exist"),
        ("20990101", "No file, folder, run or stored model"),
        ("here", "is not a model"),
        ("empty.tar", "not a readable tar"),
    ],
)
def test_what_is_no_model_gets_a_sentence(
    raven: Raven, project: Path, tmp_path: Path, model: str, said: str
) -> None:
    (raven.cwd / "empty.tar").write_bytes(b"")
    (raven.cwd / "here").mkdir()
    refused = raven("infer", model, "--data", project, "--out", tmp_path / "out")
    assert refused.returncode in (1, 2) and said in refused.stderr and "Traceback" not in refused.stderr
    assert not (tmp_path / "out").exists()


# --- configs --------------------------------------------------------------------------------------


def config(folder: Path, **content: Any) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps(content))
    return file


def test_a_config_is_filled_up_with_defaults_and_options_win(
    raven: Raven, project: Path, model: Path, tmp_path: Path
) -> None:
    file = config(
        tmp_path, model={"gain": 2.0, "gpu_device": 0}, mode={"name": "sliding_window", "save": True}
    )
    out = tmp_path / "out"
    raven.ok("infer", model, "--data", project, "--out", out, "--config", file, "--overlap", "4x8")
    mode = json.loads((out / "infer.json").read_text())["mode"]
    assert mode["window"] == {"width": 16, "height": 16} and mode["min_overlap"] == {"x": 4, "y": 8}
    assert mode["model_classes"] == {"save_classes": "__all__", "add_suffix": "_tints"}
    assert (predicted(out, "ds/meadow00.png") == expected(project / "ds/img/meadow00.png", 2.0)).all()
    assert "sliding_window" in titles(out, "ds/meadow00.png")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"mode": {"name": "roi", "bounds": {"left": 5}}}, "config.json: `mode.bounds.left`"),
        ({"mode": {"name": "full_image", "windows": {}}}, "config.json: `mode.windows` is not a known field"),
        ({"mode": {"name": "full"}}, "config.json: `mode.name` should be one of"),
        ({"mod": {}}, "config.json: `mod` is not a known field; did you mean"),
        (
            {"mode": {"model_classes": {"save_classes": ["rad"]}}},
            '`mode.model_classes.save_classes`: there is no class "rad"',
        ),
        (
            {"mode": {"name": "bboxes", "from_classes": ["thin"]}},
            '`mode.from_classes`: there is no class "thin"',
        ),
        ({"mode": {"name": "sliding_window_det"}}, "the model is for segmentation; use sliding_window"),
        ({"model": {"gian": 2}}, "`model.gian` is not a known field"),
    ],
)
def test_a_wrong_field_of_a_config_is_named(
    raven: Raven, project: Path, model: Path, tmp_path: Path, content: dict[str, Any], said: str
) -> None:
    file = config(tmp_path, **content)
    refused = raven("infer", model, "--data", project, "--out", tmp_path / "out", "--config", file)
    assert refused.returncode == 2 and said in refused.stderr, refused.stderr
    assert not (tmp_path / "out").exists()


def test_a_wrong_option_is_named_as_the_option(
    raven: Raven, project: Path, model: Path, tmp_path: Path
) -> None:
    refused = raven(
        "infer", model, "--data", project, "--out", tmp_path / "out", "--window", "8", "--overlap", "9"
    )
    assert refused.returncode == 2 and "must be smaller than the window of 8×8" in refused.stderr
    refused = raven("infer", model, "--data", project, "--out", tmp_path / "out", "--window", "wide")
    assert refused.returncode == 2 and "'wide' is not a size" in refused.stderr


def test_a_plugin_s_presets_are_known_by_title(
    raven: Raven, project: Path, model: Path, tmp_path: Path
) -> None:
    raven.ok("infer", model, "--data", project, "--out", tmp_path / "out", "--preset", "upper half")
    found = predicted(tmp_path / "out", "ds/meadow00.png", "red_upper")
    wanted = expected(project / "ds/img/meadow00.png")
    wanted[12:] = False
    assert (found == wanted).all()
    refused = raven("infer", model, "--data", project, "--out", tmp_path / "out", "--preset", "quick")
    assert refused.returncode == 2 and "it has 'Upper half'" in refused.stderr


def test_a_class_that_is_there_with_another_shape_is_not_mixed_up(
    raven: Raven, project: Path, tmp_path: Path
) -> None:
    spots = pack(tmp_path / "spots.tar", "spots")
    (project / "meta.json").write_text((project / "meta.json").read_text().replace('"thing"', '"thing_x"'))
    for annotation in (project / "ds/ann").iterdir():
        annotation.write_text(annotation.read_text().replace('"thing"', '"thing_x"'))
    model = pack(tmp_path / "model.tar")
    meta = json.loads((project / "meta.json").read_text())
    meta["classes"].append({"title": "red_new", "shape": "polygon", "color": "#000000"})
    (project / "meta.json").write_text(json.dumps(meta))
    refused = raven("infer", model, "--data", project, "--out", tmp_path / "out", "--suffix", "_new")
    assert refused.returncode == 2 and '"red_new" of the shape polygon' in refused.stderr
    assert "--suffix" in refused.stderr
    raven.ok("infer", spots, "--data", project, "--out", tmp_path / "out", "--suffix", "_new")


def test_on_a_terminal_a_bar_shows_speed_and_time_left(
    raven: Raven, project: Path, model: Path, tmp_path: Path
) -> None:
    ours, theirs = pty.openpty()
    command = ["infer", model, "--data", project, "--out", tmp_path / "out"]
    process = start_raven(*command, stdout=theirs, stderr=theirs, env=raven.env(TERM="xterm"), cwd=raven.cwd)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:
        pass
    assert process.wait(timeout=60) == 0
    os.close(ours)
    assert b"Images" in shown and b"images/s" in shown
