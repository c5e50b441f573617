import json
import re
from collections import Counter

import pytest

from glide_jax.data.shapes.captions import describe
from glide_jax.data.shapes.scene import (
    BACKGROUNDS,
    COLOURS,
    CONVERSE,
    PLAIN,
    SHAPES,
    generator,
    relation_holds,
    sample_scene,
)

RELATION_WORDS = {
    "left": "left of",
    "right": "right of",
    "above": "above",
    "over": "above",
    "top": "above",
    "below": "below",
    "under": "below",
    "beneath": "below",
    "bottom": "below",
}
SIZE_WORDS = {"small": "small", "little": "small", "large": "large", "big": "large"}
COUNT = 3000


@pytest.fixture(scope="module")
def captioned():
    scenes = [sample_scene("train", i) for i in range(COUNT)]
    return [(s, describe(s, generator("train", i, 1), False)) for i, s in enumerate(scenes)]


def understand(text):
    """Read a caption as a person would, knowing nothing of the templates."""
    words = re.findall(r"[a-z]+", text)
    shapes = [i for i, word in enumerate(words) if word in SHAPES]
    objects = []
    for start, at in zip([-1, *shapes], shapes, strict=False):
        size = [SIZE_WORDS[word] for word in words[start + 1 : at] if word in SIZE_WORDS]
        # "a small cross, purple": the colour follows where it does not lead.
        colour = [word for word in words[start + 1 : at] + words[at + 1 :] if word in COLOURS]
        objects.append({"shape": words[at], "colour": colour[0], "size": size[0] if size else None})
    standing = [i for i, word in enumerate(words) if word in RELATION_WORDS]
    if standing and not shapes[0] < standing[0] < shapes[1]:
        objects.reverse()  # "above a square is a ring", "a square with a ring above it"
    ground = [w.replace("gray", "grey") for w in words if w.replace("gray", "grey") in BACKGROUNDS]
    return {
        "objects": objects,
        "relation": RELATION_WORDS[words[standing[0]]] if standing else None,
        "background": ground[0] if ground else None,
    }


def test_facts_are_exactly_what_the_words_say(captioned):
    for _, caption in captioned:
        assert understand(caption.text) == caption.facts, caption.text


def test_facts_are_true_of_the_scene(captioned):
    for scene, caption in captioned:
        held = {(o.shape, o.colour): o for o in scene.objects}
        said = [held[o["shape"], o["colour"]] for o in caption.facts["objects"]]
        assert Counter(said) == Counter(scene.objects)
        for o, asserted in zip(said, caption.facts["objects"], strict=True):
            assert asserted["size"] in (None, o.size)
        assert caption.facts["background"] in (None, scene.background)
        if caption.facts["relation"] is not None:
            dx, dy = said[0].x - said[1].x, said[0].y - said[1].y
            assert relation_holds(caption.facts["relation"], dx, dy)


def test_what_is_said_and_left_out_varies(captioned):
    facts = [(scene, caption.facts) for scene, caption in captioned]
    two = [(scene, f) for scene, f in facts if scene.relation is not None]
    related = [(scene, f) for scene, f in two if f["relation"] is not None]
    assert 0.4 < len(two) / COUNT < 0.6
    assert 0.88 < len(related) / len(two) < 0.96
    converse = sum(f["relation"] == CONVERSE[scene.relation] for scene, f in related)
    assert 0.4 < converse / len(related) < 0.6
    plain = [f["background"] for scene, f in facts if scene.background == PLAIN]
    assert 0.45 < len(plain) / COUNT < 0.65
    assert 0.2 < sum(ground == PLAIN for ground in plain) / len(plain) < 0.3
    assert all(f["background"] for scene, f in facts if scene.background != PLAIN)
    sized = [o["size"] is not None for _, f in facts for o in f["objects"]]
    assert 0.5 < sum(sized) / len(sized) < 0.7
    assert len({caption.text for _, caption in captioned}) > 0.9 * COUNT


def test_the_relation_is_never_left_out_when_it_must_be_said():
    for i in range(200):
        scene = sample_scene("compositional", i)
        facts = describe(scene, generator("compositional", i, 1), True).facts
        assert (facts["relation"] is None) == (scene.relation is None)


def test_captions_are_short_lower_case_english_with_the_right_article(captioned):
    for _, caption in captioned:
        assert re.fullmatch(r"[a-z]+(,? [a-z]+)*", caption.text)
        assert len(caption.text.split()) <= 20
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", caption.text)


def test_facts_survive_json(captioned):
    for _, caption in captioned[:50]:
        assert json.loads(json.dumps(caption.facts)) == caption.facts
