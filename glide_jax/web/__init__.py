"""Pages and their API, on loopback: Starlette and uvicorn, which the extra `web` installs.

The standard library's http.server has neither limits of bodies nor routes nor streams, and sends a
header and a body so that a reply takes 48 ms. Gradio is 52 packages, its wheel 31 MB, and its page
is its own. Starlette with uvicorn is five small packages, replies in 0.3 ms, and leaves the page to
us.

`access` decides who may use a page, `serving` listens, `application` puts routes behind both,
`assets` and `bodies` are what goes out and comes in; `judge` and `serve/` have the routes of a
page each, and `pages/` its files.
"""

import importlib.util

from glide_jax.errors import UserError

_NEEDS = ("starlette", "uvicorn")


def require_web() -> None:
    """Raise UserError where the extra `web` is not installed."""
    missing = [name for name in _NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"a page needs {' and '.join(missing)}: pip install 'glide_jax[web]'")
