"""Captions as DeepFloyd IF was trained on them: freed of addresses, file names, markup and such.

    caption ─ lower case ─ without addresses, markup ─ punctuation ─ without ids, adverts ─→ text

IF's text encoder saw only captions that had been cleaned so, twice; a prompt for IF's weights must
be cleaned as well. The rules are IF's, oddities included: each has its example in
tests/golden/if_captions.json, and what they do to a prompt that is no advert is little. Chinese and
Japanese ideographs are removed. Needs `ftfy`, of the extra `glide`.
"""

import contextlib
import html
import re
import sys
from collections.abc import Callable
from html.entities import html5
from html.parser import HTMLParser
from urllib.parse import unquote_plus

from glide_jax.errors import UserError

_DOMAINS = "com|co|ru|net|org|edu|gov|it"
_IMAGES = "png|jpg|jpeg|bmp|webp|eps|pdf|apk|mp4"
_HOST = rf"[a-zA-Z0-9.\-]+[.](?:{_DOMAINS})[\w/-]*\b/?(?!@)"

Rules = tuple[tuple[re.Pattern[str], str], ...]


def _rules(*pairs: tuple[str, str]) -> Rules:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in pairs)


_ADDRESSES = _rules(
    ("<person>", "person"),
    (rf"\b(?:https?:(?:/{{1,3}}|[a-zA-Z0-9%])|{_HOST})", ""),
    (rf"\b(?:www:(?:/{{1,3}}|[a-zA-Z0-9%])|{_HOST})", ""),
)

_PUNCTUATION = _rules(
    (r"@\w+\b", ""),
    # Ideographs and what Unicode has beside them: strokes, enclosed ones, hexagrams, and so on.
    (r"[\u31c0-\u31ff\u3200-\u4dff\u4e00-\u9fff]+", ""),
    (
        r"[-\u058a\u05be\u1400\u1806\u2010-\u2015\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u301c\u3030\u30a0"
        r"\ufe31\ufe32\ufe58\ufe63\uff0d]+",
        "-",
    ),
    ("[`´«»“”¨]", '"'),
    ("[‘’]", "'"),
    ("&quot;?", ""),
    ("&amp", ""),
    (r"\d{1,3}(?:\.\d{1,3}){3}", " "),
    (r"\d:\d\d\s+$", ""),
    (r"\\n", " "),
    (r"#\d{1,3}\b", ""),
    (r"#\d{5,}\b", ""),
    (r"\b\d{6,}\b", ""),
    (rf"\S+\.(?:{_IMAGES})", ""),
    (r"[\"']{2,}", '"'),
    (r"\.{2,}", " "),
    (r"[#®•©™&@·º½¾¿¡§~()\[\]{}|\\/*]+", " "),
    (r"\s+\.\s+", " "),
)

_HYPHENS = re.compile("[-_]")
_MANY_HYPHENS = 3

_ADVERTS = _rules(
    (r"\b[a-zA-Z]{1,3}\d{3,15}\b", ""),
    (r"\b[a-zA-Z]+\d+[a-zA-Z]+\b", ""),
    (r"\b\d+[a-zA-Z]+\d+\b", ""),
    (r"(?:worldwide\s+)?(?:free\s+)?shipping", ""),
    (r"(?:free\s)?download(?:\sfree)?", ""),
    (r"\bclick\b\s(?:for|on)\s\w+", ""),
    (rf"\b(?:{_IMAGES})(?:\simages?)?", ""),
    (r"\bpage\s+\d+\b", ""),
    (r"\b\d*[a-zA-Z]+\d+[a-zA-Z]+\d+[a-zA-Z\d]*\b", " "),
    # A size such as 24x36, with a Latin x, a Cyrillic one or a times sign.
    (r"\b\d+\.?\d*[x\u0445×]\d+\.?\d*\b", ""),
    (r"\b\s+:\s+", ": "),
    (r"(\D[,./])\b", r"\1 "),
    (r"\s+", " "),
    # Not stripped before: the reference only meant to, and a quote behind a space stays.
    (r"^[\"']([\w\W]+)[\"']$", r"\1"),
    (r"^['_,\-:;]", ""),
    (r"['_,\-:+]$", ""),
    (r"^\.\S+$", ""),
)


def clean_caption(caption: str) -> str:
    """A caption as IF's text encoder expects it.

    Args:
        caption: any text.

    Returns:
        In lower case, on one line; perhaps "".

    Raises:
        UserError: ftfy is not installed.
    """
    try:
        import ftfy
    except ModuleNotFoundError as error:
        raise UserError(
            'cleaning captions for IF needs ftfy; run pip install "glide_jax[glide]"'
        ) from error
    return _clean(_clean(caption, ftfy.fix_text), ftfy.fix_text)


def _clean(caption: str, fix_text: Callable[[str], str]) -> str:
    caption = _apply(_ADDRESSES, unquote_plus(caption).strip().lower())
    caption = _apply(_PUNCTUATION, _without_markup(caption))
    if len(_HYPHENS.findall(caption)) > _MANY_HYPHENS:
        caption = _HYPHENS.sub(" ", caption)
    caption = html.unescape(html.unescape(fix_text(caption))).strip()
    return _apply(_ADVERTS, caption).strip()


def _apply(rules: Rules, text: str) -> str:
    for pattern, replacement in rules:
        text = pattern.sub(replacement, text)
    return text


_UNSEEN = frozenset(["script", "style", "template", "rt", "rp"])
"""Elements whose text is not the page's."""

_VOID = re.compile(
    "area|base(font)?|bgsound|br|col|command|embed|frame|hr|image|img|input|isindex|keygen|link|"
    "menuitem|meta|nextid|param|source|spacer|track|wbr"
)
"""Elements without content."""


class _Text(HTMLParser):
    """The text between tags, as the parser of IF's preprocessing takes it."""

    def __init__(self):
        # References are resolved below: that parser knows only complete names.
        super().__init__(convert_charrefs=False)
        self.parts: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if not _VOID.fullmatch(tag):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        while tag in self._open:
            if self._open.pop() == tag:
                break

    def handle_data(self, data: str) -> None:
        if _UNSEEN.isdisjoint(self._open):
            self.parts.append(data)

    def handle_charref(self, name: str) -> None:
        number = int(name[1:], 16) if name[0] in "xX" else int(name)
        known = 0 < number <= sys.maxunicode
        text = chr(number) if known else "\N{REPLACEMENT CHARACTER}"
        if number < 2**8:  # as Windows has them, where it has them
            with contextlib.suppress(UnicodeDecodeError):
                text = text.encode("latin-1", "ignore").decode("cp1252") or text
        self.handle_data(text)

    def handle_entityref(self, name: str) -> None:
        self.handle_data(html5.get(f"{name};", f"&{name}"))

    def unknown_decl(self, data: str) -> None:
        kind, bracket, text = data.partition("[")
        if kind.upper() == "CDATA" and bracket:
            self.parts.append(text)


def _without_markup(text: str) -> str:
    parser = _Text()
    parser.feed(text)
    parser.close()
    return "".join(parser.parts)
