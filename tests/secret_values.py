"""Random secrets of each kind, as the services hand them out."""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable

ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"


def word(rng: random.Random, letters: str, length: int) -> str:
    """So many random letters."""
    return "".join(rng.choice(letters) for _ in range(length))


def password(rng: random.Random) -> str:
    """What a person or a password manager thinks of; letters and digits are in every one."""
    marks = rng.choice(["", "!", "-_", "#%+=", ",;:", "!$&*()?", "'\"", "\\"])
    found = list(
        word(rng, "abcdefgh", 3) + word(rng, "2345679", 2) + word(rng, ALNUM + marks, rng.randrange(4, 25))
    )
    rng.shuffle(found)
    return rng.choice(string.ascii_letters) + "".join(found)


def private_key(rng: random.Random) -> str:
    """A block of many lines."""
    kind = rng.choice(["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
    content = base64.b64encode(rng.randbytes(rng.randrange(100, 600))).decode()
    lines = [content[at : at + 64] for at in range(0, len(content), 64)]
    return "\n".join([f"-----BEGIN {kind}PRIVATE KEY-----", *lines, f"-----END {kind}PRIVATE KEY-----"])


def jwt(rng: random.Random) -> str:
    """A JSON web token."""
    parts = [json.dumps({"alg": "HS256", "typ": "JWT"}), json.dumps({"sub": word(rng, ALNUM, 12), "iat": 1})]
    encoded = [base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, base64.urlsafe_b64encode(rng.randbytes(32)).decode().rstrip("=")])


# Found wherever they stand.
BY_SHAPE: dict[str, Callable[[random.Random], str]] = {
    "aws id": lambda rng: rng.choice(["AKIA", "ASIA"]) + word(rng, string.ascii_uppercase + "234567", 16),
    "aws secret": lambda rng: word(rng, ALNUM + "+/", 40),
    "github": lambda rng: f"gh{rng.choice('pousr')}_{word(rng, ALNUM, 36)}",
    "github fine": lambda rng: f"github_pat_{word(rng, ALNUM, 22)}_{word(rng, ALNUM, 59)}",
    "gitlab": lambda rng: f"glpat-{word(rng, ALNUM + '-_', 19)}{word(rng, ALNUM, 1)}",
    "slack": lambda rng: f"xox{rng.choice('abpr')}-{word(rng, '0123456789', 12)}-{word(rng, ALNUM, 24)}",
    "hugging face": lambda rng: f"hf_{word(rng, ALNUM, 34)}",
    "openai": lambda rng: f"sk-{word(rng, ALNUM, 47)}7",
    "openai project": lambda rng: f"sk-proj-{word(rng, ALNUM + '-_', 60)}A7",
    "anthropic": lambda rng: f"sk-ant-api03-{word(rng, ALNUM + '-_', 90)}AA",
    "google": lambda rng: f"AIza{word(rng, ALNUM + '-_', 34)}{word(rng, ALNUM, 1)}",
    "stripe": lambda rng: f"sk_live_{word(rng, ALNUM, 24)}",
    "npm": lambda rng: f"npm_{word(rng, ALNUM, 36)}",
    "pypi": lambda rng: f"pypi-AgEIcHlwaS5vcmc{word(rng, ALNUM + '-_', 60)}{word(rng, ALNUM, 1)}",
    "jwt": jwt,
    "private key": private_key,
    "url": lambda rng: f"https://{word(rng, ALNUM, 6)}:{word(rng, ALNUM, 12)}@example.org/x.git",
    "database": lambda rng: f"postgresql://me:{word(rng, ALNUM + '!-_.', 12)}@db.example.org:5432/runs",
}
NAMES = (
    *("password", "db_password", "passwd", "pw", "api_key", "apiKey", "API_TOKEN", "token", "auth_token"),
    *("secret", "client_secret", "aws_secret_access_key", "WANDB_API_KEY", "HF_TOKEN", "passphrase", "pwd"),
    *("mytoken", "githubtoken", "MYSQL_PWD", "REDIS_PASS", "private_key", "credentials", "GH_PAT"),
)


def parts(secret: str) -> list[str]:
    """What must not be found of a secret: its lines, and of a URL the password."""
    if "://" in secret:
        return [secret.partition("://")[2].partition("@")[0].partition(":")[2]]
    return [line for line in secret.splitlines() if not line.startswith("-----") and len(line) > 3]
