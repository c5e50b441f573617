"""State dicts as training code saves them → the model's keys and tensors alone.

Training code wraps a state dict in a dict of other things, puts a prefix before every key and
stores counters beside the weights. What can only be meant one way is undone here; the rest is
refused by name.
"""

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from glide_jax.errors import UserError

WRAPPERS = ("state_dict", "model_state_dict", "model", "ema_state_dict", "ema", "module")
"""Keys under which training code saves a state dict beside its optimizer and the like."""

PREFIXES = ("module.", "_orig_mod.", "ema_model.", "model.")
"""Prefixes that keys get from DataParallel, torch.compile, an average of the weights, Lightning."""

_EMA, _ONLINE = "ema_model.", "online_model."


class _Array(Protocol):
    """A NumPy array, or one that is not read yet."""

    @property
    def size(self) -> int: ...

    @property
    def dtype(self) -> Any: ...


A = TypeVar("A", bound=_Array)


def unwrapped(content: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """The state dict in a checkpoint, or the checkpoint itself if it holds none.

    Raises:
        UserError: it holds several state dicts, and which one is meant can't be known.
    """
    found = [key for key in WRAPPERS if isinstance(content.get(key), Mapping)]
    if len(found) > 1:
        names = ", ".join(map(repr, found))
        raise UserError(f"it holds several state dicts ({names}): save the wanted one alone")
    return content[found[0]] if found else content


def plain(arrays: Mapping[str, A]) -> dict[str, A]:
    """A state dict without counters and without prefixes that all its keys have.

    Counters are integers or booleans of one element. Of a model saved with its average
    (`online_model.` and `ema_model.`), the average is kept: it is what sampling uses.

    Raises:
        UserError: some keys have a prefix of PREFIXES and the others, or some of them, have
            another, so that the file holds several models.
    """
    kept = {key: array for key, array in arrays.items() if not _is_counter(array)}
    if all(key.startswith((_EMA, _ONLINE)) for key in kept):
        kept = {key: array for key, array in kept.items() if key.startswith(_EMA)} or kept
    while kept:
        found = {next((p for p in PREFIXES if key.startswith(p)), "") for key in kept}
        if found == {""}:
            return kept
        if len(found) > 1:
            names = ", ".join(sorted(found - {""}))
            others = " and others without" if "" in found else ""
            raise UserError(
                f"it holds keys that begin with {names}{others}: save one model's state dict alone"
            )
        (prefix,) = found
        kept = {key.removeprefix(prefix): array for key, array in kept.items()}
    return kept


def _is_counter(array: _Array) -> bool:
    return array.size == 1 and array.dtype.kind in "biu"
