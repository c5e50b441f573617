"""What the options of guided-diffusion's models have in common, and what has no option there."""

from collections.abc import Iterable, Mapping

from glide_jax.config import DenoiserConfig, UNetConfig
from glide_jax.errors import UserError

NUM_CLASSES = 1000
NORM_GROUPS = 32

Own = Mapping[int, tuple[float, ...]]
"""Image size → the channel_mult that is the reference's default."""

CHANNEL_MULT: Own = {
    512: (0.5, 1, 1, 2, 2, 4, 4),
    256: (1, 1, 2, 2, 4, 4),
    128: (1, 1, 2, 3, 4),
    64: (1, 2, 3, 4),
}
"""Of base models and classifiers."""

UPSAMPLER_CHANNEL_MULT: Own = {
    512: (1, 1, 2, 2, 4, 4),
    256: (1, 1, 2, 2, 4, 4),
    64: (1, 2, 3, 4),
}


def own_channel_mult(size: int, own: Own) -> tuple[float, ...]:
    """The reference's default channel_mult for a size. Raises UserError if it has none."""
    if size not in own:
        sizes = ", ".join(map(str, sorted(own)))
        raise UserError(
            f"options: the reference has no default channel_mult for {size} pixels, only for "
            f"{sizes}: give channel_mult"
        )
    return own[size]


def channel_mult(listed: str, size: int, own: Own) -> tuple[float, ...]:
    """An option `"1,2,3,4"`, or `""` for the reference's default at that size.

    Raises:
        UserError: as `numbers`, or as `own_channel_mult`.
    """
    return numbers("channel_mult", listed) if listed else own_channel_mult(size, own)


def channel_mult_option(config: UNetConfig, own: Own) -> str:
    """The inverse of `channel_mult`. Raises UserError for fractions, which have no option."""
    mult = config.channel_mult
    if mult == own.get(config.image_size):
        return ""
    require(all(float(m).is_integer() for m in mult), f"channel_mult={mult}")
    return _listed(int(m) for m in mult)


def numbers(name: str, listed: str) -> tuple[int, ...]:
    """An option `"32,16,8"` → (32, 16, 8). Raises UserError for anything else."""
    try:
        found = tuple(int(number) for number in listed.split(","))
    except ValueError:
        found = ()
    if not found or min(found) < 1:
        raise UserError(f"options: {name} must be a list such as '32,16,8', not {listed!r}")
    return found


def attending(listed: str, size: int, num_levels: int) -> tuple[int, ...]:
    """The image sizes of the levels with attention; other numbers in the list are ignored."""
    rates = {size // resolution for resolution in numbers("attention_resolutions", listed)}
    return tuple(size >> level for level in range(num_levels) if 1 << level in rates)


def attention_option(config: UNetConfig) -> str:
    """The inverse of `attending`. The reference can't read an empty list."""
    nowhere = 2 * config.image_size
    return _listed(config.attention_resolutions or (nowhere,))


def require_norm_groups(config: UNetConfig) -> None:
    """Raises UserError unless the groups are the reference's, which has no option for them."""
    require(config.norm_groups == NORM_GROUPS, f"norm_groups={config.norm_groups}")


def require_no_aug_level(config: DenoiserConfig) -> None:
    """Raises UserError for an upsampler that is conditioned on its augmentation level."""
    require(not config.aug_level_conditioning, "aug_level_conditioning=True")


def require_no_guidance_range(config: DenoiserConfig) -> None:
    """Raises UserError for a model that is conditioned on the guidance scale."""
    require(not config.guidance_range, f"guidance_range={config.guidance_range}")


def require_channel_mult(config: UNetConfig, own: Own) -> None:
    """Raises UserError unless channel_mult is the reference's default for the size."""
    size, mult = config.image_size, config.channel_mult
    require(own.get(size) == mult, f"channel_mult={mult} at {size} pixels")


def require(holds: bool, what: str) -> None:
    """Raises UserError, that the reference has no option for `what`, unless `holds`."""
    if not holds:
        raise UserError(f"the reference can't build a model with {what}: it has no option for it")


def _listed(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))
