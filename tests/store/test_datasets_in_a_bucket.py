"""`raven data` with a bucket: pushing, listing, pulling, removing, and datasets fetched when named."""

from __future__ import annotations

import json
from pathlib import Path

from as_user import Raven
from buckets import OpenStore, ask
from faults import FaultProxy
from throwaway import GROUP, write_plugin


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_what_is_pushed_and_pulled_is_the_same(cloud: Raven, project: Path, tmp_path: Path) -> None:
    assert "25 files" in cloud.ok("data", "push", project, "--name", "meadows")
    assert "0 files, 25 were there" in cloud.ok("data", "push", project, "--name", "meadows")
    cloud.ok("data", "pull", "meadows")
    mine = cloud.home / "datasets" / "meadows"
    assert contents(mine) == contents(project)
    next(mine.glob("ds/img/*")).unlink()
    assert ": 1 files, 24 were there" in cloud.ok("data", "pull", "meadows")
    (mine / "ds" / "ann" / "meadow00.png.json").write_text(
        "{}"
    )  # a change of the user's, or of a broken disk
    assert ": 1 files, 24 were there" in cloud.ok("data", "pull", "meadows")
    assert contents(mine) == contents(project)
    cloud.ok("data", "pull", "meadows", "--to", tmp_path / "there")
    assert contents(tmp_path / "there") == contents(project)


def test_both_places_are_listed_with_size_and_date(cloud: Raven, project: Path) -> None:
    cloud.ok("data", "push", project, "--name", "meadows")
    cloud.ok("data", "pull", "meadows")
    local, remote = (line.split("\t") for line in cloud.ok("data", "list").splitlines())
    assert local[:2] == remote[:2] == ["meadows", "12"] and local[3] == remote[3]
    assert (local[5], remote[5]) == ("local", "remote") and remote[4].startswith("20")
    (only,) = json.loads(cloud.ok("data", "list", "--remote", "--json"))
    assert only["images"] == 12 and only["size"] == sum(map(len, contents(project).values()))
    assert json.loads(cloud.ok("data", "list", "--name", "zzz", "--json")) == []


def test_a_dataset_that_lies_in_the_bucket_is_fetched_when_it_is_named(
    cloud: Raven, learner: Path, project: Path
) -> None:
    cloud.ok("data", "push", project, "--name", "meadows")
    done = cloud("train", "--dataset", "meadows", "learner", "train")
    assert done.returncode == 0 and "Fetching the dataset meadows" in done.stderr
    again = cloud("train", "--dataset", "meadows", "learner", "train")
    assert again.returncode == 0 and "Fetching" not in again.stderr
    unknown = cloud("train", "--dataset", "meadow", "learner", "train")
    assert unknown.returncode == 2 and 'did you mean "meadows"' in unknown.stderr


def test_a_dataset_of_ravenml_1_in_the_bucket_is_fetched_for_a_plugin_that_publishes_no_settings(
    cloud: Raven, site: Path, learner: Path, open_store: OpenStore
) -> None:
    store = open_store(prefix="d")
    for name in ("metadata.json", "splits/complete/train/train.record-00000-of-00001"):
        store.put_content(f"orbit/{name}", b"{}")
    command = "\n@my_plugin.command()\n@pass_train\ndef train(train): print(train.dataset.path)\n"
    write_plugin(site, "former", GROUP + command)
    fetched = cloud("train", "--dataset", "orbit", "former", "train")
    assert fetched.returncode == 0 and "Fetching the dataset orbit" in fetched.stderr
    assert set(contents(Path(fetched.stdout.split()[0]))) == {
        "metadata.json", "splits/complete/train/train.record-00000-of-00001"
    }  # fmt: skip
    assert "Fetching" not in cloud("train", "--dataset", "orbit", "former", "train").stderr
    assert cloud("train", "--dataset", "orbit", "learner", "train").returncode == 2


def test_an_address_names_a_dataset_too(cloud: Raven, learner: Path, project: Path) -> None:
    cloud.ok("data", "push", project, "--name", "meadows")
    address = cloud.environment["RAVENML_DATASET_BUCKET_NAME"]
    env = {"RAVENML_DATASET_BUCKET_NAME": ""}
    done = cloud("train", "--dataset", f"{address}/meadows", "learner", "train", **env)
    assert done.returncode == 0, done.stderr
    wrong = cloud("train", "--dataset", f"{address}/marshes", "learner", "train", **env)
    assert wrong.returncode == 2 and "it has no meta.json there" in wrong.stderr


def test_an_interrupted_push_or_pull_is_never_listed_and_goes_on(
    cloud: Raven, project: Path, proxy: FaultProxy, server: str, open_store: OpenStore
) -> None:
    name = cloud.environment["RAVENML_DATASET_BUCKET_NAME"].replace(server, proxy.address)
    cloud.environment["RAVENML_DATASET_BUCKET_NAME"] = name
    proxy.fault = lambda method, path, number: (
        "AccessDenied 403" if method == "PUT" and "meadow11.png" in path else None
    )
    assert cloud("data", "push", project, "--name", "meadows").returncode == 1
    assert json.loads(cloud.ok("data", "list", "--remote", "--json")) == []
    done = cloud("data", "pull", "meadows")
    assert done.returncode == 1 and "is incomplete: it has no meta.json (yet)" in done.stderr
    proxy.fault = lambda *_: None
    cloud.ok("data", "push", project, "--name", "meadows")
    proxy.fault = lambda method, path, number: (
        "AccessDenied 403" if method == "GET" and "meadow11.png" in path and "list-type" not in path else None
    )
    assert cloud("data", "pull", "meadows").returncode == 1
    assert json.loads(cloud.ok("data", "list", "--local", "--json")) == []
    proxy.fault = lambda *_: None
    cloud.ok("data", "pull", "meadows")
    assert contents(cloud.home / "datasets" / "meadows") == contents(project)


def test_what_another_program_put_there_is_counted(
    cloud: Raven, project: Path, open_store: OpenStore
) -> None:
    store = open_store(prefix="d")
    for path in project.rglob("*"):
        if path.is_file():
            ask(store, "put_object", Key=f"d/theirs/{path.relative_to(project)}", Body=path.read_bytes())
    (one,) = json.loads(cloud.ok("data", "list", "--remote", "--json"))
    assert one["name"] == "theirs" and one["images"] is None and one["size"] > 0
    cloud.ok("data", "pull", "theirs")
    assert contents(cloud.home / "datasets" / "theirs") == contents(project)


def test_files_that_are_gone_stay_in_the_bucket_unless_told(cloud: Raven, project: Path) -> None:
    cloud.ok("data", "push", project, "--name", "meadows")
    (project / "ds" / "img" / "meadow11.png").unlink()
    (project / "ds" / "ann" / "meadow11.png.json").unlink()
    said = cloud.ok("data", "push", project, "--name", "meadows")
    assert "2 files in the bucket are not in" in said and "--delete" in said
    cloud.ok("data", "push", project, "--name", "meadows", "--delete")
    cloud.ok("data", "pull", "meadows")
    assert contents(cloud.home / "datasets" / "meadows") == contents(project)


def test_removing_is_for_the_bucket_or_for_the_copy(
    cloud: Raven, project: Path, open_store: OpenStore
) -> None:
    cloud.ok("data", "push", project, "--name", "meadows")
    cloud.ok("data", "pull", "meadows")
    cloud.ok("data", "rm", "meadows", "--yes")
    assert list(open_store(prefix="d").list()) == []
    assert (cloud.home / "datasets" / "meadows").exists()
    cloud.ok("data", "rm", "meadows", "--local", "--yes")
    assert not (cloud.home / "datasets" / "meadows").exists()
    assert cloud("data", "rm", "meadows", "--local", "--yes").returncode == 2
    assert cloud("data", "rm", "meadows", "--yes").returncode == 2


def test_a_dataset_that_holds_another_is_removed_with_it(
    cloud: Raven, project: Path, open_store: OpenStore
) -> None:
    cloud.ok("data", "push", project, "--name", "meadows")
    for path in ("meadows/meta.json", "meadows/.ravenml-dataset.json"):
        open_store(prefix="d").put_content(f"meadows/{path}", b"{}")
    assert cloud.ok("data", "rm", "meadows", "--yes")
    assert list(open_store(prefix="d").list()) == []


def test_what_is_no_project_is_not_pushed(cloud: Raven, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    assert cloud("data", "push", tmp_path / "photos").returncode == 2


def test_without_a_bucket_there_is_a_sentence(raven: Raven, project: Path) -> None:
    for arguments in (["pull", "x"], ["push", project], ["list", "--remote"]):
        done = raven("data", *arguments)
        assert done.returncode == 2 and "raven config update --dataset-bucket-name" in done.stderr
