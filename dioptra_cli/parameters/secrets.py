"""What must not be seen: which names stand for secrets, and texts without them. Pure.

A child gets the real values. What dioptra stores or prints goes through here first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

MASK = "***"

_SECRET_WORD = (
    r"passw(?:or)?d|passphrase|passcode|pwd|secret|credential|cookie|webhook"
    r"|(?:api|access|private|account|auth|encryption|signing|ssh|storage|deploy|license|master|openai|wandb)"
    r"[_\-. ]?key"
    r"|conn(?:ection)?[_\-. ]?str(?:ing)?|(?:db|user|my|root|admin)[_\-. ]?pass"
)
_SHORT_WORD = r"pass|pw|auth|authorization|bearer|creds|dsn|jwt|otp|pat|sas"
"""Words that other words may hold: `author`, `compass`."""
_SECRET_NAME = re.compile(
    rf"{_SECRET_WORD}|(?:^|[_\-. ])(?:{_SHORT_WORD})(?:$|[_\-. ])"
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
_NUMBER = re.compile(r"[+-]?\d{1,7}(?:\.\d*)?")
_KEPT_BY_AWS = re.compile(r"KEY|TOKEN|SECRET|CREDENTIAL|PASSWORD", re.IGNORECASE)
"""Of the variables of AWS, those whose values are looked for in texts: others hold words such as `standard`."""
_SCHEME = re.compile(r"(?<![A-Za-z0-9+.\-])([A-Za-z][A-Za-z0-9+.\-]{0,30})://")
_END_OF_URL = re.compile(r"[\s\"<>]")
_LONGEST_USER_INFO = 2048
_WEB = ("http", "https", "git+http", "git+https")
_USERS_SHOWN = frozenset({"ssh", "git+ssh", "ssh+git", "sftp", "hdfs", "abfs", "abfss", "wasb", "wasbs"})
"""Schemes in which the name before `@` is a login or a container. Elsewhere it may be a token by itself."""
_NAME = r"[^=&?;#\s'\"]{0,64}"
_IN_QUERY = re.compile(
    # First that it is a name at all, so that the long rest of a text is not looked through again and again.
    rf"([?&;#](?={_NAME}=)(?:{_NAME}(?:(?:{_SECRET_WORD}){_NAME}|sig|signature|token)"
    rf"|(?:{_NAME}[_\-.])?(?:{_SHORT_WORD}|key))=)([^&;\s'\"#]+)",
    re.IGNORECASE,
)
"""What signs a URL, or lets in whoever has it: `X-Amz-Signature=...`, `sig=...`, `token=...`."""
_SHORTEST_LINE = 8
_SHORTEST = 5
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


def without_credentials(text: str, mask: str = MASK) -> str:
    """Return `text` with `mask` for the user and the password in each of its URLs, and `***` for what signs it.

    Args:
        text: Any text, or one URL.
        mask: Empty for URLs that git or a download is to be given again: they lose all before the `@`, but for the
            login of ssh and the container of a store.
    """
    if "://" not in text:
        return text
    pieces, end = [], 0
    for start, stop, scheme, user, password in _user_infos(text):
        login = user if scheme in _USERS_SHOWN else ""
        left = login if not password and user == login else mask or login
        pieces += [text[end:start], left, "@" if left else ""]
        end = stop + 1
    return _IN_QUERY.sub(rf"\1{MASK}", "".join([*pieces, text[end:]]))


def shown(name: str, value: str) -> str:
    """Return the value of a parameter or variable as it may be stored and printed."""
    return MASK if is_secret(name, value) else without_credentials(value)


class Masker:
    """Replaces known secrets by `***` wherever they stand in a text.

    Args:
        values: The values by name, of parameters and environment variables; those that are no secrets are let be.
            A value shorter than five characters is masked where its name is known, but not looked for in texts.
    """

    def __init__(self, *values: Mapping[str, str]) -> None:
        secrets: set[str] = set()
        for mapping in values:
            for name, value in mapping.items():
                if is_secret(name, value):
                    if not name.startswith("AWS_") or _KEPT_BY_AWS.search(name):
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
        self._forms = [secret.encode("utf-8", "surrogateescape") for secret in secrets]
        self._pattern = re.compile(b"|".join(map(re.escape, self._forms)))
        self._first_bytes = {form[0] for form in self._forms}
        self._longest = max(map(len, self._forms))
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Take a piece; return what is certain by now."""
        data = self._rest + data
        end = self._may_begin(data)
        pieces, done = [], 0
        for found in self._pattern.finditer(data):
            if found.end() > end:  # it reaches into what may be another one
                end = min(end, found.start())
                break
            pieces += [data[done : found.start()], MASK.encode()]
            done = found.end()
        self._rest = data[end:]
        return b"".join([*pieces, data[done:end]])

    def finish(self) -> bytes:
        """Return what was held back."""
        rest, self._rest = self._rest, b""
        return self._pattern.sub(MASK.encode(), rest)

    def _may_begin(self, data: bytes) -> int:
        """Return where in `data` a secret may begin that is not there as a whole yet, or its length."""
        for start in range(max(len(data) - self._longest + 1, 0), len(data)):
            if data[start] in self._first_bytes:
                tail = data[start:]
                if any(len(tail) < len(form) and form.startswith(tail) for form in self._forms):
                    return start
        return len(data)


def _user_infos(text: str) -> Iterator[tuple[int, int, str, str, str]]:
    """Yield what stands before the host of each URL: where it begins and ends, the scheme, the user, the password."""
    last = 0
    for found in _SCHEME.finditer(text):
        start, scheme = found.end(), found[1].lower()
        if start < last:
            continue
        end = _END_OF_URL.search(text, start, start + _LONGEST_USER_INFO)
        rest = text[start : end.start() if end else start + _LONGEST_USER_INFO]
        authority = re.split("[/?#]", rest, maxsplit=1)[0]
        length = authority.rfind("@")
        user, colon, after = authority.partition(":")
        # A password that nobody has escaped may hold what would end the host; that of a database even a slash.
        if length < 0 and colon and not after.isdigit():
            length = (rest.partition("/")[0] if scheme in _WEB else rest).rfind("@")
        if length >= 0:
            last = start + length
            user, _, password = rest[:length].partition(":")
            yield start, last, scheme, user, password


def _credentials(text: str) -> Iterator[str]:
    """Yield the secrets in the URLs of a text, also as they are without the escapes of a URL."""
    from urllib.parse import unquote

    yield from (secret for _, secret in _IN_QUERY.findall(text))
    for _, _, scheme, user, password in _user_infos(text):
        secret = password or (user if scheme not in _USERS_SHOWN else "")
        yield secret
        yield unquote(secret)


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret as it is, and as it is written in a command, in Python, in JSON and in a URL."""
    import json
    import shlex
    from urllib.parse import quote  # few runs have secrets

    yield secret
    for written in (secret, repr(secret)[1:-1]):
        yield shlex.quote(written)
        yield repr(written)[1:-1]
        yield written.replace("'", "\\'")
        yield written.replace("'", "'\\''")
        yield json.dumps(written)[1:-1]
        yield json.dumps(written, ensure_ascii=False)[1:-1]
    yield quote(secret, safe="", errors="surrogateescape")
    if "\n" in secret:  # each line of it has something before it in a diff, or is cut off by a prefix
        yield from (line.strip() for line in secret.splitlines() if len(line.strip()) >= _SHORTEST_LINE)
