"""What a secret looks like: its names, its shapes.

The shapes are facts that the services publish; gitleaks' configuration lists most of them too.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from functools import lru_cache

# ---- names

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_PASSWORDS = ("password", "passwd", "passphrase", "passcode", "pwd", "pw", "psw", "passwort")
_SECRETS = (
    *_PASSWORDS,
    *("secret", "token", "credential", "cred", "apikey", "accesskey", "privatekey", "secretkey", "authkey"),
    *("bearer", "jwt", "authorization", "cookie", "otp", "totp", "htpasswd"),
)
_AT_THE_END = ("pass", "auth", "dsn", "sas", "connstr", "userpass", "userpwd")
_ENDINGS = ("password", "passwd", "passphrase", "secret", "token", "apikey", "accesskey", "privatekey", "pwd")
# `api_key` is a secret, `sort_key` is not
_KEYS = (
    *("api", "access", "private", "secret", "auth", "account", "storage", "encryption", "signing", "master"),
    *("session", "service", "license", "shared", "client", "deploy", "subscription", "app", "ssh", "gpg"),
    *("hmac", "webhook", "aws", "wandb", "openai", "anthropic", "comet", "hf", "admin", "write", "project"),
)
# `token_file` names a file, `cls_token` is a part of a network, `low_pass` is a filter
_ABOUT = (
    *("file", "files", "path", "dir", "folder", "type", "length", "len", "count", "size", "dim", "dims"),
    *(
        "limit",
        "limits",
        "ratio",
        "embedding",
        "embeddings",
        "embed",
        "mixer",
        "mixing",
        "merging",
        "pruning",
    ),
    *("env", "var", "variable", "mode", "level", "policy", "dropout", "drop", "prob", "index", "ids", "sock"),
    *("help", "required", "enabled", "expiry", "ttl", "prefix", "header", "storage", "parallelism"),
)
_BEFORE = (
    *(
        "cls",
        "class",
        "pad",
        "mask",
        "bos",
        "eos",
        "unk",
        "sep",
        "register",
        "reg",
        "patch",
        "special",
        "dist",
    ),
    *("max", "min", "num", "n", "per", "total", "invalid", "expired", "unknown", "no", "skip", "without"),
    *("forward", "backward", "first", "second", "single", "multi", "low", "high", "band", "by", "one", "two"),
)


@lru_cache(maxsize=4096)
def is_secret(name: str) -> bool:
    """Whether what goes by this name should not be written down."""
    words = [word.lower() for word in _WORD.findall(name[:200]) if not word.isdigit()]
    if not words or words[-1] in _ABOUT or words[0] in ("invalid", "expired", "missing"):
        return False
    for position, word in enumerate(words):
        before = words[position - 1] if position else ""
        if before in _BEFORE:
            continue
        last = position == len(words) - 1
        one = word.removesuffix("s") if not word.endswith("ss") else word
        if one in _SECRETS or one.endswith(_ENDINGS) or (last and word in _AT_THE_END):
            return True
        if one == "key" and before in _KEYS:
            return True
        if word == "string" and before in ("connection", "conn"):
            return True
        if word == "pat" and last and before:
            return True
    return False


def is_password(name: str) -> bool:
    """Whether a number under this name is a secret too: a password may be one, a token is not."""
    words = [word.lower() for word in _WORD.findall(name[:200])]
    return any(word in ("pass", *_PASSWORDS) or word.endswith("password") for word in words)


PLACEHOLDER = re.compile(
    r"\s*(?:(?:Bearer|Basic|Token)\s+)?(?:|\*{3,}|\$[A-Z_][A-Z0-9_]*"
    r"|\$\{[^{}]*\}|\$\{\{[^{}]*\}\}|\$\([^()]*\)|<[\w -]+>|\{[\w.\[\]\"' ]*\}"
    r"|\.{3}|…|VALUE|x{3,}|redacted|bearer|basic|digest|token|include|same-origin|omit|true|false|none|null|nil|yes|no|on|off|undefined|required|optional|str|bytes|int|bool|auto|default)\s*",
    re.IGNORECASE,
)
NUMBER = re.compile(r"[+-]?[\d_]*\.?\d+(?:e[+-]?\d+)?(?:\.\d+)*", re.IGNORECASE)


_MODULE = re.compile(r"[a-z_]\w*(?:\.[a-z_]\w*)+")


_CONSTANT = re.compile(r"`?[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+`?")  # the name of a variable
_TEMPLATE = re.compile(r"\{[A-Za-z_][\w.\[\]'\"() ]*\}")
_TELLING = re.compile(r"(?=[A-Za-z_]*\d)\w{8,}")


def gives_nothing_away(name: str, value: str) -> bool:
    """Whether a value under a secret's name is none: a reference, a switch, a number of tokens."""
    if PLACEHOLDER.fullmatch(value) or _CONSTANT.fullmatch(value):
        return True
    if "{" in value and (rest := _TEMPLATE.sub("", value)) != value and not _TELLING.search(rest):
        return True
    if NUMBER.fullmatch(value) and not is_password(name):
        return True
    if "." in name and _MODULE.fullmatch(value):  # {"my.old.secrets": "my.new.secrets"}
        return True
    return value.startswith(("/", "~/", "./")) and _WORD.findall(name)[-1:] in (["PWD"], ["OLDPWD"], ["pwd"])


# ---- shapes: the parts that a text must contain before its pattern is tried, and the pattern

_SHAPES: tuple[tuple[tuple[str, ...], str], ...] = (
    # Amazon
    (("AKIA", "ASIA", "ABIA", "ACCA", "A3T"), r"\b(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b"),
    (("ABSK", "bedrock-api-key-"), r"\b(?:ABSK|bedrock-api-key-)[A-Za-z0-9+/=]{40,}"),
    # code and packages
    (("gh",), r"\bgh[pousr]_[A-Za-z0-9]{30,}"),
    (("github_pat_",), r"\bgithub_pat_\w{22,}"),
    (("gl", "GR"), r"\b(?:gl(?:pat|ptt|dt|rt|rtr|cbt|ft|soat|agent|oas|imt|ffct|wt)-|GR1348941)[\w.-]{16,}"),
    (("npm_",), r"\bnpm_[A-Za-z0-9]{30,}"),
    (("pypi-",), r"\bpypi-[\w-]{40,}"),
    (("dckr_",), r"\bdckr_(?:pat|oat)_[\w-]{20,}"),
    (("ATAT", "ATBB", "ATCT"), r"\bAT(?:ATT3|BB|CTT3)[\w=+/-]{20,}"),
    (("hv",), r"\bhv[sbr]\.[\w-]{20,}"),
    ((".atlasv1.",), r"\b[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{40,}"),
    # models and trackers
    (("hf_", "api_org_"), r"\b(?:hf|api_org)_[A-Za-z0-9]{30,}"),
    (("sk-",), r"(?<![\w-])sk-(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{20,}"),
    (("gsk_", "xai-", "pplx-", "r8_"), r"\b(?:gsk_|xai-|pplx-|r8_)[A-Za-z0-9]{30,}"),
    (("nvapi-",), r"\bnvapi-[\w-]{40,}"),
    (("wandb_v1_", "KGAT_"), r"\b(?:wandb_v1|KGAT)_\w{20,}"),
    (("dapi",), r"\bdapi[a-f0-9]{32}(?:-\d+)?\b"),
    # Google
    (("AIza",), r"\bAIza[\w-]{35}"),
    (("GOCSPX-",), r"\bGOCSPX-[\w-]{20,}"),
    (("ya29.",), r"\bya29\.[\w-]{20,}"),
    # messages
    (("xox",), r"\bxox[a-z](?:\.xox[a-z])?-[\w-]{10,}"),
    (("xapp-",), r"\bxapp-\d-[\w-]{10,}"),
    (
        ("hooks.slack.com", "discord", "webhook.office.com"),
        r"(?<=hooks\.slack\.com/)(?:services|workflows|triggers)/[\w/+-]{20,}"
        r"|(?<=/api/webhooks/)\d+/[\w-]{20,}|(?<=webhook\.office\.com/)[\w/@.-]{40,}",
    ),
    ((":AA",), r"\b\d{7,12}:AA[\w-]{32,}"),
    (("SG.",), r"\bSG\.[\w-]{16,}\.[\w-]{16,}"),
    (("key-",), r"(?<![\w-])key-[0-9a-f]{32}\b"),
    # payment, clouds, monitoring
    (("sk_", "rk_", "whsec_"), r"\b(?:[sr]k_(?:live|test|prod)_[A-Za-z0-9]{10,}|whsec_[\w+/=]{20,})"),
    (("SK",), r"\bSK[0-9a-f]{32}\b"),
    (("do",), r"\bdo[opr]_v1_[a-f0-9]{60,}"),
    (("glsa_", "glc_"), r"\bgl(?:sa|c)_[\w+/=]{30,}"),
    (("shp",), r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{30,}"),
    (("lin_", "ntn_", "secret_"), r"\b(?:lin_api_|ntn_|secret_)[A-Za-z0-9]{30,}"),
    (("NRAK-",), r"\bNRAK-[A-Z0-9]{20,}"),
    (("AGE-SECRET-KEY-",), r"\bAGE-SECRET-KEY-1[A-Z0-9]{50,}"),
    # of any service
    (("eyJ",), r"\beyJ[\w-]{8,}\.(?:eyJ)?[\w-]{8,}\.[\w-]*(?:\.[\w-]+){0,2}"),
    (("eyJ",), r"\beyJhcGl[\w+/=-]{30,}"),
)
_RUN, _ESCAPE = r"[A-Za-z0-9+/=*]+", r"\\+[nr]"
KEY_BLOCK = re.compile(  # over many lines, or on one with `\n` or blanks in it; no further than a key goes
    r"(?P<begin>-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----)"
    rf"(?P<body>(?:(?:{_ESCAPE})+{_RUN}|[ ](?:[A-Za-z0-9+/=]{{16,}}|\*{{3}})(?:[ ]{_RUN})*)*"
    rf"(?:{_ESCAPE})*[ \t\"',)+\\]*(?:\r?\n(?:[ \t]*[\w-]+:[ ][^\n]*"
    rf"|[ \t\"'(+]*(?:{_RUN}(?:(?:{_ESCAPE})+{_RUN})*)?(?:{_ESCAPE}|[ \t\"',)+\\])*)(?=\r?\n|-----|$))*)"
)
KEY_TEXT = re.compile(
    r"(\\+[nr]|^[ \t]*[\w-]+: .*|^[ \t]*\+(?=[ \t]*[\"'])|\+[ \t]*$)|[A-Za-z0-9+/=*]+", re.MULTILINE
)
URL = re.compile(r"(?P<scheme>\b[A-Za-z][\w+.-]{0,30}://)(?P<user>[^\s/\"'<>`]+)@")
# a password may hold a slash; what begins with a port is not one
URL_SLASH = re.compile(
    r"(?P<scheme>\b[A-Za-z][\w+.-]{0,30}://)(?P<user>[^\s/\"'@:]*:(?!\d{1,5}/)[^\s\"'@]{1,200})@(?=[\w\[])"
)
LOGIN = re.compile(  # user:password@host without a scheme
    r"(?<![\w/:.@+-])(?!mailto:|sha\d+:)(?P<user>[A-Za-z_][\w.+-]*:)(?P<value>[^\s:@/\"'<>()]{3,}(?:@[^\s:@/\"'<>()]+)?)"
    r"(?P<host>@(?!sha\d+:)(?:[\w-]+(?:\.[\w-]+)+|localhost)\b)"
)
QUERY = re.compile(
    r"(?P<name>[?&](?:X-(?:Amz|Goog)-(?:Signature|Credential|Security-Token)|Signature|sig|AWSAccessKeyId|key|code)=)"
    r"(?P<value>[^&\s\"'<>]{12,})",
    re.IGNORECASE,
)
AUTHORIZATION = re.compile(
    r"(?P<name>\b(?:proxy-)?authorization(?:\\?[\"']?[ \t]*[:=]|\\?[\"'][ \t]*,)[ \t]*"
    r"(?:[frbu]{0,2}\\?[\"'])?[ \t]*(?:(?:Bearer|Basic|Token|ApiKey|Key|Negotiate)\s+)?)"
    r"(?P<value>(?:Digest|AWS4-HMAC-SHA256)\s[^\"'\r\n]+|[^\s\"'`\\<>]{4,})",
    re.IGNORECASE,
)
BEARER = re.compile(r"(?P<name>\bBearer\s+)(?P<value>[\w.~+/=-]{6,})", re.IGNORECASE)
AMAZON = re.compile(r"(?<![A-Za-z0-9/+_.-])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+_=.-])")
_AMAZON_BITS = 4.2  # per character; a random key has 4.3 to 5.1, a path or a name of 40 letters less


@lru_cache(maxsize=1)
def shapes() -> tuple[tuple[tuple[str, ...], re.Pattern[str]], ...]:
    return tuple((parts, re.compile(pattern)) for parts, pattern in _SHAPES)


def _bits(text: str) -> float:
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def is_amazon_secret(text: str) -> bool:
    """Whether 40 characters are a secret key of Amazon's: neither a commit (hexadecimal) nor a path."""
    cases = sum(map(str.isupper, text)), sum(map(str.islower, text))
    return min(cases) >= 3 and _bits(text) >= _AMAZON_BITS


# ---- words that stand alone

_HARMLESS = re.compile(r"[-+\d.,:x%e_*]+|true|false|none|auto|yes|no|on|off", re.IGNORECASE)


def is_harmless(value: str) -> bool:
    """Whether what stands behind ``-p`` is a port, a number or a path."""
    return bool(_HARMLESS.fullmatch(value)) or "/" in value or value.startswith((".", "-")) or not value


def looks_random(value: str) -> bool:
    """Whether a word looks like a password rather than like a word, a number or a path."""
    if len(value) < 6 or is_harmless(value) or not value.isprintable() or " " in value:
        return False
    kinds = sum(any(map(kind, value)) for kind in (str.islower, str.isupper, str.isdigit))
    return kinds > 1 or any(mark in value for mark in "!@#$%^&*?~")
