"""What must not be seen: which names stand for secrets, and texts without them. Pure.

A child gets the real values. What dioptra stores or prints goes through here first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

MASK = "***"

_SECRET_NAME = re.compile(
    r"passw(?:or)?d|passphrase|passcode|pwd|secret|credential|cookie"
    r"|(?:api|access|private|account|auth|encryption|signing|ssh|storage)[_\-. ]?key"
    r"|(?:^|[_\-. ])(?:pass|auth|authorization|bearer|jwt|pat|sas)(?:$|[_\-. ])"
    r"|connection[_\-. ]?string"
    r"|^AWS_",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"token", re.IGNORECASE)
_WORD_TOKEN = re.compile(
    r"tokeni[sz]|(?:pad|eos|bos|unk|mask|cls|sep|special|stop|start|end)[_\-. ]?tokens?", re.IGNORECASE
)
"""Tokens of a text, not of a door: `tokenizer`, `pad_token`."""
_PLAIN_NAME = re.compile(
    r"(?:OLD)?PWD|AWS_(?:(?:DEFAULT_)?(?:REGION|PROFILE|OUTPUT)|ENDPOINT_URL.*|CONFIG_FILE|CA_BUNDLE|PAGER|"
    r"RETRY_MODE|MAX_ATTEMPTS|EC2_METADATA_DISABLED|EXECUTION_ENV)"
)
"""Variables that the patterns above take in, and that hold settings: a directory, a region."""
_PLAIN_VALUE = re.compile(r"|true|false|yes|no|none|null", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?\d{1,9}(?:\.\d*)?")
_USER_INFO = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://([^/@\s:'\"?#]*)(:[^/\s'\"]*)?@")
_USERS_SHOWN = frozenset({"ssh", "git+ssh", "ssh+git", "sftp", "hdfs", "abfs", "abfss", "wasb", "wasbs"})
"""Schemes in which the name before `@` is a login or a container. Elsewhere it may be a token by itself."""
_IN_QUERY = re.compile(
    r"([?&][^=&\s'\"]*(?:sig|signature|token|passw(?:or)?d|secret|api[_-]?key|access[_-]?key|credential)=)([^&\s'\"#]+)",
    re.IGNORECASE,
)
"""What signs a URL: `X-Amz-Signature=...`, `sig=...`, `token=...`."""
_SHORTEST = 4
"""Characters that a value has at least to be looked for in any text: a shorter one stands everywhere by chance."""


def is_secret(name: str, value: str) -> bool:
    """Return whether the value of a parameter or environment variable must not be seen, by its name.

    Flags such as `use_auth_token=true`, numbers such as `max_tokens=512` and settings such as `AWS_REGION` may.
    """
    if _PLAIN_VALUE.fullmatch(value):
        return False
    if _SECRET_NAME.search(name):
        return not _PLAIN_NAME.fullmatch(name)
    return bool(_TOKEN.search(name)) and not (_WORD_TOKEN.search(name) or _NUMBER.fullmatch(value))


def without_credentials(text: str) -> str:
    """Return `text` with `***` for the user and the password in each of its URLs, and for what signs it."""
    if "://" not in text:
        return text
    return _IN_QUERY.sub(rf"\1{MASK}", _USER_INFO.sub(_hide_user_info, text))


def shown(name: str, value: str) -> str:
    """Return the value of a parameter or variable as it may be stored and printed."""
    return MASK if is_secret(name, value) else without_credentials(value)


class Masker:
    """Replaces known secrets by `***` wherever they stand in a text.

    Args:
        values: The values by name, of parameters and environment variables; those that are no secrets are let be.
            A value shorter than four characters is masked where its name is known, but not looked for in texts.
    """

    def __init__(self, *values: Mapping[str, str]) -> None:
        secrets: set[str] = set()
        for mapping in values:
            for name, value in mapping.items():
                if is_secret(name, value):
                    secrets.add(value)
                elif "://" in value:
                    secrets.update(_credentials(value))
        forms = {form for secret in secrets for form in _forms(secret) if len(form) >= _SHORTEST}
        # The longest first: of two secrets, one may begin as the other does.
        self._forms = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, self._forms))) if forms else None

    def __bool__(self) -> bool:
        """Return whether there is anything to hide."""
        return self._pattern is not None

    def __call__(self, text: str) -> str:
        """Return `text` without secrets."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    def stream(self) -> StreamMasker | None:
        """Return a filter for bytes that come in pieces; None if there is nothing to hide."""
        return StreamMasker(self._forms) if self._forms else None


class StreamMasker:
    """Replaces secrets in a stream of bytes, also where one comes in two pieces. Everything else is unchanged."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = [secret.encode("utf-8", "surrogateescape") for secret in secrets]
        self._pattern = re.compile(b"|".join(map(re.escape, forms)))
        self._beginnings = {form[:length] for form in forms for length in range(1, len(form))}
        self._longest = max(map(len, forms))
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Take a piece; return what is certain by now."""
        data = self._pattern.sub(MASK.encode(), self._rest + data)
        kept = next(
            (
                length
                for length in range(min(self._longest - 1, len(data)), 0, -1)
                if data[-length:] in self._beginnings
            ),
            0,
        )
        self._rest = data[len(data) - kept :]
        return data[: len(data) - kept]

    def finish(self) -> bytes:
        """Return what was held back."""
        rest, self._rest = self._rest, b""
        return rest


def _hide_user_info(match: re.Match[str]) -> str:
    scheme, user, password = match.groups()
    if password is None and (not user or scheme.lower() in _USERS_SHOWN):
        return match[0]
    return f"{scheme}://{MASK}@"


def _credentials(text: str) -> Iterable[str]:
    """Yield the secrets in the URLs of a text."""
    yield from (secret for _, secret in _IN_QUERY.findall(text))
    for scheme, user, password in _USER_INFO.findall(text):
        if password:
            yield password[1:]
        elif scheme.lower() not in _USERS_SHOWN:
            yield user


def _forms(secret: str) -> Iterable[str]:
    """Yield a secret as it is, and as it is written in a command, in JSON and in a URL."""
    import json
    import shlex
    from urllib.parse import quote  # few runs have secrets

    yield secret
    yield shlex.quote(secret)
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield quote(secret, safe="", errors="surrogateescape")
