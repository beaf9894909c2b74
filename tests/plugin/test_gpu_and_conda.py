"""The driver's check, plugins that cannot share a GPU environment, and ``-c``."""

from __future__ import annotations

from pathlib import Path

import pytest
from local_wheels import Checkout, Environment, write_wheel

from ravenml.errors import RavenError
from ravenml.plugin.conda import read_environment_file
from ravenml.plugin.driver import check_driver, cuda_conflict, driver_version, pinned_cuda
from ravenml.plugin.requirements import core_requirements, read_pins

ROOT = Path(__file__).resolve().parent.parent.parent
CUDA_13 = {"torch": "2.13.0", "cuda-toolkit": "13.0.3.0", "nvidia-cudnn-cu13": "9.20.0.48"}
CUDA_12 = {"tensorflow": "2.20.0", "nvidia-cuda-runtime-cu12": "12.5.82", "nvidia-cudnn-cu12": "9.3.0.75"}


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts an ``nvidia-smi`` on the PATH that tells of a driver of this version."""

    def install(version: str, code: int = 0) -> str:
        folder = tmp_path / "driver"
        folder.mkdir(exist_ok=True)
        (folder / "nvidia-smi").write_text(f"#!/bin/sh\necho '{version}'\nexit {code}\n")
        (folder / "nvidia-smi").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        return f"{folder}:/usr/bin:/bin"

    return install


def test_a_driver_that_is_new_enough_is_accepted(driver):
    driver("580.65.06")
    assert driver_version() == "580.65.06"
    check_driver(CUDA_13, {})
    check_driver(CUDA_12, {})


def test_a_driver_older_than_the_pinned_cuda_is_refused(driver):
    driver("570.86.15")
    check_driver(CUDA_12, {})
    with pytest.raises(
        RavenError, match=r"570\.86\.15 is older than 580\.65\.06, which the pinned CUDA 13\.0"
    ):
        check_driver(CUDA_13, {})
    check_driver(CUDA_13, {"RAVENML_SKIP_DRIVER_CHECK": "1"})


def test_an_nvidia_smi_that_fails_is_no_driver(driver):
    driver("NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.", code=9)
    with pytest.raises(RavenError, match="finds no NVIDIA driver"):
        check_driver(CUDA_13, {})


def test_the_cuda_of_ravenmls_own_plugin_is_known():
    assert pinned_cuda(read_pins(ROOT / "plugins" / "ravenml_unet" / "requirements-gpu.txt")) == "13.0"


def test_two_generations_of_cuda_own_the_same_files():
    assert cuda_conflict(CUDA_13, CUDA_13) is None
    assert (
        cuda_conflict(CUDA_13, CUDA_12)
        == "nvidia-cudnn-cu13 9.20.0.48 and nvidia-cudnn-cu12 9.3.0.75 own the same files"
    )


def test_for_the_gpu_the_gpu_files_are_installed_once_there_is_a_driver(
    environment: Environment, checkout: Checkout
):
    checkout.plugin("fast", ["alpha==1.0"], gpu=["alpha==2.0"])
    done = environment.run(checkout.script("fast"), "-g")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "finds no NVIDIA driver" in done.stderr and "Nothing was changed." in done.stderr
    assert "alpha" not in environment.freeze()
    said = environment.ok(checkout.script("fast"), "-g", RAVENML_SKIP_DRIVER_CHECK="1")
    assert "installed and loads (GPU" in said and "alpha==2.0" in environment.freeze()
    environment.ok(checkout.install_all, "-u", "-g")  # no such check when uninstalling
    assert "alpha" not in environment.freeze()


@pytest.mark.slow
def test_for_the_gpu_a_build_for_the_cpu_that_is_already_there_is_replaced(
    environment: Environment, checkout: Checkout, wheels: Path
):
    for version in ("2.13.0", "2.13.0+cpu"):
        write_wheel(wheels, "torch", version)
    checkout.plugin("net", ["torch==2.13.0"])
    environment.pip("install", "-q", "torch==2.13.0+cpu")
    first = environment.freeze()
    said = environment.ok(checkout.script("net"), "-g", RAVENML_SKIP_DRIVER_CHECK="1")
    assert "torch 2.13.0+cpu becomes 2.13.0" in said
    assert "torch==2.13.0\n" in environment.freeze()
    environment.ok(checkout.install_all, "-u")
    assert environment.freeze() == first


@pytest.mark.slow
def test_two_plugins_that_cannot_share_a_gpu_environment_are_told_apart(
    environment: Environment, checkout: Checkout, wheels: Path
):
    write_wheel(wheels, "nvidia-cudnn-cu12", "9.3")
    write_wheel(wheels, "nvidia-cudnn-cu13", "9.20")
    checkout.plugin("old", ["alpha==2.0"], gpu=["nvidia-cudnn-cu12==9.3"])
    checkout.plugin("new", ["alpha==2.0"], gpu=["nvidia-cudnn-cu13==9.20"])
    skip = {"RAVENML_SKIP_DRIVER_CHECK": "1"}
    environment.ok(checkout.script("old"), "-g", **skip)
    before = environment.freeze()
    done = environment.run(checkout.script("new"), "-g", **skip)
    assert done.returncode == 1
    assert "ravenml_new and ravenml-old cannot share an environment on the GPU" in done.stderr
    assert "Make a second virtual environment" in done.stderr
    assert environment.freeze() == before
    environment.ok(checkout.script("new"))  # for the CPU it may come
    environment.ok(checkout.install_all, "-u")


def test_environment_yml_is_read_without_a_yaml_library():
    wanted = read_environment_file(ROOT / "environment.yml")
    assert wanted.pip == core_requirements(ROOT)
    assert wanted.channels == ["conda-forge"] and "python>=3.11,<3.14" in wanted.conda


def asks_for(checkout: Checkout, *lines: str) -> None:
    text = (checkout.root / "environment.yml").read_text()
    (checkout.root / "environment.yml").write_text(text + "".join(f"      - {line}\n" for line in lines))


def test_c_puts_back_what_is_missing_or_out_of_range_and_touches_nothing_else(
    environment: Environment, checkout: Checkout
):
    asks_for(checkout, "alpha>=2", "gamma", "beta")
    environment.pip("install", "-q", "alpha==1.0", "beta")
    first = environment.freeze()
    said = environment.ok(checkout.install_all, "-u", "-c")
    assert "were restored with pip, from the file's pip section" in said
    assert "alpha 2.0 (was 1.0)" in said and "gamma 1.0 (was missing)" in said
    assert set(environment.freeze().splitlines()) - set(first.splitlines()) == {"alpha==2.0", "gamma==1.0"}
    assert "nothing had to be restored" in environment.ok(checkout.install_all, "-u", "-c")


def test_c_sees_what_the_listed_ones_need_themselves(environment: Environment, checkout: Checkout):
    asks_for(checkout, "beta")
    environment.pip("install", "-q", "--no-deps", "beta")
    assert "alpha 2.0 (was missing)" in environment.ok(checkout.install_all, "-u", "-c")


def test_c_works_when_packaging_itself_is_missing(environment: Environment, checkout: Checkout):
    asks_for(checkout, "packaging>=23")
    environment.pip("uninstall", "-q", "-y", "packaging")
    assert "packaging" in environment.ok(checkout.install_all, "-u", "-c")
    assert "packaging==" in environment.freeze()


def test_c_that_cannot_put_back_says_so(environment: Environment, checkout: Checkout):
    asks_for(checkout, "unheard-of")
    done = environment.run(checkout.install_all, "-u", "-c")
    assert done.returncode == 1 and "unheard-of" in done.stderr
    assert "removed        nothing" in done.stdout  # the table comes all the same


def test_where_conda_manages_the_environment_conda_puts_back(
    environment: Environment, checkout: Checkout, tmp_path: Path
):
    """A stand-in for conda writes down what it is asked, and does it with pip."""
    asks_for(checkout, "alpha>=2", "click>=8")
    conda = tmp_path / "conda"
    conda.write_text(
        '#!/bin/bash\necho "$@" >"$(dirname "$0")/asked"\ncp "${@: -1}" "$(dirname "$0")/file.yml"\n'
        "python -m pip install -q 'alpha>=2'\n"
    )
    conda.chmod(0o755)
    (environment.path / "conda-meta").mkdir()
    try:
        said = environment.ok(checkout.install_all, "-u", "-c", CONDA_EXE=str(conda))
    finally:
        (environment.path / "conda-meta").rmdir()
    assert "restored with conda env update" in said and "alpha 2.0 (was missing)" in said
    assert (tmp_path / "asked").read_text().startswith(f"env update --prefix {environment.path} --file ")
    assert "alpha>=2" in (tmp_path / "file.yml").read_text()
    assert "click" not in (tmp_path / "file.yml").read_text()  # what lies in range is never touched


def test_our_own_plugins_agree_on_what_they_share_for_the_cpu_and_cannot_share_a_gpu_environment() -> None:
    unet, boxes = (
        read_pins(ROOT / "plugins" / name / "requirements.txt")
        for name in ("ravenml_unet", "ravenml_tf_bbox")
    )
    assert all(unet[name] == boxes[name] for name in unet.keys() & boxes.keys())
    assert cuda_conflict(unet, boxes) is None and "tensorflow-cpu" not in boxes
    unet, boxes = (
        read_pins(ROOT / "plugins" / name / "requirements-gpu.txt")
        for name in ("ravenml_unet", "ravenml_tf_bbox")
    )
    assert "own the same files" in str(cuda_conflict(unet, boxes))
    assert "own the same files" in str(cuda_conflict(boxes, unet))
    assert pinned_cuda(unet) != pinned_cuda(boxes)
