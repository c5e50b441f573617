"""The tables of fields: what they let through, and that the document says the same."""

import math

import pytest
from starlette.exceptions import HTTPException

from glide_jax.sampling.images import Frame
from glide_jax.web.serve.fields import Field, checked, described, schema_of

TABLE = (
    Field("who", "id", "a name", required=True),
    Field("text", "text", "words", high=5),
    Field("count", "integer", "how many", low=1, high=16, default=1),
    Field("share", "number", "of it", low=0, high=1, above_low=True),
    Field("way", "choice", "which", choices=("ddim", "plms"), default="ddim"),
    Field("times", "choice", "how often", choices=(1, 5)),
    Field("frame", "frame", "where"),
    Field("part", "interval", "from, to", low=0, high=1),
)
WHO = {"who": "ada-ada-ada"}


def test_what_is_left_out_has_its_default():
    assert checked(TABLE, WHO) == WHO | {"count": 1, "way": "ddim"}


def test_values_come_as_their_kinds():
    given = {"count": 3.0, "share": 1, "times": 5.0, "frame": {"left": -1, "top": 0, "side": 4}}
    found = checked(TABLE, WHO | given)
    assert found["frame"] == Frame(-1, 0, 4)
    assert checked(TABLE, WHO | {"part": [0.8, 0]})["part"] == [0.0, 0.8]
    assert (found["count"], found["times"]) == (3, 5)
    assert type(found["count"]) is type(found["times"]) is int
    assert type(found["share"]) is float


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"who": "../../etc/passwd"}, "'who' must be 8 to 64 letters"),
        ({"who": "ada-ada-ada\n"}, "'who' must be"),
        ({"text": "sixsix"}, "at most 5 characters long, and this has 6"),
        ({"text": None}, "'text' must be text"),
        ({"text": "\ud800"}, "UTF-8"),
        ({"count": 0}, "an integer from 1 to 16"),
        ({"count": True}, "an integer from 1 to 16"),
        ({"count": 1.5}, "an integer from 1 to 16"),
        ({"count": 10**400}, "an integer from 1 to 16"),
        ({"share": 0}, "a number above 0 to 1"),
        ({"share": math.nan}, "a number above 0 to 1"),
        ({"share": 10**400}, "a number above 0 to 1"),
        ({"share": "1"}, "a number above 0 to 1"),
        ({"way": "dimm"}, "one of ddim, plms"),
        ({"way": ["ddim"]}, "one of ddim, plms"),
        ({"times": True}, "one of 1, 5"),
        ({"frame": [0, 0, 4]}, "left, top and side"),
        ({"frame": {"left": 0, "top": 0}}, "'side' is missing"),
        ({"part": 0.5}, "two numbers from 0 to 1"),
        ({"part": [0, 0.5, 1]}, "two numbers from 0 to 1"),
        ({"part": [0, 2]}, "a number from 0 to 1"),
        ({"part": [0, math.nan]}, "a number from 0 to 1"),
        ({"part": [0.5, 0.5]}, "two different numbers from 0 to 1"),
        ({"cuont": 3}, "did you mean 'count'"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_one_sentence(given, sentence):
    with pytest.raises(HTTPException) as raised:
        checked(TABLE, WHO | given)
    assert raised.value.status_code == 400
    assert sentence in raised.value.detail
    assert "\n" not in raised.value.detail


def test_the_document_has_the_same_limits():
    schema = schema_of(TABLE)
    assert schema["required"] == ["who"]
    assert schema["additionalProperties"] is False
    properties = schema["properties"]
    assert set(properties) == {field.name for field in TABLE}
    assert (properties["count"]["minimum"], properties["count"]["maximum"]) == (1, 16)
    assert properties["share"]["exclusiveMinimum"] == 0
    assert properties["text"]["maxLength"] == 5
    assert properties["way"]["enum"] == ["ddim", "plms"]
    assert properties["frame"]["required"] == ["left", "top", "side"]


def test_a_page_gets_limits_of_zero_too():
    assert described(Field("seed", "integer", "it", low=0, high=9)) == {
        "name": "seed",
        "kind": "integer",
        "about": "it",
        "low": 0,
        "high": 9,
    }
