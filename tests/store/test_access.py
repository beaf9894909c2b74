"""Where a bucket is and who asks is what boto3 would say; and a server with TLS is trusted or refused."""

from __future__ import annotations

import http.client
import io
import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from as_user import wait_for
from buckets import free_port
from faults import FaultProxy

from ravenml.errors import InputError, RavenError
from ravenml.store.address import parse_address
from ravenml.store.s3 import Connection, S3Store
from ravenml.store.s3.access import Access, _connect, find_access
from ravenml.store.s3.errors import BucketInfo

INFO = BucketInfo("s3://b", "b", "Amazon S3", "model_bucket_name")
HOSTS = [None, "https://127.0.0.1:9000", "https://s3.example.org", "http://store:9000", "https://[::1]:9000"]


REGIONS = ["eu-central-1", "us-gov-west-1", "cn-north-1", "us-iso-east-1", "us-isob-east-1", "us-east-1"]
SPECIAL = {
    "FIPS": ({"AWS_USE_FIPS_ENDPOINT": "true"}, ""),
    "both stacks": ({"AWS_USE_DUALSTACK_ENDPOINT": "true"}, ""),
    "FIPS of a profile": ({}, "[default]\nuse_fips_endpoint = true\n"),
    "a server of the environment": ({"AWS_ENDPOINT_URL_S3": "https://store:9000/s3"}, ""),
    "a server of a profile": ({}, "[default]\nendpoint_url = http://store:9000\n"),
    "a server of a service": (
        {}, "[default]\nservices = mine\n[services mine]\ns3 =\n  endpoint_url = http://store:9000\n",
    ),
    "a server that is to be ignored": (
        {"AWS_ENDPOINT_URL": "http://store:9000", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, "",
    ),
    "one that a profile ignores": (
        {"AWS_ENDPOINT_URL": "http://store:9000"}, "[default]\nignore_configured_endpoint_urls = true\n",
    ),
    "a style of a profile": ({}, "[default]\ns3 =\n  addressing_style = path\n"),
}  # fmt: skip


def where_boto3_asks(bucket: str, endpoint: str | None, region: str, style: str | None) -> str:
    """The address of the request that boto3 would send for an object, which it does not send."""
    import boto3
    from botocore.awsrequest import AWSResponse
    from botocore.config import Config
    from urllib3 import HTTPResponse

    settings = Config(signature_version="s3v4", s3={"addressing_style": style} if style else None)
    client = boto3.Session().client("s3", endpoint_url=endpoint, region_name=region, config=settings)
    asked: list[str] = []

    def answer(request: Any, **_: object) -> AWSResponse:
        asked.append(request.url)
        return AWSResponse(request.url, 200, {}, HTTPResponse(io.BytesIO(), preload_content=False))

    client.meta.events.register("before-send.s3", answer)
    client.put_object(Bucket=bucket, Key="key")
    return asked[0]


@pytest.mark.parametrize("style", ["auto", "path", "virtual"])
@pytest.mark.parametrize("endpoint", HOSTS)
@pytest.mark.parametrize("bucket", ["models", "my.models"])
def test_a_bucket_is_where_boto3_looks_for_it(bucket: str, endpoint: str | None, style: str) -> None:
    found = find_access(bucket, Connection(endpoint, "eu-central-1", style), INFO)
    assert f"{found.url}/key" == where_boto3_asks(bucket, endpoint, "eu-central-1", style)


@pytest.mark.parametrize("region", REGIONS)
def test_a_bucket_of_another_partition_is_where_boto3_looks_for_it(region: str) -> None:
    found = find_access("models", Connection(region=region), INFO)
    asked = where_boto3_asks("models", None, region, None)
    assert f"{found.url}/key" in (asked, asked.replace(".s3.amazonaws.com", ".s3.us-east-1.amazonaws.com"))
    assert found.region == region


@pytest.mark.parametrize("bucket", ["models", "my.models", "mine-abc123-s3alias"])
@pytest.mark.parametrize("region", ["us-gov-west-1", "us-east-1"])
@pytest.mark.parametrize("special", SPECIAL)
def test_a_special_endpoint_is_the_one_that_boto3_uses(
    bucket: str, region: str, special: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment, config = SPECIAL[special]
    (tmp_path / "config").write_text(config)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = find_access(bucket, Connection(region=region), INFO)
    assert f"{found.url}/key" == where_boto3_asks(bucket, None, region, None)


def test_a_directory_bucket_is_refused_in_a_sentence() -> None:
    with pytest.raises(InputError, match=r"is a directory bucket \(S3 Express\), .*; use a general-purpose"):
        find_access("x--usw2-az1--x-s3", Connection(), INFO)


KEYS = "aws_access_key_id = {0}\naws_secret_access_key = {0}-secret\n"
TOKEN = "aws_session_token = {0}-token\n"
LAYOUTS = {
    "keys in the environment": ({"AWS_ACCESS_KEY_ID": "e", "AWS_SECRET_ACCESS_KEY": "s"}, "", "", None),
    "with a token": (
        {"AWS_ACCESS_KEY_ID": "e", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}, "", "", None,
    ),
    "keys in a file": ({}, "[default]\nregion = eu-west-1\n", f"[default]\n{KEYS}".format("f"), None),
    "the environment before the file": (
        {"AWS_ACCESS_KEY_ID": "e", "AWS_SECRET_ACCESS_KEY": "s"}, "", f"[default]\n{KEYS}".format("f"), None,
    ),
    "a profile before the environment": (
        {"AWS_ACCESS_KEY_ID": "e", "AWS_SECRET_ACCESS_KEY": "s"},
        "[profile p]\nregion = eu-north-1\n",
        f"[default]\n{KEYS}[p]\n{KEYS}{TOKEN}".replace("{0}", "p"),
        "p",
    ),
    "a profile whose name is quoted": (
        {}, '[profile "my work"]\nregion = eu-south-1\n', f"[my work]\n{KEYS}".format("p"), "my work",
    ),
    "two profiles of the environment": (
        {"AWS_PROFILE": "p", "AWS_DEFAULT_PROFILE": "q"},
        "",
        f"[p]\n{KEYS}".format("p") + f"[q]\n{KEYS}".format("q"),
        None,
    ),
    "a profile of the environment": ({"AWS_PROFILE": "p"}, "", f"[p]\n{KEYS}".format("p"), None),
    "keys in the general file": ({}, f"[default]\n{KEYS}".format("g"), "", None),
    "a process": (
        {}, "[default]\ncredential_process = echo {PROCESS}\n".replace(
            "{PROCESS}", '\'{"Version": 1, "AccessKeyId": "x", "SecretAccessKey": "y"}\''
        ), "", None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_credentials_and_region_are_those_that_boto3_finds(
    layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3

    environment, config, shared, profile = LAYOUTS[layout]
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    (tmp_path / "config").write_text(config)
    (tmp_path / "credentials").write_text(shared)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    session = boto3.Session(profile_name=profile)
    expected = session.get_credentials()
    assert expected is not None
    found = find_access("models", Connection(profile=profile), INFO)
    keys = found.credentials()
    assert (keys["access_key_id"], keys["secret_access_key"], keys["token"]) == tuple(
        expected.get_frozen_credentials()
    )[:3]
    assert found.region == (session.region_name or "us-east-1")


def test_plain_keys_are_found_without_loading_boto3() -> None:
    source = """
import sys
from ravenml.store.address import parse_address
from ravenml.store.s3 import Connection, S3Store
S3Store(parse_address("s3://models", "x"), Connection("http://127.0.0.1:9", "r")).access
print({"botocore", "boto3", "urllib3"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("key", ["plain", "a b/ü%+~*'()", "a//b?c=d&e#f"])
@pytest.mark.parametrize("query", [{}, {"uploads": ""}, {"prefix": "a/b ü+%~*", "list-type": "2"}])
def test_a_request_of_our_own_is_signed_as_botocore_signs_it(
    key: str, query: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from urllib.parse import quote, urlencode

    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    class Unsigned(S3SigV4Auth):
        def payload(self, request: AWSRequest) -> str:
            return "UNSIGNED-PAYLOAD"

    keys = {"access_key_id": "AKID", "secret_access_key": "secret", "token": "token", "expires_at": None}
    access = Access("https://b.s3.eu-west-1.amazonaws.com", "eu-west-1", lambda: keys)  # type: ignore[arg-type,return-value]
    headers = {"x-amz-meta-ravenml-crc32": "0000002a", "content-md5": "x"}
    monkeypatch.setattr(time, "gmtime", lambda *_: time.struct_time((2026, 11, 30, 3, 0, 0, 0, 334, 0)))
    words = urlencode(sorted(query.items()), quote_via=quote, safe="~")
    ours = access._sign(
        "GET", "b.s3.eu-west-1.amazonaws.com", f"/{quote(key, safe='/~')}", words, dict(headers)
    )
    request = AWSRequest("GET", f"{access.url}/{quote(key, safe='/~')}", headers, params=query)
    signer = Unsigned(Credentials("AKID", "secret", "token"), "s3", "eu-west-1")
    request.context["timestamp"] = "20261130T030000Z"
    signer._modify_request_before_signing(request)
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    assert ours["Authorization"].endswith(f"Signature={signature}")


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A server with TLS, by its address, and the certificate that vouches for it."""
    folder, port = tmp_path_factory.mktemp("tls"), free_port()
    words = "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 30 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]
    try:
        subprocess.run(["openssl", *words.split(), *names], cwd=folder, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine has no openssl that makes certificates")
    start = [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*start, "-s", "-c", "cert.pem", "-k", "key.pem"], cwd=folder, stdout=log, stderr=log
        )
    trusting = ssl.create_default_context(cafile=folder / "cert.pem")
    make = urllib.request.Request(f"https://127.0.0.1:{port}/secure", method="PUT")
    try:
        wait_for(lambda: urllib.request.urlopen(make, timeout=1, context=trusting).status)
        yield f"https://127.0.0.1:{port}", folder / "cert.pem"
    finally:
        process.terminate()
        process.wait()


@pytest.mark.parametrize("key", ["through-obstore", "of//our-own"])
def test_a_server_with_tls_is_trusted_if_its_certificate_is(
    secure: tuple[str, Path], key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint, certificate = secure
    connection = Connection(endpoint, "us-east-1", "path")
    address = parse_address("s3://secure", "the test")
    with pytest.raises(RavenError, match=r"cannot be trusted: .*; check its certificate \(AWS_CA_BUNDLE\)"):
        S3Store(address, connection).put_content(key, b"content")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    store = S3Store(address, connection)
    store.put_content(key, b"content")
    assert store.read(key) == b"content" and key in {entry.key for entry in store.list()}


@pytest.mark.parametrize("key", ["through-obstore", "of//our-own"])
def test_a_proxy_of_the_environment_is_used(
    server: str, bucket: str, proxy: FaultProxy, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
    monkeypatch.delenv("no_proxy", raising=False)
    address = parse_address(f"s3://{bucket}", "the test")
    S3Store(address, Connection(f"http://{server}", "us-east-1", "path")).put_content(key, b"content")
    assert proxy.seen == [f"PUT http://{server}/{bucket}/{key}"]
    monkeypatch.setenv("no_proxy", server.partition(":")[0])
    S3Store(address, Connection(f"http://{server}", "us-east-1", "path")).put_content(key, b"content")
    assert len(proxy.seen) == 1


def test_a_bucket_in_another_region_is_asked_there(
    bucket: str, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://{proxy.address}")
    store = S3Store(parse_address(f"s3://{bucket}", "the test"), Connection(addressing_style="path"))
    proxy.fault = lambda method, path, number: "PermanentRedirect 301" if number < 2 else None
    store.put_content("a", b"content")
    assert store.access.region == "eu-central-1" and store.read("a") == b"content"


def test_whoever_may_not_list_is_told_what_the_server_said_of_his_own_request(
    bucket: str, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The body of a failed answer is asked for with a listing, whose own fault must not take its place."""
    connection = Connection(f"http://{proxy.address}", "us-east-1", "path", patience=2)
    store = S3Store(parse_address(f"s3://{bucket}", "the test"), connection)
    assert store.create("once", b"mine")
    proxy.fault = lambda method, path, number: "AccessDenied 403" if "list-type" in path else None
    assert not store.create("once", b"another's")
    proxy.fault = lambda method, path, number: "AccessDenied 403" if "list-type" in path else "slow down"
    with pytest.raises(RavenError, match=r"busy|too many requests|503|SlowDown"):
        store.put_content("x", b"content")


def test_a_role_that_is_refused_while_requests_are_sent_ends_them(
    server: str, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = tmp_path / "refuse.sh"
    refusing.write_text(
        "#!/bin/sh\n[ -e {0} ] && exit 3\ntouch {0}\n"
        'echo \'{{"Version": 1, "AccessKeyId": "x", "SecretAccessKey": "y", '
        '"Expiration": "2001-01-01T00:00:00Z"}}\'\n'.format(tmp_path / "asked")
    )
    refusing.chmod(0o755)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {refusing}\n")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    store = S3Store(
        parse_address(f"s3://{bucket}", "it"), Connection(f"http://{server}", "us-east-1", "path")
    )
    begun = time.monotonic()
    with pytest.raises(RavenError, match=r"No credentials could be obtained"):
        store.put_content("x", b"content")
    assert time.monotonic() - begun < 30  # and not as long as there is patience


def test_a_bundle_of_certificates_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", "/nonexistent.pem")
    for key in ("through-obstore", "of//our-own"):
        with pytest.raises(RavenError, match=r"There is no file /nonexistent\.pem, which AWS_CA_BUNDLE"):
            S3Store(parse_address("s3://models", "it"), Connection("https://127.0.0.1:9")).read(key)


def test_a_bundle_without_certificates_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("not a certificate")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    for key in ("through-obstore", "of//our-own"):
        with pytest.raises(InputError, match=r"ca\.pem, which AWS_CA_BUNDLE .*, has no certificates in PEM"):
            S3Store(parse_address("s3://models", "it"), Connection("https://127.0.0.1:9")).read(key)


def test_a_bundle_of_certificates_takes_the_place_of_the_systems(
    secure: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import botocore

    endpoint, certificate = secure
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))  # the system trusts the server
    monkeypatch.setenv("AWS_CA_BUNDLE", str(Path(botocore.__file__).with_name("cacert.pem")))
    store = S3Store(parse_address("s3://secure", "it"), Connection(endpoint, "us-east-1", "path"))
    with pytest.raises(RavenError, match="cannot be trusted"):
        store.read("of//our-own")


def test_certificates_are_loaded_once_for_all_threads(
    secure: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint, certificate = secure
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    loaded: list[object] = []
    load = ssl.create_default_context

    def count(**named: Any) -> ssl.SSLContext:
        loaded.append(named)
        return load(**named)

    monkeypatch.setattr(ssl, "create_default_context", count)
    store = S3Store(parse_address("s3://secure", "it"), Connection(endpoint, "us-east-1", "path"))
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda number: store.now(), range(8)))
    assert len(loaded) == 1


def test_a_connection_of_our_own_is_kept_alive(server: str) -> None:
    line = http.client.HTTPConnection(server)
    _connect(line)
    assert line.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    line.close()


@pytest.mark.parametrize(
    ("proxy", "expected"),
    [
        ("http://proxy.example", ("proxy.example", 80)),
        ("http://me:pass@proxy.example/", ("proxy.example", 80)),
        ("proxy.example:3128", ("proxy.example", 3128)),
        ("http://[::1]", ("::1", 80)),
    ],
)
def test_a_proxy_without_a_port_is_asked_on_port_80(
    proxy: str, expected: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    access = find_access("models", Connection(region="eu-west-1"), INFO)
    line, _ = access._line("https", "models.s3.eu-west-1.amazonaws.com")
    assert (line.host, line.port) == expected
