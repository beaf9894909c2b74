"""Pipelines and searches under ClearML's names: what they start are runs of their own."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from as_user import Raven

from ravenml.errors import InputError
from ravenml.task import (
    DiscreteParameterRange,
    GridSearch,
    HyperParameterOptimizer,
    LogUniformParameterRange,
    ParameterSet,
    PipelineController,
    RandomSearch,
    Task,
    UniformIntegerParameterRange,
    UniformParameterRange,
)


def python(raven: Raven, source: str) -> subprocess.CompletedProcess[str]:
    (raven.cwd / "pipe.py").write_text(dedent(source))
    command = [sys.executable, "pipe.py"]
    return subprocess.run(
        command, capture_output=True, text=True, env=raven.env(), cwd=raven.cwd, timeout=200
    )


def records(raven: Raven) -> dict[str, dict[str, Any]]:
    found = [json.loads((folder / "run.json").read_text()) for folder in raven.runs()]
    return {one["name"]: one for one in found}


def test_functions_run_in_order_and_hand_on_what_they_return(raven: Raven) -> None:
    done = python(
        raven,
        """
        from ravenml.task import PipelineController

        def more(function):
            def inner(*args, **kwargs):
                return function(*args, **kwargs) + 1
            return inner

        @more
        def load(base):
            print("loading")
            return base

        def use(data, scale, note):
            assert (data, scale) == (8, [7, "x"]), (data, scale)
            assert note == "from 7", note
            return {"sum": data}, 1

        def fail(parts):
            raise ValueError(f"too deep: {parts}")

        if __name__ == "__main__":
            pipe = PipelineController("demo", "roads")
            pipe.add_parameter("base", 7)
            pipe.add_function_step("load", load, dict(base="${pipeline.base}"), ["data"])
            given = dict(data="${load.data}", scale=["${pipeline.base}", "x"], note="from ${pipeline.base}")
            pipe.add_function_step("use", use, given, ["total", "count"])
            pipe.add_function_step("fail", fail, dict(parts="${use.total}"), continue_on_fail=True)
            print(pipe.start(), [step.status for step in pipe.get_pipeline_dag().values()])
            pipe = PipelineController("other", "roads")
            pipe.add_function_step("fail", fail, dict(parts=1))
            pipe.start()
        """,
    )
    assert done.stdout == "loading\nFalse ['completed', 'completed', 'failed']\n", done.stderr
    assert done.returncode == 1
    assert "Error: The step 'fail' failed: ValueError: too deep: 1; `raven runs logs" in done.stderr
    seen = records(raven)
    assert {name: one["result"]["status"] for name, one in seen.items()} == {
        **{"demo": "completed", "load": "completed", "use": "completed", "fail": "failed"},
        "other": "failed",
    }
    assert seen["demo"]["parameters"] == {"base": 7} and seen["use"]["tags"] == ["pipeline:demo"]
    artifacts = raven.home / "runs" / seen["use"]["id"] / "artifacts"
    assert json.loads((artifacts / "total.json").read_text()) == {"sum": 8}


def test_a_function_is_a_pipeline_of_functions(raven: Raven) -> None:
    done = python(
        raven,
        """
        from ravenml.task import PipelineDecorator, Task

        @PipelineDecorator.component(return_values=["low", "high"])
        def split(numbers):
            return numbers[0], numbers[-1]

        @PipelineDecorator.component()
        def add(a, b=1):
            Task.current_task().get_logger().report_single_value("sum", a + b)
            return a + b

        @PipelineDecorator.pipeline(name="sums", project="roads")
        def main(count, offset=1):
            low, high = split(list(range(count)))
            return add(add(low, high), b=offset)

        if __name__ == "__main__":
            PipelineDecorator.run_locally()
            print(main(4), add(1))
        """,
    )
    assert done.stdout == "4 2\n", done.stderr
    seen = records(raven)
    assert sorted(seen) == ["add", "add_2", "split", "sums"]
    assert seen["sums"]["parameters"] == {"count": 4, "offset": 1}
    assert seen["add_2"]["result"]["metrics"] == {"summary/sum": 4}


TRAIN = """
from ravenml.task import Task
task = Task.init("roads", "train")
given = task.connect({"lr": 1.0, "before": ""})
for step in range(3):
    task.get_logger().report_scalar("val", "loss", (given["lr"] - 2) ** 2 + step, step)
task.upload_artifact("weights", {"lr": given["lr"]})
"""


@pytest.fixture
def template(raven: Raven, monkeypatch: pytest.MonkeyPatch) -> str:
    """The ID of a run that is to be repeated."""
    for name, value in raven.env().items():
        monkeypatch.setenv(name, value)
    (raven.cwd / "train.py").write_text(TRAIN)
    raven.ok("run", "--", sys.executable, "train.py")
    return raven.runs()[0].name


@pytest.mark.slow
def test_a_search_ranks_clones_by_a_metric(template: str) -> None:
    told: list[Any] = []
    search = HyperParameterOptimizer(
        template,
        [DiscreteParameterRange("General/lr", [3.0, 2.0])],
        *("val", "loss"),
        optimizer_class=GridSearch,
    )
    assert search.start(job_complete_callback=lambda *one: told.append(one))
    assert search.wait(timeout=3) and not search.is_active()
    best, second = search.get_top_experiments(5)
    assert best.get_parameter("General/lr", cast=True) == 2.0 and best.parent == template
    assert second.get_last_scalar_metrics()["val"]["loss"] == {"last": 3.0, "min": 1.0, "max": 3.0}
    assert [(value, step, values) for _, value, step, values, _ in told] == [
        (3.0, 2, {"General/lr": 3.0}),
        (2.0, 2, {"General/lr": 2.0}),
    ]
    assert told[1][0] == told[1][4] == best.id
    assert search.get_top_experiments_details(1)[0]["hyper_parameters"] == {"General/lr": 2.0}


@pytest.mark.slow
def test_steps_of_a_pipeline_repeat_runs_and_refer_to_each_other(template: str, raven: Raven) -> None:
    done = python(
        raven,
        """
        from ravenml.task import PipelineController

        if __name__ == "__main__":
            pipe = PipelineController("chain", "roads")
            pipe.add_step("first", base_task_project="roads", base_task_name="train",
                          parameter_override={"General/lr": 5.0})
            pipe.add_step("second", base_task_project="roads", base_task_name="train",
                          parameter_override={"General/before": "${first.id} ${first.artifacts.weights.url}"},
                          pre_execute_callback=lambda pipe, step, given: print(step.name, len(given)))
            pipe.start()
        """,
    )
    assert done.stdout == "second 1\n", done.stderr
    seen = records(raven)
    assert seen["first"]["parameters"]["lr"] == 5.0
    run = raven.home / "runs" / seen["first"]["id"]
    assert seen["second"]["parameters"]["before"] == f"{run.name} {run}/artifacts/weights.json"


def test_a_pipeline_is_checked_when_it_is_built(home: Path) -> None:
    pipe = PipelineController("demo")
    pipe.add_function_step("a", print)
    with pytest.raises(InputError, match="There is a step 'a' already"):
        pipe.add_function_step("a", print)
    with pytest.raises(InputError, match="The step 'b' needs 'c', which is no step before it: a"):
        pipe.add_function_step("b", print, {"x": ["${c.value}"]})
    with pytest.raises(InputError, match="there is no run 'none' in 'p' to repeat"):
        pipe.add_step("d", base_task_project="p", base_task_name="none")


def test_spaces_have_the_values_that_they_name() -> None:
    whole = UniformIntegerParameterRange("n", 2, 8, step_size=3)
    assert whole.to_list() == [{"n": 2}, {"n": 5}, {"n": 8}]
    half_open = UniformParameterRange("x", 0, 1, step_size=0.25, include_max_value=False)
    assert [one["x"] for one in half_open.to_list()] == [0, 0.25, 0.5, 0.75]
    powers = LogUniformParameterRange("lr", -3, -1, step_size=1)
    assert [one["lr"] for one in powers.to_list()] == pytest.approx([0.001, 0.01, 0.1])
    source = random.Random(0)
    assert all(1e-3 <= LogUniformParameterRange("lr", -3, -1).draw(source)["lr"] <= 1e-1 for _ in range(50))
    both = ParameterSet([{"a": 1, "b": 2}, {"a": 3, "b": 4}])
    grid = list(GridSearch([whole, both], None, 0))
    assert len(grid) == 6 and grid[1] == {"n": 2, "a": 3, "b": 4}
    drawn = list(RandomSearch([whole, both], 4, 1))
    assert len(drawn) == 4 and all(drawn.count(one) == 1 and one in grid for one in drawn)
    assert len(list(RandomSearch([whole], 10, 1))) == 3
    with pytest.raises(InputError, match="x has no end of values; give step_size="):
        GridSearch([UniformParameterRange("x", 0, 1)], None, 0)
    with pytest.raises(InputError, match="RandomSearch needs total_max_jobs="):
        RandomSearch([whole], None, 0)


def test_a_search_has_one_objective(home: Path) -> None:
    with pytest.raises(InputError, match="takes one objective"):
        HyperParameterOptimizer("x", [], ["a", "b"], ["c", "d"])  # type: ignore[arg-type]
    assert Task.current_task() is None
