"""`ec2_policy`: this instance stops or ends itself when its work is safe, and never before."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from as_user import Raven
from packer import write_packer


@pytest.fixture
def ec2(server: str) -> Any:
    return boto3.client("ec2", endpoint_url=f"http://{server}", region_name="us-east-1")


@pytest.fixture
def instance(ec2: Any) -> str:
    """An instance of moto's EC2 that is running."""
    image = ec2.describe_images()["Images"][0]["ImageId"]
    made = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)
    return str(made["Instances"][0]["InstanceId"])


@pytest.fixture
def metadata(instance: str) -> Iterator[tuple[str, list[str]]]:
    """A metadata service that insists on version 2; its address, and what it was asked."""
    asked: list[str] = []

    class Service(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            asked.append(f"PUT {self.path}")
            given = self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
            self._answer(200 if given else 400, b"the token")

        def do_GET(self) -> None:
            asked.append(f"GET {self.path}")
            if self.headers["X-aws-ec2-metadata-token"] != "the token":
                self._answer(401, b"")
                return
            self._answer(200, json.dumps({"instanceId": instance, "region": "us-east-1"}).encode())

        def _answer(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()


@pytest.fixture
def on_ec2(cloud: Raven, metadata: tuple[str, list[str]], server: str, site: Path) -> Raven:
    """``raven`` on that instance."""
    cloud.environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = metadata[0]
    cloud.environment["AWS_ENDPOINT_URL_EC2"] = f"http://{server}"
    write_packer(site)
    return cloud


def state(ec2: Any, instance: str) -> str:
    found = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    return str(found["State"]["Name"])


@pytest.mark.parametrize(("policy", "expected"), [("stop", "stopped"), ("terminate", "terminated")])
def test_the_instance_follows_the_policy_once_the_result_is_stored(
    on_ec2: Raven, project: Path, ec2: Any, instance: str, policy: str, expected: str
) -> None:
    said = on_ec2.ok("train", "--dataset", project, "packer", "train", RAVENML_EC2_POLICY=policy)
    assert said.index("Stored:") < said.index(f"asked to {policy}")
    assert state(ec2, instance) == expected


def test_by_default_it_is_kept_and_nobody_is_asked(
    on_ec2: Raven, project: Path, ec2: Any, instance: str, metadata: tuple[str, list[str]]
) -> None:
    on_ec2.ok("train", "--dataset", project, "packer", "train")
    assert state(ec2, instance) == "running" and metadata[1] == []


def test_a_result_that_is_not_stored_elsewhere_keeps_the_instance(
    on_ec2: Raven, project: Path, ec2: Any, instance: str, server: str
) -> None:
    policy = {"RAVENML_EC2_POLICY": "terminate"}
    failed = on_ec2(
        "train", "--dataset", project, "packer", "train",
        RAVENML_MODEL_BUCKET_NAME=f"s3://{server}/no-such-bucket", **policy,
    )  # fmt: skip
    assert failed.returncode == 1
    here = on_ec2("train", "--dataset", project, "packer", "train", "--local", "out", **policy)
    assert here.returncode == 0 and "`ec2_policy: terminate` is not followed" in here.stderr
    here = on_ec2("train", "--dataset", project, "packer", "train", RAVENML_MODEL_BUCKET_NAME="", **policy)
    assert here.returncode == 0 and "is not followed" in here.stderr
    assert state(ec2, instance) == "running"


def test_elsewhere_than_on_ec2_there_is_a_sentence_and_the_result_is_stored(
    cloud: Raven, site: Path, project: Path
) -> None:
    write_packer(site)
    done = cloud(
        "train", "--dataset", project, "packer", "train",
        RAVENML_EC2_POLICY="stop", AWS_EC2_METADATA_SERVICE_ENDPOINT="http://127.0.0.1:9",
    )  # fmt: skip
    assert "this does not seem to be an EC2 instance" in done.stderr and "Stored:    s3://" in done.stdout
