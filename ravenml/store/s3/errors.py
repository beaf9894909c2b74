"""What goes wrong between here and a bucket: what is worth another try, and a sentence for what is not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html import unescape

from ravenml.errors import InputError, RavenError

# S3 servers other than Amazon's spell some of these in their own way.
_RETRYABLE = {
    "SlowDown", "SlowDownRead", "SlowDownWrite", "InternalError", "ServiceUnavailable", "RequestTimeout",
    "RequestTimeoutException", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests",
    "BandwidthLimitExceeded", "OperationAborted", "IncompleteBody", "BadDigest", "XAmzContentSHA256Mismatch",
    "XAmzContentChecksumMismatch", "PriorRequestNotComplete",
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
_FULL = {"XMinioStorageFull", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage", "507"}
_CORRUPTED = {"BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"}
_CHECKSUMS = {"NotImplemented", "InvalidRequest", "InvalidArgument", "MissingContentMD5"}


class ChecksumMismatch(RavenError):
    """What arrived is not what was sent; worth another try."""


class TruncatedBody(RavenError):
    """A content ended before its length; worth another try from there."""


class GarbledAnswer(RavenError):
    """An answer that no S3 server gives, such as a sign-in page or half a listing; worth another try."""


class NetworkError(Exception):
    """The line is to blame, not the server; ``unreachable`` where nobody answers at that address at all."""

    def __init__(self, why: str, unreachable: bool = False, untrusted: bool = False) -> None:
        super().__init__(why)
        self.unreachable, self.untrusted = unreachable, untrusted


class ServerError(Exception):
    """What a server answered in place of what it was asked for."""

    def __init__(self, status: int, body: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {body:.200}")
        self.status = status
        self.headers = headers or {}
        self.code = text_between(body, "Code") or str(status)
        self.message = text_between(body, "Message")
        self.region = text_between(body, "Region") or self.headers.get("x-amz-bucket-region", "")

    @property
    def is_elsewhere(self) -> bool:
        """Whether the bucket is in another region."""
        return self.code in _REGION

    @property
    def lacks_reason(self) -> bool:
        """Whether the sentence needs what obstore does not pass on: the answer's headers, or any code."""
        known = not (self.code in _SKEWED or self.is_elsewhere or self.code.isdigit())
        return not self.headers and not known and self.status in (301, 400, 403)


@dataclass(frozen=True, slots=True)
class BucketInfo:
    """What sentences about a store name."""

    name: str
    bucket: str
    endpoint: str  # the server, as a person would recognise it
    field: str  # the configuration's field that names the bucket


def text_between(xml: str, tag: str) -> str:
    """The first text of an element of a small document."""
    found = re.search(rf"<{tag}>([^<]*)</{tag}>", xml)
    return unescape(found[1]) if found else ""


def from_obstore(error: Exception) -> Exception:
    """One of our errors for one of obstore's, which are told apart by their text alone."""
    said, _, debug = str(error).partition("\n\nDebug source:")
    if answer := re.search(r"status code: (\d{3})[^:]*:?(.*)", said, re.DOTALL):
        return ServerError(int(answer[1]), answer[2])
    if "without LOCATION" in said:  # how S3 says that a bucket is elsewhere
        return ServerError(301)
    if "body error" in said:
        return TruncatedBody("an answer was cut short")
    if "HTTP error" in said:
        reasons = re.findall(r'(?:message|error): "([^"]+)"', debug)
        if found := re.search(r"Invalid(?:Certificate|Message)\(\s*(\w+)", debug):
            return NetworkError(f"TLS: {found[1]}", untrusted=True)
        why = reasons[-1] if reasons else said.rpartition("HTTP error: ")[2]
        return NetworkError(why, "kind: Connect" in debug)
    if own := re.search(r"credential provider: (\w+): (.*)", said, re.DOTALL):
        return NetworkError(own[2]) if own[1] == NetworkError.__name__ else RavenError(own[2])
    return GarbledAnswer(f"what is not S3's ({_short(said)})")


def error_code(error: BaseException) -> str:
    """The server's own word for what is wrong; empty where it said nothing."""
    return error.code if isinstance(error, ServerError) else ""


def is_retryable(error: BaseException) -> bool:
    """Whether the same request may well succeed a moment later."""
    if isinstance(error, ServerError):
        busy = error.status in (408, 429, 500, 502, 503, 504) and error.code not in _FULL
        # S3's own redirections have codes of its own; a network's sign-in page has none.
        page = error.code == str(error.status) and error.status in (302, 303, 511)
        return error.code in _RETRYABLE or busy or page
    if isinstance(error, NetworkError):
        return not error.untrusted
    return isinstance(error, ChecksumMismatch | TruncatedBody | GarbledAnswer)


def is_corrupted(error: BaseException) -> bool:
    """Whether a content arrived changed: what does so several times is broken where it lies."""
    return isinstance(error, ChecksumMismatch) or error_code(error) in _CORRUPTED


def is_unreachable(error: BaseException) -> bool:
    """Whether nobody answers at that address at all."""
    return isinstance(error, NetworkError) and error.unreachable


def describe(error: BaseException) -> str:
    """What a server does that may soon do better: ``answered 503 SlowDown``."""
    if isinstance(error, ServerError):
        return f"answered {error.status} {error.code}".removesuffix(f" {error.status}")
    if isinstance(error, NetworkError):
        return "could not be reached" if error.unreachable else f"broke off the connection ({_short(error)})"
    if isinstance(error, TruncatedBody):
        return "cut its answer short"
    if isinstance(error, ChecksumMismatch):
        return "answered with a wrong checksum"
    return f"answered with {error}"


def given_up(error: BaseException, info: BucketInfo, doing: str, times: int, seconds: float) -> RavenError:
    """The sentence for what was tried again and again until nobody had patience left."""
    return RavenError(
        f"{doing[0].upper()}{doing[1:]} failed: {info.endpoint} {describe(error)} {times} times in "
        f"{seconds:.0f} s.  Run the same command again later, or wait longer with --patience SECONDS."
    )


def no_credentials(endpoint: str) -> InputError:
    """The sentence for a chain of credentials that ends without any."""
    return InputError(
        f"There are no complete credentials for {endpoint}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
        "write ~/.aws/credentials, or choose a profile with `raven config update --profile NAME`."
    )


def from_botocore(error: Exception, info: BucketInfo) -> Exception:
    """The sentence for what botocore found wrong with a profile or with credentials, or a NetworkError."""
    kinds = {kind.__name__ for kind in type(error).__mro__}  # without importing botocore to ask
    if kinds & {"ConnectionError", "HTTPClientError"}:
        return NetworkError(f"credentials could not be renewed: {_short(error)}")
    if "ProfileNotFound" in kinds:
        return InputError(
            f"{str(error).rstrip('.')}; `raven config update --profile NAME` chooses another "
            "(those of ~/.aws/config)."
        )
    if kinds & {"NoCredentialsError", "PartialCredentialsError"}:
        return no_credentials(info.endpoint)
    if kinds & {"InvalidRegionError", "ValueError", "ConfigParseError"}:
        return InputError(f"{info.name} cannot be used: {_short(error)}.")
    return RavenError(f"No credentials could be obtained: {_short(error)}; sign in again.")


def to_user_error(error: Exception, info: BucketInfo, doing: str) -> RavenError:
    """The sentence for an error, with what mends it.

    Args:
        error: what the server said, or the line did.
        info: the store.
        doing: what was being done, such as ``storing models/x.tar``.
    """
    if isinstance(error, RavenError):
        return error
    if isinstance(error, NetworkError):
        if error.untrusted:
            return RavenError(
                f"{info.endpoint} cannot be trusted: {_short(error)}; check its certificate (AWS_CA_BUNDLE) "
                "or whether the server speaks TLS at all."
            )
        return RavenError(
            f"{info.endpoint} cannot be reached ({_short(error)}); check the network"
            " and `raven config show`'s endpoint_url."
        )
    if not isinstance(error, ServerError):
        return RavenError(f"{info.name}: {doing} failed with {type(error).__name__}: {_short(error)}.")
    code = error.code
    remedy = f"`raven config update --{info.field.replace('_', '-')} NAME` names another"
    if code == "NoSuchBucket":
        return InputError(f"There is no bucket {info.bucket!r} at {info.endpoint}; {remedy}.")
    if code == "InvalidBucketName":
        return InputError(f"{info.bucket!r} is not a possible bucket name at {info.endpoint}; {remedy}.")
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
    if error.is_elsewhere:
        region = f", {error.region}" if error.region else ""
        return InputError(
            f"The bucket {info.bucket!r} is in another region{region}; "
            "set it with `raven config update --region REGION`."
        )
    if code in _FULL:
        return RavenError(f"{info.endpoint} has no space left for {doing}; nothing was lost here.")
    if code in ("NoSuchKey", "404"):
        return RavenError(f"{info.name}: {doing} found nothing there.")
    if code == "PreconditionFailed":
        return RavenError(f"{info.name}: the object was replaced while it was fetched; start again.")
    hint = ""
    if code in _CHECKSUMS:
        hint = (
            "; a server that does not know these checksums wants "
            "`raven config update --checksums when_required`"
        )
    return RavenError(f"{info.endpoint} refused {doing}: {code} {error.message}".rstrip(". ") + f"{hint}.")


def _skew(error: ServerError) -> str:
    """By how much, where the server's answer says what time it is."""
    try:
        seconds = (datetime.now(UTC) - parsedate_to_datetime(error.headers["date"])).total_seconds()
    except (KeyError, TypeError, ValueError):
        return ""
    amount = f"{abs(seconds) / 60:.0f} minutes"
    return f" by {amount} ({'ahead' if seconds > 0 else 'behind'})" if abs(seconds) >= 60 else ""


def _short(error: object) -> str:
    """One line without the addresses of Python objects."""
    text = re.sub(r"<[\w.]+ object at 0x[0-9a-f]+>:? ?", "", " ".join(str(error).split()))
    return (text if len(text) < 300 else text[:300] + " …").rstrip(".")
