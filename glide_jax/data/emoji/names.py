"""The emoji that exist, and their captions; needs no font.

Names come from the `emoji` package (Unicode's CLDR short names): 👩🏽‍🚒 is
":woman_firefighter_medium_skin_tone:", which becomes the name "woman firefighter" and the tone
"medium".
"""

import dataclasses
import hashlib
import re
from collections.abc import Iterable

import emoji

TONES = ("light", "medium-light", "medium", "medium-dark", "dark")

_TONE = re.compile(r"_(light|medium-light|medium|medium-dark|dark)_skin_tone")
_MODIFIERS = frozenset("🏻🏼🏽🏾🏿")
_FLAG_LETTERS = range(0x1F1E6, 0x1F1FF + 1)
_SUBDIVISION_FLAG = "\U0001f3f4\U000e0067"  # a black flag and the tags of England, Scotland, Wales

_REWORDINGS = (
    (r"^(man|woman|person) (red|blond|white|curly) hair$", r"\1 with \2 hair"),
    (r"^(man|woman|person) bald$", r"bald \1"),
    (r"^(man|woman|person) beard$", r"\1 with a beard"),
    (r"^(couple with heart|kiss) (\w+) (\w+)$", r"\1, \2 and \3"),
    (r"^family (\w+) (\w+)$", r"family, \1 and \2"),
    (r"^family (\w+) (\w+) (\w+)$", r"family, \1, \2 and \3"),
    (r"^family (\w+) (\w+) (\w+) (\w+)$", r"family, \1, \2, \3 and \4"),
    (r" facing right$", r", facing right"),
)
"""(pattern, replacement) of names that are a list of parts, to join the parts with words."""

_PREPOSITION = re.compile(r",| (?:with|of|in|on|at|from|for|facing|behind|without|showing)\b")
_ONE = ("man", "woman", "person")
_SEVERAL = ("men", "women", "people", "family")


@dataclasses.dataclass(frozen=True)
class Emoji:
    """One fully-qualified emoji.

    Attributes:
        sequence: its code points.
        name: what it shows, without the skin tones.
        tones: of TONES: one per person if they differ, else one; (): the default yellow, or no
            skin at all.
    """

    sequence: str
    name: str
    tones: tuple[str, ...]

    @property
    def is_flag(self) -> bool:
        """Whether this is the flag of a country, a region or an organisation."""
        return ord(self.sequence[0]) in _FLAG_LETTERS or self.sequence.startswith(_SUBDIVISION_FLAG)


def vocabulary() -> list[Emoji]:
    """Return every fully-qualified emoji that the `emoji` package knows, in a fixed order."""
    status = emoji.STATUS["fully_qualified"]
    return [
        _parse(sequence, data["en"])
        for sequence, data in sorted(emoji.EMOJI_DATA.items())
        if data["status"] == status
    ]


def captions(e: Emoji) -> tuple[str, ...]:
    """Return several captions of an emoji, the plainest first."""
    if e.is_flag:
        return (f"flag of {e.name}", f"the flag of {e.name}", f"{e.name} flag")
    phrase = _with_article(e.name)
    if not e.tones:
        return tuple(dict.fromkeys((e.name, phrase, f"{e.name} emoji")))
    skin = f"{' and '.join(e.tones)} skin"
    joint = "," if re.search(", | with ", phrase) else " with"
    return (f"{e.name}, {skin} tone{'s' * (len(e.tones) > 1)}", f"{phrase}{joint} {skin}")


def held_out(emojis: Iterable[Emoji]) -> frozenset[str]:
    """Return the sequences of the test split: for two names in three, one of the five tones.

    The name's hash decides which tone, so the same ones are held out on every machine; all other
    tones of the name are in train. Both directions that a person faces are held out together.
    Couples are not held out, as train has their tones in other pairs.
    """
    emojis = list(emojis)
    couples = {e.name.split(",")[0] for e in emojis if len(e.tones) > 1}
    return frozenset(
        e.sequence
        for e in emojis
        if e.tones and e.name.split(",")[0] not in couples and e.tones[0] == _tone_held_out(e.name)
    )


def _tone_held_out(name: str) -> str | None:
    digest = hashlib.sha256(name.removesuffix(", facing right").encode()).digest()
    return TONES[digest[1] % len(TONES)] if digest[0] % 3 else None


def _parse(sequence: str, short_name: str) -> Emoji:
    short_name = short_name.strip(":").replace("’", "'")
    tones = tuple(_TONE.findall(short_name))
    if bool(tones) != any(c in _MODIFIERS for c in sequence):
        raise ValueError(f"{sequence!r} and its name {short_name!r} disagree about skin tones")
    name = _TONE.sub("", short_name).replace("_", " ")
    for pattern, replacement in _REWORDINGS:
        name = re.sub(pattern, replacement, name)
    return Emoji(sequence, name, tones)


def _with_article(name: str) -> str:
    """Put "a" or "an" before a name that looks like a singular common noun."""
    head = _PREPOSITION.split(name)[0].split()
    is_proper = not name[0].isalpha() or name[0].isupper()
    is_plural = head[0] in _SEVERAL or re.search("[^su]s$", head[-1])
    if is_proper or (is_plural and head[0] not in _ONE):
        return name
    return f"an {name}" if re.match("[aeio]|u(?!ni)", name) else f"a {name}"
