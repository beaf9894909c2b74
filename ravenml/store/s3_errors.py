"""What goes wrong between here and a bucket: what is worth another try, and a sentence for what is not."""

from __future__ import annotations

import http.client
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from ravenml.errors import InputError, RavenError

Response = dict[str, Any]  # what botocore makes of a server's answer

# S3 servers other than Amazon's spell some of these in their own way.
_RETRYABLE = {
    "SlowDown", "SlowDownRead", "SlowDownWrite", "InternalError", "ServiceUnavailable", "RequestTimeout",
    "RequestTimeoutException", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests",
    "BandwidthLimitExceeded", "OperationAborted", "IncompleteBody", "BadDigest", "XAmzContentSHA256Mismatch",
    "XAmzContentChecksumMismatch", "PriorRequestNotComplete", "500", "502", "503", "504",
}  # fmt: skip
_CREDENTIALS = {
    "InvalidAccessKeyId": "the access key is not known there",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key",
    "InvalidToken": "the session token is not valid",
    "InvalidClientTokenId": "the access key is not known there",
    "UnrecognizedClientException": "the access key is not known there",
    "ExpiredToken": "the session token has expired; sign in again",
    "ExpiredTokenException": "the session token has expired; sign in again",
    "TokenRefreshRequired": "the session token has expired; sign in again",
    "AuthFailure": "the credentials were refused",
}
_DENIED = {"AccessDenied", "AllAccessDisabled", "AccountProblem", "UnauthorizedAccess", "Forbidden", "403"}
_SKEWED = {"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"}
_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"}
_SIGN_IN_PAGE = (302, 303, 511)
_FULL = {"XMinioStorageFull", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage", "507"}
_CORRUPTED = {"BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}
_CHECKSUMS = {"NotImplemented", "InvalidRequest", "InvalidArgument", "MissingContentMD5"}


class ChecksumMismatch(RavenError):
    """What arrived is not what was sent; worth another try."""


class TruncatedBody(RavenError):
    """A content ended before its length; worth another try from there."""


class GarbledAnswer(RavenError):
    """An answer that no S3 server gives, such as a sign-in page or half a listing; worth another try."""


@dataclass(frozen=True, slots=True)
class BucketInfo:
    """What sentences about a store name."""

    name: str
    bucket: str
    endpoint: str  # the server, as a person would recognise it
    field: str  # the configuration's field that names the bucket


def _response(error: BaseException) -> Response:
    """What the server answered; empty where it did not."""
    response = getattr(error, "response", None)
    return response if isinstance(response, dict) else {}


def error_code(error: BaseException) -> str:
    """The server's own word for what is wrong; empty where it said nothing."""
    response = _response(error)
    return str(response.get("Error", {}).get("Code", "")) or (str(_status(error)) if response else "")


def _status(error: BaseException) -> int:
    return int(_response(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_missing(error: BaseException) -> bool:
    """Whether there is no such object."""
    return error_code(error) in ("NoSuchKey", "404", "NotFound")


def is_retryable(error: BaseException) -> bool:
    """Whether the same request may well succeed a moment later."""
    from botocore import exceptions as boto
    from botocore.parsers import ResponseParserError

    if isinstance(error, ChecksumMismatch | TruncatedBody | ResponseParserError) or _is_garbled(error):
        return True
    if isinstance(error, boto.ClientError):
        code, status = error_code(error), _status(error)
        busy = status in (408, 429, 500, 502, 503, 504) and code not in _FULL
        # S3's own redirections have codes of its own; a network's sign-in page has none.
        return code in _RETRYABLE or busy or (code == str(status) and status in _SIGN_IN_PAGE)
    if isinstance(error, boto.SSLError | boto.ProxyConnectionError | boto.NoCredentialsError):
        return False
    return is_network_error(error)


def _is_garbled(error: BaseException) -> bool:
    """Whether an answer could not be understood, which reading it shows by one of Python's own errors."""
    from botocore.exceptions import BotoCoreError

    if isinstance(error, BotoCoreError):
        return False
    return isinstance(error, GarbledAnswer | LookupError | ValueError | TypeError | AttributeError)


def is_corrupted(error: BaseException) -> bool:
    """Whether a content arrived changed: what does so several times is broken where it lies."""
    return isinstance(error, ChecksumMismatch) or error_code(error) in _CORRUPTED


def is_unreachable(error: BaseException) -> bool:
    """Whether nobody answers at that address at all."""
    from botocore import exceptions as boto

    return isinstance(error, boto.EndpointConnectionError | boto.ConnectTimeoutError | ConnectionRefusedError)


def is_network_error(error: BaseException) -> bool:
    """Whether the line, and not the server, is to blame."""
    import urllib3.exceptions
    from botocore import exceptions as boto

    return isinstance(
        error,
        boto.HTTPClientError
        | boto.ConnectionError
        | boto.ReadTimeoutError
        | boto.ResponseStreamingError
        | boto.IncompleteReadError
        | urllib3.exceptions.HTTPError
        | http.client.HTTPException
        | ConnectionError
        | TimeoutError,
    )


def describe(error: BaseException) -> str:
    """What a server does that may soon do better: ``answered 503 SlowDown``."""
    from botocore.exceptions import ClientError

    if isinstance(error, ClientError):
        code, status = error_code(error), str(_status(error))
        return f"answered {status}" if code == status else f"answered {status} {code}"
    if is_unreachable(error):
        return "could not be reached"
    if isinstance(error, TruncatedBody):
        return "cut its answer short"
    if isinstance(error, ChecksumMismatch):
        return "answered with a wrong checksum"
    if isinstance(error, GarbledAnswer):
        return f"answered with {error}"
    if is_network_error(error):
        return f"broke off the connection ({type(error).__name__})"
    return f"answered with what is not S3's ({type(error).__name__})"


def given_up(error: BaseException, info: BucketInfo, doing: str, times: int, seconds: float) -> RavenError:
    """The sentence for what was tried again and again until nobody had patience left."""
    return RavenError(
        f"{doing[0].upper()}{doing[1:]} failed: {info.endpoint} {describe(error)} {times} times in "
        f"{seconds:.0f} s.  Run the same command again later, or wait longer with --patience SECONDS."
    )


def to_user_error(error: BaseException, info: BucketInfo, doing: str) -> RavenError:
    """The sentence for an error, with what mends it.

    Args:
        error: what boto3, or the line, raised.
        place: the store.
        doing: what was being done, such as ``storing models/x.tar``.
    """
    from botocore import exceptions as boto

    if isinstance(error, RavenError):
        return error
    code = error_code(error)
    remedy = f"`raven config update --{info.field.replace('_', '-')} NAME` names another"
    if code == "NoSuchBucket":
        return InputError(f"There is no bucket {info.bucket!r} at {info.endpoint}; {remedy}.")
    if code in ("InvalidBucketName",):
        return InputError(f"{info.bucket!r} is not a possible bucket name at {info.endpoint}; {remedy}.")
    if isinstance(error, boto.ProfileNotFound):
        return InputError(
            f"{str(error).rstrip('.')}; `raven config update --profile NAME` chooses another "
            "(those of ~/.aws/config)."
        )
    if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError):
        return InputError(
            f"There are no complete credentials for {info.endpoint}; set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, write ~/.aws/credentials, or choose a profile with "
            "`raven config update --profile NAME`."
        )
    if code in _CREDENTIALS:
        return RavenError(
            f"{info.endpoint} does not accept the credentials: {_CREDENTIALS[code]} "
            "(they come from the environment, the profile, or ~/.aws/credentials)."
        )
    if code in _SKEWED:
        return RavenError(
            f"This machine's clock is off{_skew(error)}: {info.endpoint} refuses it; set the clock."
        )
    if code in _DENIED:
        return RavenError(
            f"The credentials have no permission for {doing} in the bucket {info.bucket!r} at "
            f"{info.endpoint}; ask its owner for it, or choose another profile with "
            "`raven config update --profile NAME`."
        )
    if code in _REGION:
        return InputError(
            f"The bucket {info.bucket!r} is in another region{_region(error)}; "
            "set it with `raven config update --region REGION`."
        )
    if code in _FULL:
        return RavenError(f"{info.endpoint} has no space left for {doing}; nothing was lost here.")
    if code == "NoSuchKey":
        return RavenError(f"{info.name}: {doing} found nothing there.")
    if code == "PreconditionFailed":
        return RavenError(f"{info.name}: the object was replaced while it was fetched; start again.")
    if isinstance(error, boto.SSLError):
        return RavenError(
            f"{info.endpoint} cannot be trusted: {_short(error)}; check its certificate (AWS_CA_BUNDLE) "
            "or whether the server speaks TLS at all."
        )
    if isinstance(error, boto.InvalidRegionError | ValueError):
        return InputError(f"{info.name} cannot be used: {_short(error)}.")
    if isinstance(error, boto.TokenRetrievalError | boto.SSOError | boto.CredentialRetrievalError):
        return RavenError(f"No credentials could be obtained: {_short(error)}; sign in again.")
    if is_network_error(error):
        return RavenError(
            f"{info.endpoint} cannot be reached ({_short(error)}); check the network"
            " and `raven config show`'s endpoint_url."
        )
    if isinstance(error, boto.ClientError):
        hint = (
            "; a server that does not know these checksums wants `raven config update --checksums "
            "when_required`"
            if code in _CHECKSUMS
            else ""
        )
        message = _response(error).get("Error", {}).get("Message", "")
        return RavenError(f"{info.endpoint} refused {doing}: {code} {message}".rstrip(". ") + f"{hint}.")
    return RavenError(f"{info.name}: {doing} failed with {type(error).__name__}: {_short(error)}.")


def _skew(error: BaseException) -> str:
    """By how much, where the server's answer says what time it is."""
    headers = _response(error).get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        seconds = (datetime.now(UTC) - parsedate_to_datetime(headers["date"])).total_seconds()
    except (KeyError, TypeError, ValueError):
        return ""
    amount = f"{abs(seconds) / 60:.0f} minutes"
    return f" by {amount} ({'ahead' if seconds > 0 else 'behind'})" if abs(seconds) >= 60 else ""


def _region(error: BaseException) -> str:
    response = _response(error)
    region = response.get("Error", {}).get("Region") or response.get("ResponseMetadata", {}).get(
        "HTTPHeaders", {}
    ).get("x-amz-bucket-region")
    return f", {region}" if region else ""


def _short(error: BaseException) -> str:
    """One line without the addresses of Python objects."""
    text = " ".join(str(error).split())
    text = re.sub(r"<[\w.]+ object at 0x[0-9a-f]+>:? ?", "", text)
    return (text if len(text) < 300 else text[:300] + " …").rstrip(".")
