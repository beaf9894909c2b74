"""Small objects fetched with no more than S3 itself asks for: a signed request and its answer.

botocore spends more than a millisecond of the processor on every request, which is most of what a small
object takes, and no number of threads divides it.  Here it only signs and sends.  Whatever is not answered
with the object is asked again through the client, which knows redirections, regions and errors.
"""

from __future__ import annotations

import io
import re
from typing import Any
from urllib.parse import quote

_PROBE = "ravenml-probe"
_PLAIN_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ASK_CLIENT = (301, 302, 307, 400, 401, 403)  # what another address, region or signature would mend
_META = "x-amz-meta-"
_NAMES = {
    "etag": "ETag",
    "x-amz-checksum-crc32": "ChecksumCRC32",
    "x-amz-server-side-encryption": "ServerSideEncryption",
}


class DirectReader:
    """Fetches objects of one bucket, as a client's ``get_object`` does.

    Args:
        client: a boto3 client, whose address, credentials and connections are used.
        bucket: the bucket's name.
    """

    def __init__(self, client: Any, bucket: str) -> None:
        self._signer, self._send = client._request_signer, client._endpoint.http_session.send
        self._region, self._agent = client.meta.region_name, client.meta.config.user_agent
        url = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": _PROBE})
        self._base, found, _ = url.partition(_PROBE)
        # Neither an access point's ARN nor an express bucket, which has sessions.
        self._fit = bool(found and _PLAIN_NAME.fullmatch(bucket) and not bucket.endswith("--x-s3"))

    def get(self, key: str) -> dict[str, Any] | None:
        """An object, read to its end; None where only the client can tell what is wrong.

        Raises:
            botocore.exceptions.BotoCoreError: the line was lost, or there are no credentials.
        """
        if not self._fit:
            return None
        from botocore.awsrequest import AWSRequest

        headers = {"User-Agent": self._agent, "x-amz-checksum-mode": "ENABLED"}
        request = AWSRequest("GET", self._base + quote(key, safe="/~"), headers)
        self._signer.get_auth_instance("s3", self._region, "s3v4").add_auth(request)
        response = self._send(request.prepare())
        length = response.headers.get("Content-Length")
        if response.status_code != 200 or length is None:
            self._fit = response.status_code not in _ASK_CLIENT
            return None
        answer: dict[str, Any] = {"Metadata": {}, "ContentLength": int(length)}
        for name, value in response.headers.items():
            known = name.lower()
            if known.startswith(_META):
                answer["Metadata"][known.removeprefix(_META)] = value
            elif known in _NAMES:
                answer[_NAMES[known]] = value
        return answer | {"Body": io.BytesIO(response.content)}
