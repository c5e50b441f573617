"""Assertions about error messages."""

import pytest

from glide_jax.errors import UserError


def refused(action, *words):
    """The one line that an action must fail with; it has all these words."""
    with pytest.raises(UserError) as caught:
        action()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    return message
