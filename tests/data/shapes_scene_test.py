import itertools

import numpy as np
import pytest

from glide_jax.data.shapes import scene as scenes

HORIZONTAL = ("left of", "right of")


@pytest.fixture(scope="module")
def splits():
    return {
        split: [scenes.sample_scene(split, i) for i in range(count)]
        for split, count in scenes.SPLITS.items()
    }


def pairs(scene):
    return {(o.shape, o.colour) for o in scene.objects}


def relations(scene):
    """The relation of shapes and its converse, which is the same image."""
    if scene.relation is None:
        return set()
    first, second = (o.shape for o in scene.objects)
    converse = scenes.CONVERSE[scene.relation]
    return {(first, scene.relation, second), (second, converse, first)}


@pytest.mark.newest
def test_training_and_test_never_show_what_is_held_out(splits):
    for scene in splits["train"] + splits["test"]:
        assert not any(scenes.is_held_out_pair(*pair) for pair in pairs(scene))
        assert not any(scenes.is_held_out_relation(*triple) for triple in relations(scene))


def test_training_shows_everything_else(splits):
    shown_pairs = set().union(*map(pairs, splits["train"]))
    shown_relations = set().union(*map(relations, splits["train"]))
    assert len(shown_pairs) == 48 - 8
    assert len(shown_relations) == 144 - 24
    assert {o.colour for s in splits["train"] for o in s.objects} == set(scenes.COLOURS)
    assert {s.background for s in splits["train"]} == set(scenes.BACKGROUNDS)


def test_every_compositional_scene_shows_something_new(splits):
    shown_pairs = set().union(*map(pairs, splits["train"]))
    shown_relations = set().union(*map(relations, splits["train"]))
    new_pairs, new_relations = set(), set()
    for scene in splits["compositional"]:
        unseen = pairs(scene) - shown_pairs, relations(scene) - shown_relations
        assert any(unseen)
        new_pairs |= unseen[0]
        new_relations |= unseen[1]
    assert len(new_pairs) == 8
    assert len(new_relations) == 24


def test_every_shape_colour_and_relation_is_known_apart(splits):
    # Held-out pairs are of known parts: each shape keeps most colours, each colour most shapes.
    shown = set().union(*map(pairs, splits["train"]))
    for shape in scenes.SHAPES:
        assert sum(pair[0] == shape for pair in shown) >= 6
    for colour in scenes.COLOURS:
        assert sum(pair[1] == colour for pair in shown) >= 5


def test_no_scene_is_shown_twice(splits):
    everything = list(itertools.chain(*splits.values()))
    assert len(set(everything)) == len(everything)


def test_a_scene_depends_on_its_split_and_index_only(splits):
    for split in scenes.SPLITS:
        assert scenes.sample_scene(split, 7) == splits[split][7]
    assert scenes.sample_scene("train", 7) != scenes.sample_scene("test", 7)


def test_objects_stand_inside_apart_and_as_the_relation_says(splits):
    for scene in itertools.chain(*splits.values()):
        for o in scene.objects:
            low, high = scenes.SIZES[o.size]
            assert low <= o.across <= high
            assert (o.across >= scenes.SIZE_LIMIT) == (o.size == "large")
            for centre in (o.x, o.y):
                assert 0.02 < centre - o.across / 2 < centre + o.across / 2 < 0.98
        if scene.relation is not None:
            first, second = scene.objects
            dx, dy = first.x - second.x, first.y - second.y
            assert scenes.relation_holds(scene.relation, dx, dy)
            assert max(abs(dx), abs(dy)) > (first.across + second.across) / 2 + 0.05
            assert max(abs(dx), abs(dy)) > 2 * min(abs(dx), abs(dy))


def test_exactly_one_relation_holds_between_two_places():
    rng = np.random.default_rng(0)
    for dx, dy in rng.normal(size=(100, 2)):
        holding = [r for r in scenes.RELATIONS if scenes.relation_holds(r, dx, dy)]
        assert len(holding) == 1
        assert scenes.relation_holds(scenes.CONVERSE[holding[0]], -dx, -dy)
    assert scenes.relation_holds("left of", -1, 0)
    assert scenes.relation_holds("above", 0, -1)


def test_colours_lie_far_apart():
    grounds = list(scenes.BACKGROUNDS.values())
    objects = itertools.combinations(scenes.COLOURS.values(), 2)
    shown = itertools.product(scenes.COLOURS.values(), grounds)
    assert min(map(_distance, [*objects, *shown])) > 100
    assert min(map(_distance, itertools.combinations(grounds, 2))) > 50


def _distance(pair):
    return np.linalg.norm(np.subtract(*pair))


def test_a_label_is_the_object_that_one_reads_first(splits):
    for scene in splits["train"][:500]:
        first = min(scene.objects, key=lambda o: o.x if scene.relation in HORIZONTAL else o.y)
        assert scenes.CLASSES[scenes.label_of(scene)] == f"{first.colour} {first.shape}"
    assert len(set(scenes.CLASSES)) == 48
    labels = {scenes.label_of(scene) for scene in splits["train"]}
    assert len(labels) == 40, "the pairs that training shows"
