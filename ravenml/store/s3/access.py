"""Where a bucket is and who asks: its address, region and credentials, and signed requests of our own."""

from __future__ import annotations

import base64
import configparser
import hashlib
import hmac
import http.client
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from ravenml.errors import InputError
from ravenml.store.address import Address
from ravenml.store.checksums import MIB
from ravenml.store.s3.errors import BucketInfo, NetworkError, ServerError, from_botocore, no_credentials

if TYPE_CHECKING:
    from botocore.credentials import Credentials
    from obstore.store import S3Credential

    from ravenml.config.config import Config

# A thread's connection, the process that made it, and what a proxy that passes requests on is told.
Line = tuple[int, http.client.HTTPConnection, dict[str, str] | None]

PATIENCE = 600.0  # seconds for which a request is repeated
CONNECT_TIMEOUT, READ_TIMEOUT = 10, 60  # seconds
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}  # seconds, seconds, probes

_KEYS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
_VIRTUAL = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")  # bucket names that can be part of a host name
# Amazon's usual endpoints; other partitions than these have names of their own, which botocore knows.
_COMMON_REGION = re.compile(r"(af|ap|ca|eu|il|me|mx|sa|us(-gov)?)-[a-z]+-\d")
_DEFAULT_REGION = "us-east-1"
_PROFILE = re.compile(r"profile [^\s'\"\\]+")
_SETTINGS_ELSEWHERE = (
    "AWS_CREDENTIAL_EXPIRATION", "AWS_SECURITY_TOKEN", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_USE_DUALSTACK_ENDPOINT", "AWS_USE_FIPS_ENDPOINT", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Connection:
    """How a bucket is reached; the configuration's fields of the same names."""

    endpoint_url: str | None = None
    region: str | None = None
    addressing_style: str = "auto"
    profile: str | None = None
    checksums: str = "when_supported"
    patience: float = PATIENCE

    @classmethod
    def of(cls, config: Config, address: Address) -> Connection:
        """What the configuration says; an address that names a server has its way."""
        endpoint, style = config.endpoint_url, config.addressing_style
        if address.endpoint is not None:
            given = urlsplit(config.endpoint_url or "")
            same = given.netloc == urlsplit(address.endpoint).netloc
            endpoint = config.endpoint_url if same else address.endpoint
            style = "path" if style == "auto" else style
        return cls(endpoint, config.region, style, config.profile, config.checksums, config.patience)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said to one request; header names in small letters."""

    headers: Mapping[str, str]
    content: bytes


# Whose credentials, and where the bucket is.


def find_access(bucket: str, connection: Connection, info: BucketInfo, region: str | None = None) -> Access:
    """What boto3 would do: the bucket's address, and the credentials of its chain.

    Args:
        bucket: its name.
        connection: what the configuration says; it goes before the environment and the profile.
        info: for sentences.
        region: the bucket's own, where its server has named it.

    Raises:
        InputError: there is no such profile, there are no credentials, the file of certificates is not one,
            or the bucket is one of S3 Express.
    """
    if bucket.endswith("--x-s3"):
        raise InputError(
            f"{info.name} is a directory bucket (S3 Express), whose listings are not sorted; "
            "use a general-purpose bucket."
        )
    return _plain_access(bucket, connection, region) or _botocore_access(bucket, connection, info, region)


def _plain_access(bucket: str, connection: Connection, region: str | None) -> Access | None:
    """What boto3 finds where nothing but keys in the environment or in a file is in play; else None.

    These are the first and the commonest ends of its chain, and importing botocore takes longer than many a
    transfer.
    """
    environment = os.environ.get
    if any(environment(name) for name in _SETTINGS_ELSEWHERE):
        return None
    profile = connection.profile
    name = profile or environment("AWS_DEFAULT_PROFILE") or environment("AWS_PROFILE") or "default"
    config, shared = configparser.RawConfigParser(), configparser.RawConfigParser()
    try:
        config.read(_expanded(environment("AWS_CONFIG_FILE") or "~/.aws/config"))
        shared.read(_expanded(environment("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials"))
    except (configparser.Error, UnicodeDecodeError):
        return None
    if any(one.startswith("profile") and not _PROFILE.fullmatch(one) for one in config.sections()):
        return None  # quoted, as a shell would
    section = name if name == "default" and not config.has_section("profile default") else f"profile {name}"
    general = dict(config.items(section)) if config.has_section(section) else {}
    keys = dict(shared.items(name)) if shared.has_section(name) else {}
    if general.keys() - {"region", "output"} or keys.keys() - set(_KEYS) or (name != "default" and not keys):
        return None
    if profile is None and environment("AWS_ACCESS_KEY_ID"):
        keys = {key: environment(key.upper(), "") for key in _KEYS}
    access, secret, token = (keys.get(key, "") for key in _KEYS)
    endpoint = (
        connection.endpoint_url or environment("AWS_ENDPOINT_URL_S3") or environment("AWS_ENDPOINT_URL")
    )
    region = (
        region
        or connection.region
        or environment("AWS_DEFAULT_REGION")
        or general.get("region")
        or _DEFAULT_REGION
    )
    if not access or not secret or not (endpoint or _COMMON_REGION.fullmatch(region)):
        return None
    static: S3Credential = {
        "access_key_id": access,
        "secret_access_key": secret,
        "token": token or None,
        "expires_at": None,
    }
    url = bucket_url(bucket, endpoint, region, connection.addressing_style)
    return Access(url, region, lambda: static, environment("AWS_CA_BUNDLE"))


def _expanded(path: str) -> str:
    return os.path.expandvars(os.path.expanduser(path))


def _botocore_access(bucket: str, connection: Connection, info: BucketInfo, region: str | None) -> Access:
    import botocore.session
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    style = connection.addressing_style
    addressing = None if style == "auto" else {"addressing_style": style}
    try:
        session = botocore.session.Session(profile=connection.profile)
        region = region or connection.region or session.get_config_variable("region") or _DEFAULT_REGION
        found = session.get_credentials()
        if found is None:
            raise no_credentials(info.endpoint)
        _freeze(found, info)
        config = Config(signature_version="s3v4", s3=addressing)
        client = session.create_client(
            "s3", region_name=region, endpoint_url=connection.endpoint_url, config=config
        )
        # A client says which server it asks; only its requests say whether the bucket is part of the host.
        signed = client.generate_presigned_url("head_object", Params={"Bucket": bucket, "Key": "key"})
        bundle = session.get_config_variable("ca_bundle")
    except (BotoCoreError, ValueError) as error:
        raise from_botocore(error, info) from error
    style = "virtual" if urlsplit(signed).netloc.startswith(f"{bucket}.") else "path"
    # us-east-1 has a name of its own among the servers of old, but not among those with FIPS.
    endpoint = client.meta.endpoint_url.replace(".aws-global.", ".us-east-1.")
    url = _with_bucket(endpoint, bucket, style)
    return Access(url, client.meta.region_name, lambda: _freeze(found, info), bundle)


def _freeze(found: Credentials, info: BucketInfo) -> S3Credential:
    """What botocore's credentials are at this moment."""
    from botocore.credentials import RefreshableCredentials

    try:
        keys = found.get_frozen_credentials()
    except Exception as error:  # a refused role is botocore's ClientError
        raise from_botocore(error, info) from error
    # botocore renews what is valid for less than ten minutes; obstore asks when five are left.
    lasts = isinstance(found, RefreshableCredentials)
    return {
        "access_key_id": keys.access_key,
        "secret_access_key": keys.secret_key,
        "token": keys.token,
        "expires_at": datetime.now(UTC) + timedelta(minutes=9) if lasts else None,
    }


def bucket_url(bucket: str, endpoint: str | None, region: str, style: str) -> str:
    """The address of a bucket, which keys follow, as boto3 makes it where nothing special is in play."""
    base = urlsplit(endpoint or f"https://s3.{region}.amazonaws.com")
    dotted = endpoint is not None and base.scheme == "http" and "." in bucket
    fits = bool(_VIRTUAL.fullmatch(bucket.replace(".", "-") if dotted else bucket))
    of_ones_own = endpoint is not None and (style != "virtual" or _is_ip(base.hostname or ""))
    return _with_bucket(base.geturl(), bucket, "path" if of_ones_own or not fits else style)


def _with_bucket(endpoint: str, bucket: str, style: str) -> str:
    scheme, rest = endpoint.rstrip("/").split("://", 1)
    return f"{scheme}://{rest}/{bucket}" if style == "path" else f"{scheme}://{bucket}.{rest}"


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


@dataclass
class Access:
    """Signed requests to one bucket, over a connection per thread.  Threads may share it."""

    url: str
    region: str
    credentials: Callable[[], S3Credential]
    ca_bundle: str | None = None
    _tls: ssl.SSLContext | None = (
        None  # one for all threads: loading certificates takes longer than a request
    )
    _lines: threading.local = field(default_factory=threading.local)

    def __post_init__(self) -> None:
        if self.url.startswith("https:"):
            self._tls = trust(self.certificates)

    @property
    def certificates(self) -> Path:
        """The file of the authorities that are trusted: the named one, or else what botocore brings along."""
        named = self.ca_bundle or os.environ.get("REQUESTS_CA_BUNDLE")
        return Path(named) if named else _botocores_certificates()

    def send(
        self,
        method: str,
        key: str = "",
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | bytearray = b"",
    ) -> Answer:
        """Ask once.

        Raises:
            ServerError: the answer is not one of success.
            NetworkError: there was none, or not all of it.
        """
        parts = urlsplit(self.url)
        base = parts.path.rstrip("/")
        path = f"{base}/{quote(key, safe='/~')}" if key else base or "/"
        words = "&".join(f"{quote(k, '~')}={quote(v, '~')}" for k, v in sorted((query or {}).items()))
        signed = self._sign(method, parts.netloc, path, words, dict(headers or {}))
        line, more = self._line(parts.scheme, parts.netloc)
        asked = re.sub("=(?=&|$)", "", words)  # `?uploads`, which is signed as `?uploads=`
        target = f"{path}?{asked}" if asked else path
        if more is not None:
            target = f"{parts.scheme}://{parts.netloc}{target}"
        signed |= (more or {}) | ({"content-length": str(len(body))} if body else {})
        # In pieces, since the time that a socket waits is that for all it is given at once.
        pieces = (memoryview(body)[at : at + MIB] for at in range(0, len(body), MIB))
        if line.sock is None:
            _connect(line)
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # an answer may come early
                line.request(method, target, pieces if body else None, signed)
            answer = line.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            line.close()
            raise NetworkError(str(error) or type(error).__name__) from error
        said = {name.lower(): value for name, value in answer.getheaders()}
        if said.get("connection", "").lower() == "close":
            line.close()
        if not 200 <= answer.status < 300:
            raise ServerError(answer.status, content.decode(errors="replace"), said)
        return Answer(said, content)

    def _line(self, scheme: str, host: str) -> tuple[http.client.HTTPConnection, dict[str, str] | None]:
        """This thread's connection, and the headers for a proxy that passes requests on; None without."""
        known: Line | None = getattr(self._lines, "line", None)
        if known is not None and known[0] == os.getpid():
            return known[1], known[2]
        proxies = getproxies_environment()
        proxy = "" if proxy_bypass(host) else proxies.get(scheme) or proxies.get("all", "")
        who, _, to = proxy.rpartition("://")[2].rstrip("/").rpartition("@")
        to = f"{to}:80" if to and not urlsplit(f"//{to}").port else to
        word = base64.b64encode(unquote(who).encode()).decode()
        headers = {"Proxy-Authorization": f"Basic {word}"} if who else {}
        line: http.client.HTTPConnection
        if scheme == "https":
            line = http.client.HTTPSConnection(to or host, timeout=CONNECT_TIMEOUT, context=self._tls)
            if to:
                line.set_tunnel(host, headers=headers)
        else:
            line = http.client.HTTPConnection(to or host, timeout=CONNECT_TIMEOUT)
        passed_on = headers if to and scheme == "http" else None
        self._lines.line = os.getpid(), line, passed_on
        return line, passed_on

    def _sign(self, method: str, host: str, path: str, words: str, headers: dict[str, str]) -> dict[str, str]:
        """The headers with a signature, version 4.  A body is vouched for by checksums among the headers."""
        keys, now = self.credentials(), time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers |= {"host": host, "x-amz-date": now, "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
        if token := keys.get("token"):
            headers["x-amz-security-token"] = token
        named = sorted((name.lower(), value.strip()) for name, value in headers.items())
        names = ";".join(name for name, _ in named)
        lines = "".join(f"{name}:{value}\n" for name, value in named)
        request = f"{method}\n{path}\n{words}\n{lines}\n{names}\nUNSIGNED-PAYLOAD"
        scope = f"{now[:8]}/{self.region}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        key = f"AWS4{keys['secret_access_key']}".encode()
        for word in (*scope.split("/"), text):
            key = hmac.digest(key, word.encode(), "sha256")
        who = f"Credential={keys['access_key_id']}/{scope}"
        headers["Authorization"] = f"AWS4-HMAC-SHA256 {who}, SignedHeaders={names}, Signature={key.hex()}"
        return headers


def _connect(line: http.client.HTTPConnection) -> None:
    try:
        line.connect()
        line.sock.settimeout(READ_TIMEOUT)
        line.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE.items():
            if hasattr(socket, option):
                line.sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    except OSError as error:
        line.close()
        untrusted = isinstance(error, ssl.SSLError)
        raise NetworkError(error.strerror or str(error), not untrusted, untrusted) from error


def trust(certificates: Path) -> ssl.SSLContext:
    """What trusts the authorities of a file and no others.

    Raises:
        InputError: it is not a file of certificates.
    """
    names = f"{certificates}, which AWS_CA_BUNDLE (or REQUESTS_CA_BUNDLE, or the profile) names"
    if not certificates.is_file():
        raise InputError(f"There is no file {names}.")
    try:
        return ssl.create_default_context(cafile=certificates)
    except OSError as error:
        why = error.strerror or error
        raise InputError(f"The file {names}, has no certificates in PEM that can be read ({why}).") from error


def _botocores_certificates() -> Path:
    found = find_spec("botocore")
    assert found is not None and found.origin is not None
    return Path(found.origin).with_name("cacert.pem")
