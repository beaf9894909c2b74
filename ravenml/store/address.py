"""Where a store is, as people write it: a bucket's name, ``s3://bucket/prefix``, ``s3://host:port/bucket/prefix``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from ravenml.errors import InputError

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]|[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_TLS_PORTS = (443, 8443, 9443)


@dataclass(frozen=True, slots=True)
class Address:
    """A place in a bucket.

    Attributes:
        bucket: the bucket's name.
        prefix: what stands before every key, without ``/`` at its ends; may be empty.
        endpoint: the server's URL where the address names one.
    """

    bucket: str
    prefix: str = ""
    endpoint: str | None = None

    def __str__(self) -> str:
        host = f"{urlsplit(self.endpoint).netloc}/" if self.endpoint else ""
        return f"s3://{host}{self.bucket}{f'/{self.prefix}' if self.prefix else ''}"


def parse_address(text: str, field: str) -> Address:
    """Understand a bucket's name or an ``s3://`` address.

    What has a port is a server of its own: ``https`` on the ports 443, 8443 and 9443, ``http`` on
    others (a server with TLS elsewhere is named by ``endpoint_url``).

    Args:
        text: what the user wrote.
        field: where; for the sentence.

    Raises:
        InputError: it is neither; the sentence names the field.
    """
    if "://" not in text:
        bucket, _, prefix = text.strip("/").partition("/")
        return Address(_checked(bucket, text, field), prefix)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise InputError(f"{field}: {text} is not an address: {error}.") from None
    if parts.scheme != "s3" or parts.username or parts.password:
        raise InputError(
            f"{field}: {_without_password(text)} is not an s3:// address; write s3://bucket/prefix or "
            "s3://host:port/bucket/prefix (credentials never belong in it)."
        )
    path = parts.path.strip("/")
    if port is None:
        return Address(_checked(parts.netloc, text, field), path)
    bucket, _, prefix = path.partition("/")
    scheme = "https" if port in _TLS_PORTS else "http"
    return Address(_checked(bucket, text, field), prefix, f"{scheme}://{parts.netloc}")


def _checked(bucket: str, text: str, field: str) -> str:
    if not _BUCKET.fullmatch(bucket):
        raise InputError(
            f"{field}: {text!r} names no bucket; write its name, s3://bucket/prefix or "
            "s3://host:port/bucket/prefix."
        )
    return bucket


def _without_password(text: str) -> str:
    return re.sub(r"//[^/@]*@", "//***@", text)
