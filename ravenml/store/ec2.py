"""What becomes of an EC2 instance when its work is safe: nothing, stop, or terminate.

Which instance this is comes from its metadata service, version 2 (a token first, then the question).
``AWS_EC2_METADATA_SERVICE_ENDPOINT`` names another service, as for boto3.
"""

from __future__ import annotations

import os

from ravenml.common.http_client import HttpClient, TooLarge, Unreachable
from ravenml.common.parsing import parse_json
from ravenml.errors import RavenError

SERVICE = "http://169.254.169.254"
TIMEOUT = 2.0  # seconds; elsewhere than on EC2 nobody answers


def identity() -> dict[str, str]:
    """``instanceId`` and ``region`` of this instance.

    Raises:
        RavenError: this is not an EC2 instance, or its metadata service is switched off.
    """
    service = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", SERVICE).rstrip("/")
    http = HttpClient(service, use_proxies=False)  # it is this machine's own

    def ask(method: str, path: str, **headers: str) -> bytes:
        response = http.request(method, path, headers=headers, timeout=TIMEOUT, max_bytes=1 << 20)
        if not response.ok:
            raise Unreachable(f"status {response.status}")
        return response.content

    try:
        token = ask("PUT", "/latest/api/token", **{"X-aws-ec2-metadata-token-ttl-seconds": "60"}).decode()
        content = ask(
            "GET", "/latest/dynamic/instance-identity/document", **{"X-aws-ec2-metadata-token": token}
        )
        document = parse_json(content, service)
        return {"instanceId": str(document["instanceId"]), "region": str(document["region"])}
    except (Unreachable, TooLarge, ValueError, KeyError, TypeError) as error:
        raise RavenError(
            f"`ec2_policy`: this does not seem to be an EC2 instance: {service} does not identify "
            f"it ({error})."
        ) from None


def act(policy: str, profile: str | None = None) -> str:
    """Stop or terminate this instance; to be called when nothing on it is needed any longer.

    Args:
        policy: ``stop`` or ``terminate``.
        profile: the profile whose credentials may do that.

    Raises:
        RavenError: this is not an EC2 instance, or it may not stop itself.

    Returns:
        What was asked for, in words.
    """
    here = identity()
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client = boto3.session.Session(profile_name=profile).client("ec2", region_name=here["region"])
        change = client.stop_instances if policy == "stop" else client.terminate_instances
        change(InstanceIds=[here["instanceId"]])
    except (BotoCoreError, ClientError) as error:
        raise RavenError(
            f"`ec2_policy`: the instance {here['instanceId']} could not {policy} itself: {error}."
        ) from error
    return f"The EC2 instance {here['instanceId']} was asked to {policy} (ec2_policy)."
