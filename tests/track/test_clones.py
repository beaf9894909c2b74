"""``Task.clone``, ``Task.create`` and ``Task.enqueue``: runs that a script starts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from as_user import Raven

from ravenml.errors import InputError
from ravenml.task import Task

SCRIPT = """
from ravenml import Task
task = Task.init("roads", "train")
given = task.connect({"lr": 0.1, "epochs": 2})
task.connect({"depth": 3}, "Net")
task.execute_remotely()
print("lr", given["lr"])
"""


def test_a_clone_runs_with_other_parameters_under_its_own_id(
    raven: Raven, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in raven.env().items():
        monkeypatch.setenv(name, value)
    (raven.cwd / "train.py").write_text(SCRIPT)
    raven.ok("run", "--", sys.executable, "train.py", RAVENML_WORKER="1")
    template = Task.get_task(project_name="roads", task_name="train")
    assert template is not None
    clone = Task.clone(template, name="second")
    assert (clone.status, clone.parent, clone.get_parameter("lr")) == ("created", template.id, "0.1")
    given = clone.get_parameters()
    given["lr"] = 0.5  # beside General/lr, as scripts do
    clone.set_parameters({**given, "Net/depth": 7})
    assert Task.get_task(clone.id) is clone
    Task.enqueue(clone.id, queue_name="default")
    assert clone.wait() == "completed"
    done = Task.get_task(project_name="roads", task_name="second")
    assert done is not None and done.id == clone.id and done.parent == template.id
    assert done.get_parameters(cast=True) == {"General/lr": 0.5, "General/epochs": 2, "Net/depth": 7}
    assert "lr 0.5" in done.get_reported_console_output(5)
    with pytest.raises(InputError, match="was started already"):
        Task.enqueue(clone)


def test_a_script_of_this_machine_is_created_and_started(
    raven: Raven, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in raven.env().items():
        monkeypatch.setenv(name, value)
    (raven.cwd / "say.py").write_text("import sys; print(*sys.argv[1:])")
    draft = Task.create(
        "roads", "say", script="say.py", working_directory=str(raven.cwd), argparse_args=[("a", 1)]
    )
    draft.set_parameter("Args/b", 2)
    Task.enqueue(draft)
    assert draft.wait() == "completed"
    assert draft.get_reported_console_output() == ["--a 1 --b 2"]


def test_what_cannot_be_started_says_why(home: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Task.create: there is no script .*none.py"):
        Task.create(script="none.py", working_directory=str(tmp_path))
    with pytest.raises(InputError, match="repo= is not fetched"):
        Task.create(script="a.py", repo="https://example.org/a.git")
    with pytest.raises(InputError, match="aaaaaa is none that Task"):
        Task.enqueue("20260101-000000-aaaaaa")
