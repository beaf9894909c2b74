"""Annotation files that were changed at one place: it is told what that costs, and no object gets lost."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.dom import minidom
from xml.parsers.expat import ExpatError

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from projects import encoded

from ravenml.data.formats.conversion import Imported, import_project
from ravenml.errors import InputError

HEIGHT, WIDTH = 24, 32
WORDS = [
    "",
    "nan",
    "-1",
    "1e999",
    "9" * 400,
    "0",
    "2",
    "0.5",
    "x",
    "\ud83d",
    "\0",
    "\ufeff",
    "�",
    "<",
    "&",
    '"',
    " ",
]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A valid source of each format: two images, three objects of two classes."""
    root = tmp_path_factory.mktemp("sources")
    yolo = {
        "data.yaml": "path: .\nnames:\n  0: crate\n  1: pallet\ntrain: images/a\nval: images/b\nnc: 2\n",
        "labels/a/a.txt": "0 0.5 0.5 0.25 0.5\n1 0.25 0.25 0.5 0.25 0.5 0.75\n",
        "labels/b/b.txt": "1 0.25 0.25 0.125 0.125\n",
    }
    boxes = [
        f"<object><name>{name}</name><bndbox><xmin>{n + 1}</xmin><ymin>{n + 2}</ymin><xmax>{n + 9}</xmax>"
        f"<ymax>{n + 8}</ymax></bndbox></object>"
        for n, name in enumerate(["crate", "pallet", "pallet"])
    ]
    head = '<?xml version="1.0" encoding="utf-8"?>\n'
    voc = {
        f"Annotations/{name}.xml": f"{head}<annotation>\n<filename>{name}.png</filename>\n<size>"
        f"<width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>\n{objects}\n</annotation>\n"
        for name, objects in (("a", boxes[0] + boxes[1]), ("b", boxes[2]))
    }
    voc |= {"ImageSets/Main/train.txt": "a\n", "ImageSets/Main/val.txt": "b\n"}
    cvat = {
        "annotations.xml": f"{head}<annotations><version>1.1</version><meta><task><labels><label>"
        "<name>crate</name><color>#ff0000</color></label><label><name>pallet</name></label></labels></task></meta>\n"
        f'<image id="0" name="a.png" subset="Train" width="{WIDTH}" height="{HEIGHT}">\n'
        '<box label="crate" xtl="1" ytl="2" xbr="9" ybr="8" z_order="0"/>\n'
        '<polygon label="pallet" points="3,4;12,4;12,12" z_order="1"/>\n</image>\n'
        f'<image id="1" name="b.png" subset="Validation" width="{WIDTH}" height="{HEIGHT}">\n'
        '<mask label="pallet" rle="0, 2, 1, 3" left="5" top="6" width="3" height="2" z_order="0"/>\n'
        "</image></annotations>\n"
    }
    picture = encoded(np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
    images = {
        "yolo": ("images/a/a.png", "images/b/b.png"),
        "voc": ("JPEGImages/a.png", "JPEGImages/b.png"),
        "cvat": ("images/a.png", "images/b.png"),
    }
    for name, files in (("yolo", yolo), ("voc", voc), ("cvat", cvat)):
        contents = {file: text.encode() for file, text in files.items()} | dict.fromkeys(
            images[name], picture
        )
        for file, content in contents.items():
            (root / name / file).parent.mkdir(parents=True, exist_ok=True)
            (root / name / file).write_bytes(content)
    return root


@st.composite
def changes(draw: st.DrawFn) -> Callable[[str], bytes]:
    """A change of a text at one place, and how it is saved."""
    place, length = draw(st.floats(0, 1)), draw(st.integers(0, 40))
    word = draw(st.sampled_from(WORDS))
    kind = draw(st.sampled_from(["word", "word", "cut", "twice", "insert", "byte", "cut off", "saved"]))
    codec = (
        draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16"]))
        if kind == "saved"
        else "utf-8"
    )
    ending = draw(st.sampled_from(["\n", "\r\n", "\r"]))

    def change(text: str) -> bytes:
        at = int(place * len(text))
        if kind == "word":  # a word or number is another
            found = list(re.finditer(r"[\w.#-]+", text))
            one = found[min(int(place * len(found)), len(found) - 1)]
            text = text[: one.start()] + word + text[one.end() :]
        elif kind in ("cut", "twice", "insert"):
            middle = {"cut": "", "twice": 2 * text[at : at + length], "insert": word}[kind]
            text = text[:at] + middle + text[at + (length if kind != "insert" else 0) :]
        elif kind == "cut off":
            text = text[:at]
        content = text.replace("\n", ending).encode(codec, "surrogatepass")
        return content[:at] + b"\xff" + content[at + 1 :] if kind == "byte" else content

    return change


def objects_of_yolo(source: Path) -> Iterator[str]:
    for path in (source / "labels").rglob("*.txt"):
        content = path.read_bytes()
        text = content.decode(
            "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "replace"
        )
        yield from (line for line in re.split("[\r\n]", text) if line.split())


def objects_of_xml(source: Path, root: str, kinds: tuple[str, ...], above: str) -> Iterator[str]:
    """The objects of all files that another reader of XML can read."""
    for path in source.rglob("*.xml"):
        try:
            tree = minidom.parseString(path.read_bytes())  # noqa: S318 - made above
        except (ExpatError, ValueError, LookupError):
            continue
        outermost = tree.documentElement
        if outermost is not None and outermost.tagName == root:
            for parent in [outermost] if above == root else tree.getElementsByTagName(above):
                yield from (one.toxml() for one in parent.childNodes if one.nodeName in kinds)


FOUND: dict[str, Callable[[Path], Iterator[str]]] = {
    "yolo": objects_of_yolo,
    "voc": lambda source: objects_of_xml(source, "annotation", ("object",), "annotation"),
    "cvat": lambda source: objects_of_xml(source, "annotations", ("box", "polygon", "mask"), "image"),
}


def outcome(name: str, source: Path, target: Path) -> Imported | None:
    """What an import comes to; None where it is refused in a sentence."""
    with redirect_stderr(StringIO()):
        try:
            return import_project(source, target, name, copy=True)
        except InputError as error:
            said = str(error)
            assert said.endswith(".") and "\n" not in said.replace("\\n", "") and len(said) < 3000
            return None


@pytest.mark.parametrize("name", list(FOUND))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(change=changes(), which=st.floats(0, 0.999))
def test_one_change_of_a_file_loses_no_object_unnoticed(
    name: str, change: Callable[[str], bytes], which: float, sources: Path
) -> None:
    with TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        shutil.copytree(sources / name, source)
        files = sorted(path for path in source.rglob("*") if path.suffix in (".txt", ".xml", ".yaml"))
        file = files[int(which * len(files))]
        file.write_bytes(change(file.read_text()))
        done = outcome(name, source, Path(folder) / "target")
        if done is None:
            return
        found = list(FOUND[name](source))
        assert done.images + done.losses.images >= 2 or done.problems
        if not done.losses.images:  # whose objects nobody counts
            assert done.objects + done.losses.objects >= len(found), found


@pytest.mark.parametrize("name", list(FOUND))
@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16"])
def test_another_way_of_saving_the_same_text_changes_nothing(
    name: str, codec: str, sources: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    shutil.copytree(sources / name, source)
    for path in source.rglob("*"):
        if path.suffix in (".txt", ".xml", ".yaml"):
            path.write_bytes(path.read_text().replace("\n", "\r\n").encode(codec))
    done = outcome(name, source, tmp_path / "target")
    assert done is not None and not done.problems and not done.notices
    assert done.classes == Counter({"crate": 1, "pallet": 2}) and set(done.tags) == {"train", "val"}
