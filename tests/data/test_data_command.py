"""``raven data``: inspect, demo, cache, list; and datasets by name."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from projects import bitmap_of, box_of, real_data, write_item, write_meta, write_project

from ravenml.cli.data import data
from ravenml.data.bitmap import decode_bitmap
from ravenml.data.cache import default_cache
from ravenml.data.demo import write_demo
from ravenml.data.folds import make_folds
from ravenml.data.geometry import Polygon
from ravenml.data.inspection import inspect_project
from ravenml.data.project import Project
from ravenml.data.registry import known_datasets, resolve_dataset
from ravenml.data.split import default_split
from ravenml.errors import InputError


def run(*arguments: object) -> Result:
    return CliRunner().invoke(data, [str(argument) for argument in arguments])


def test_inspect_counts_what_is_there(tmp_path: Path) -> None:
    found = inspect_project(write_project(tmp_path, images=5, val=2))
    assert not found.problems and found.datasets == {"scenes": 5} and found.sizes == {(48, 40): 5}
    assert found.shapes == {"bitmap": 5, "polygon": 5, "rectangle": 5}
    assert found.image_tags == {"train": 3, "val": 2}
    assert {title: (c.objects, c.images) for title, c in found.classes.items()} == dict.fromkeys(
        ["blob", "ring", "box"], (5, 5)
    )
    shares = [count.pixel_share for count in found.classes.values()]
    assert all(share > 0 for share in shares) and sum(shares) + found.background_share == pytest.approx(1)


def test_inspect_counts_object_tags_and_shapes_that_are_left_out(tmp_path: Path) -> None:
    write_meta(tmp_path, {"box": "rectangle", "dot": "point"})
    dot = {"classTitle": "dot", "points": {"exterior": [[1, 1]], "interior": []}}
    image = np.zeros((8, 8, 3), np.uint8)
    write_item(tmp_path, "a", "1.png", image, [box_of("box", 0, 0, 1, 1, tags=["old"]), dot])
    found = inspect_project(tmp_path)
    assert found.object_tags == {"old": 1} and found.left_out == {"point": 1} and not found.problems


def broken_project(folder: Path) -> Path:
    """Ten images, seven problems in five files and two without a partner."""
    write_project(folder, images=10)
    ds = folder / "scenes"
    (ds / "img/scene_000.png").unlink()
    (ds / "ann/scene_001.png.json").unlink()
    (ds / "img/scene_002.png").write_bytes((ds / "img/scene_002.png").read_bytes()[:200])
    (ds / "ann/scene_003.png.json").write_text("{")
    image = np.zeros((40, 48, 3), np.uint8)
    bad = bitmap_of("blob", (45, 0), np.ones((4, 4)))
    unreadable = bitmap_of("blob", (0, 0), np.ones((4, 4)))
    unreadable["bitmap"]["data"] = "?"
    write_item(folder, "scenes", "scene_004.png", image, [bad, box_of("nobody", 0, 0, 1, 1), unreadable])
    write_item(folder, "scenes", "scene_005.png", image, size=(7, 7))
    return folder


def test_inspect_lists_every_fault_and_not_just_the_first(tmp_path: Path) -> None:
    result = run("inspect", broken_project(tmp_path))
    assert result.exit_code == 1
    problems = [line for line in result.stdout.splitlines() if line.startswith("PROBLEM ")]
    for words in (
        "ann/scene_000.png.json: has no image",
        "img/scene_001.png: has no annotation",
        "img/scene_002.png: the image is cut off",
        "ann/scene_003.png.json, line 1",
        "ann/scene_004.png.json, objects[0].bitmap: reaches outside",
        "ann/scene_004.png.json, objects[1].classTitle: the class",
        "ann/scene_004.png.json, objects[2].bitmap.data: is not valid base64",
        "ann/scene_005.png.json, size: says 7×7",
    ):
        assert sum(words in line for line in problems) == 1, words
    assert len(problems) == 8 and "8 problems found." in result.stdout


def test_inspect_prints_json_for_scripts(tmp_path: Path) -> None:
    result = run("inspect", "--json", broken_project(tmp_path))
    assert result.exit_code == 1
    said = json.loads(result.stdout)
    assert len(said["faults"]) == 8 and said["faults"][0].keys() == {"file", "field", "problem", "mend"}
    assert said["sizes"] == [[48, 40, 7]] and said["classes"][0]["title"] == "blob"


def test_inspect_is_plain_text_when_piped(tmp_path: Path) -> None:
    result = run("inspect", write_project(tmp_path))
    assert result.exit_code == 0 and "No problems found." in result.stdout and "\x1b" not in result.stdout
    assert any(line.split()[:2] == ["blob", "bitmap"] for line in result.stdout.splitlines())


def test_inspect_shows_tables_on_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ravenml.data.inspection import print_rich

    print_rich(inspect_project(broken_project(tmp_path)))
    shown = capsys.readouterr().out
    assert "Classes" in shown and "8 problems found" in shown and "scene_005" in shown


def test_inspect_of_no_project_raises_what_the_front_door_prints(tmp_path: Path) -> None:
    assert isinstance(run("inspect", tmp_path).exception, InputError)
    assert isinstance(run("inspect", tmp_path / "nowhere").exception, InputError)
    assert run("inspect").exit_code == 2 and "Name a dataset" in run("inspect").output


def test_an_empty_project_has_one_problem(tmp_path: Path) -> None:
    write_meta(tmp_path, {"a": "bitmap"})
    assert [problem.problem for problem in inspect_project(tmp_path).problems] == ["holds no images"]


def test_the_real_project_has_no_problems() -> None:
    found = inspect_project(real_data("camvid_small"))
    assert not found.problems and found.shapes == {"bitmap": 619}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return write_demo(tmp_path_factory.mktemp("demo") / "gardens", images=10)


def test_the_demo_project_has_all_shapes_tags_and_no_problems(demo: Project) -> None:
    found = inspect_project(demo.root)
    assert not found.problems and len(demo.items) == 10 and found.sizes == {(192, 144): 10}
    assert set(found.shapes) == {"bitmap", "polygon", "rectangle"} and set(found.image_tags) == {
        "train",
        "val",
    }
    assert all(count.objects for count in found.classes.values())
    geometries = [thing.geometry for item in demo.items for thing in demo.annotation(item).objects]
    assert any(isinstance(shape, Polygon) and shape.interior for shape in geometries)


def test_the_demo_project_splits_and_folds_without_a_warning(demo: Project) -> None:
    said: list[str] = []
    split = default_split(demo, notice=said.append)
    assert len(split.val) == 2 and len(split.train) == 8
    make_folds(demo, 5, notice=said.append)
    assert not said
    make_folds(demo, 2, by="dataset", notice=said.append)
    assert said == ["2 datasets: autumn (5), spring (5); the folds hold 5, 5 images."]


def test_the_demo_project_is_the_same_for_a_seed_and_another_for_another(tmp_path: Path) -> None:
    first, again, other = (write_demo(tmp_path / str(n), 2, seed) for n, seed in enumerate((3, 3, 4)))
    assert [i.image_path.read_bytes() for i in first.items] == [
        i.image_path.read_bytes() for i in again.items
    ]
    assert [i.annotation_path.read_bytes() for i in first.items] == [
        i.annotation_path.read_bytes() for i in again.items
    ]
    assert first.items[0].image_path.read_bytes() != other.items[0].image_path.read_bytes()


@pytest.mark.parametrize("images", [2, 3, 5])
def test_a_demo_of_any_size_has_both_sets(tmp_path: Path, images: int) -> None:
    split = default_split(write_demo(tmp_path / "demo", images))
    assert split.train and split.val and len(split.train) + len(split.val) == images


def test_the_demo_refuses_a_folder_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    result = run("demo", tmp_path)
    assert isinstance(result.exception, InputError) and "is not empty" in str(result.exception)
    assert os.listdir(tmp_path) == ["mine"]
    assert isinstance(run("demo", tmp_path / "new", "--images", 1).exception, InputError)


def test_the_demo_command_says_where_it_is_and_what_to_do_next(tmp_path: Path) -> None:
    result = run("demo", tmp_path / "new", "--images", 2)
    assert result.exit_code == 0 and "raven train --dataset" in result.stdout
    assert (tmp_path / "new/meta.json").exists()


def test_the_demo_s_bitmaps_are_cut_to_what_is_set(demo: Project) -> None:
    for item in demo.items:
        for entry in json.loads(item.annotation_path.read_text())["objects"]:
            if "bitmap" in entry:
                mask = decode_bitmap(entry["bitmap"]["data"])
                assert mask[0].any() and mask[-1].any() and mask[:, 0].any() and mask[:, -1].any()


def test_the_cache_command_says_size_and_place_and_clears(small: Project, home: Path) -> None:
    default_cache().warm(small, small.items, 1)
    result = run("cache")
    assert result.output.startswith("6 images, ") and str(home / "cache" / "decoded") in result.output
    assert "20.0 GiB" in result.output
    assert run("cache", "--clear").output.startswith("Removed ")
    assert run("cache").output.startswith("0 images, 0 B")


def configure(home: Path, text: str) -> None:
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.yaml").write_text(text)


def test_datasets_have_names_from_their_folder_and_from_the_configuration(home: Path, tmp_path: Path) -> None:
    mine = write_project(home / "datasets" / "mine", images=2)
    roads = write_project(tmp_path / "roads", images=3)
    (home / "datasets" / "no project").mkdir()
    configure(home, f"datasets: {{city: {roads}, gone: {tmp_path / 'gone'}}}")
    assert known_datasets() == {"city": roads, "gone": tmp_path / "gone", "mine": mine}
    assert resolve_dataset("city") == roads and resolve_dataset("mine") == mine
    assert resolve_dataset(str(roads)) == roads
    lines = [line.rsplit("\t", 3)[0] for line in run("list").output.splitlines()]  # then size, date, where
    assert lines == [f"city\t3\t{roads}", f"gone\tmissing\t{tmp_path / 'gone'}", f"mine\t2\t{mine}"]
    with pytest.raises(InputError, match=r'"gone" is configured as .* does not exist'):
        resolve_dataset("gone")
    with pytest.raises(InputError, match=r'No folder or dataset is called "ctiy"; .*did you mean "city"'):
        resolve_dataset("ctiy")


def test_an_unknown_dataset_says_how_to_name_one(home: Path) -> None:
    with pytest.raises(InputError, match="name a project's folder"):
        resolve_dataset("nothing")
    with pytest.raises(InputError, match="does not exist; name a project's folder"):
        resolve_dataset("./no/such/folder")


def test_inspect_takes_a_name_and_the_configured_default(home: Path, tmp_path: Path) -> None:
    roads = write_project(tmp_path / "roads", images=2)
    configure(home, f"dataset: city\ndatasets: {{city: {roads}}}")
    assert str(roads) in run("inspect", "city").output
    assert str(roads) in run("inspect").output
