"""An experiment, as a person writes it (`configs/*.py`) and as the program sees it (dataclasses).

    configs/NAME.py, get_config() ─ load_config ─→ ConfigDict ─ experiment_from ─→ Experiment
    --config.training.batch_size=64 ┘                                 ↑ from_dict  ↓ to_dict
                                                                 the checkpoint's JSON

The dataclasses have no defaults: every value is written in a config file. Each checks its own
values; every complaint is a `UserError` that names the key by its dotted path.
"""

import ast
import dataclasses
import difflib
import fnmatch
import functools
import math
import runpy
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_collections

from glide_jax.errors import UserError

OVERRIDE = "--config."
"""How an override of one key begins on the command line."""

BASE = "base"
"""The name of the first stage."""

MAY_CHANGE = (
    "training.num_steps",
    "training.*_every_steps",
    "training.keep_checkpoints",
    "training.microbatch_size",
    "training.fsdp",
    "sampling.*",
    "evaluation.*",
    "prompts",
    "data.workers",
)
"""What may differ between a checkpoint and the run that goes on from it (the upsampler's alike).

Everything else decides what is learned: there the two must agree.
"""


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where pictures and captions come from.

    Attributes:
        source: a name of `glide_jax.data.SOURCES`, such as `shapes/64` or `folder`.
        path: the folder (source `folder`) or font; empty: the source knows its own place.
        split: the part to train on, such as `train`.
        workers: processes that decode pictures; 0: the training process does.
    """

    source: str
    path: str
    split: str
    workers: int

    def __post_init__(self):
        _at_least(0, self, "workers")


@dataclasses.dataclass(frozen=True)
class TextConfig:
    """How a caption becomes tokens.

    Attributes:
        tokenizer: a kind of `glide_jax.text`, such as `sentencepiece`.
        vocab_size: number of token ids, padding included.
        length: tokens a caption is padded or cut to.
    """

    tokenizer: str
    vocab_size: int
    length: int

    def __post_init__(self):
        _at_least(2, self, "vocab_size")
        _at_least(1, self, "length")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The U-Net and its text transformer (GLIDE, Nichol et al. 2021; ADM, Dhariwal & Nichol 2021).

    Attributes:
        image_size: pixels a side.
        low_res_size: pixels a side of the picture that is upsampled; 0: no upsampler.
        inpaint: whether the model also sees a partly masked picture.
        channels: channels at full resolution.
        channel_mult: one level of the U-Net each, half the pixels a side of the one before; it
            has `channels` times this many channels.
        num_res_blocks: residual blocks a level.
        attention_resolutions: the levels that attend, by their pixels a side.
        head_channels: channels of one attention head.
        norm_groups: groups of GroupNorm, a divisor of channels. As many groups as channels would
            take every channel's mean away, and with it the colour.
        dropout: probability that a residual block's activation is dropped.
        scale_shift_norm: time scales and shifts the norm, rather than being added before it.
        resblock_updown: residual blocks change the resolution, rather than plain convolutions.
        text_width: channels of the text transformer.
        text_layers: its layers.
        text_heads: its attention heads.
        text_padding: a learned embedding in the place of padding.
        text_final_norm: a LayerNorm after its last layer.
        dtype: what activations are computed in; weights are always float32.
    """

    image_size: int
    low_res_size: int
    inpaint: bool
    channels: int
    channel_mult: tuple[int, ...]
    num_res_blocks: int
    attention_resolutions: tuple[int, ...]
    head_channels: int
    norm_groups: int
    dropout: float
    scale_shift_norm: bool
    resblock_updown: bool
    text_width: int
    text_layers: int
    text_heads: int
    text_padding: bool
    text_final_norm: bool
    dtype: str

    def __post_init__(self):
        _at_least(1, self, "image_size", "channels", "num_res_blocks", "head_channels")
        _at_least(1, self, "norm_groups")
        _at_least(1, self, "text_width", "text_layers", "text_heads")
        _between(0, 1, self, "dropout")
        _one_of(("float32", "bfloat16"), self, "dtype")
        _require(self.channels % 2 == 0, self, "channels", "even")
        divides = self.channels % self.norm_groups == 0
        _require(divides, self, "norm_groups", f"a divisor of channels, {self.channels}")
        _require(
            len(self.channel_mult) > 0 and min(self.channel_mult) > 0,
            self,
            "channel_mult",
            "one or more positive numbers",
        )
        halvings = 2 ** (len(self.channel_mult) - 1)
        _require(
            self.image_size % halvings == 0,
            self,
            "image_size",
            f"divisible by {halvings}, as channel_mult has {len(self.channel_mult)} levels",
        )
        self._check_attention()
        _require(
            self.text_width % self.text_heads == 0,
            self,
            "text_width",
            f"divisible by text_heads, {self.text_heads}",
        )
        low = self.low_res_size
        _require(
            low == 0 or (0 < low < self.image_size and self.image_size % low == 0),
            self,
            "low_res_size",
            f"0 or a proper divisor of image_size, {self.image_size}",
        )

    def _check_attention(self):
        sizes = [self.image_size >> level for level in range(len(self.channel_mult))]
        _require(
            set(self.attention_resolutions) <= set(sizes),
            self,
            "attention_resolutions",
            f"among the levels' sizes, {sizes}",
        )
        # The middle block attends as well, at the last level's size.
        for size, mult in zip(sizes, self.channel_mult, strict=True):
            width = self.channels * mult
            if size in self.attention_resolutions or size == sizes[-1]:
                divides = width % self.head_channels == 0
                _require(
                    divides, self, "head_channels", f"a divisor of level {size}'s {width} channels"
                )


@dataclasses.dataclass(frozen=True)
class DiffusionConfig:
    """The noising process and what the model learns of it.

    Attributes:
        schedule: `squared_cosine` or `linear` betas.
        num_steps: steps of the noising process.
        prediction: what the model's output means: `eps`, `x_0` or `v`.
        learn_variance: the model also predicts the variance of p(x_{t-1}|x_t).
        vlb_weight: weight of L_vlb beside L_simple (Improved DDPM, λ of eq. 16).
    """

    schedule: str
    num_steps: int
    prediction: str
    learn_variance: bool
    vlb_weight: float

    def __post_init__(self):
        _one_of(("squared_cosine", "linear"), self, "schedule")
        _one_of(("eps", "x_0", "v"), self, "prediction")
        _at_least(1, self, "num_steps")
        _at_least(0, self, "vlb_weight")


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How the weights are found, and what is written on the way.

    Attributes:
        batch_size: pictures an optimizer step, over all devices.
        microbatch_size: pictures a device sees at once, the gradients of several such being
            averaged; 0: its whole share of the batch.
        num_steps: optimizer steps.
        learning_rate: AdamW's, after the warm-up.
        lr_warmup_steps: steps of linear warm-up from 0 to it.
        lr_decay: `constant`, or `cosine` to 0 at the last step.
        weight_decay: AdamW's, decoupled.
        clip_norm: gradients with a larger global norm are scaled down to it.
        ema_decay: of the moving average of the weights, a step.
        caption_dropout: probability that a caption is replaced by the null caption.
        low_res_noise: standard deviation of the noise on low_res, on the scale of [-1, 1].
        fsdp: devices that share one copy of the weights; 1: each holds a whole copy.
        log_every_steps: steps between two lines of metrics.
        checkpoint_every_steps: steps between two checkpoints.
        keep_checkpoints: checkpoints kept, the newest.
        sample_every_steps: steps between two sample grids.
    """

    batch_size: int
    microbatch_size: int
    num_steps: int
    learning_rate: float
    lr_warmup_steps: int
    lr_decay: str
    weight_decay: float
    clip_norm: float
    ema_decay: float
    caption_dropout: float
    low_res_noise: float
    fsdp: int
    log_every_steps: int
    checkpoint_every_steps: int
    keep_checkpoints: int
    sample_every_steps: int

    def __post_init__(self):
        _at_least(1, self, "batch_size", "num_steps", "fsdp")
        _at_least(1, self, "log_every_steps", "checkpoint_every_steps", "sample_every_steps")
        _at_least(1, self, "keep_checkpoints")
        _at_least(0, self, "microbatch_size", "lr_warmup_steps", "weight_decay", "low_res_noise")
        _one_of(("constant", "cosine"), self, "lr_decay")
        _between(0, 1, self, "caption_dropout", "ema_decay")
        _require(self.learning_rate > 0, self, "learning_rate", "above 0")
        _require(self.clip_norm > 0, self, "clip_norm", "above 0")


@dataclasses.dataclass(frozen=True)
class SamplingConfig:
    """How pictures are drawn from a trained model.

    Attributes:
        sampler: a name of `glide_jax.diffusion.samplers`, such as `ddpm` or `ddim`.
        steps: which steps of the schedule are taken, such as `100`, `10,10,3,2,2` or `fast27`.
        eta: DDIM's stochasticity: 0 deterministic, 1 as DDPM.
        guidance_scale: s of uncond + s (cond - uncond); 1: no guidance.
        temperature: standard deviation of the noise that the sampler starts from.
        batch_size: pictures drawn at once.
    """

    sampler: str
    steps: str
    eta: float
    guidance_scale: float
    temperature: float
    batch_size: int

    def __post_init__(self):
        _between(0, 1, self, "eta")
        _at_least(0, self, "guidance_scale", "temperature")
        _at_least(1, self, "batch_size")


@dataclasses.dataclass(frozen=True)
class StageConfig:
    """One stage of a cascade: a model of its own, trained on its own."""

    model: ModelConfig
    diffusion: DiffusionConfig
    training: TrainingConfig
    sampling: SamplingConfig


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """What `--mode=evaluate` measures.

    Attributes:
        splits: parts of the data set whose captions are drawn and scored.
        guidance_scales: each caption is drawn once with each.
        num_captions: captions a split.
    """

    splits: tuple[str, ...]
    guidance_scales: tuple[float, ...]
    num_captions: int

    def __post_init__(self):
        _at_least(1, self, "num_captions")


@dataclasses.dataclass(frozen=True)
class Experiment:
    """All there is to say of a run.

    Attributes:
        seed: of everything random: weights, order of the data, noise.
        data, text: shared by the stages.
        model, diffusion, training, sampling: the base stage.
        prompts: captions of the sample grids.
        evaluation: what is measured.
        upsampler: the second stage, or None.
    """

    seed: int
    data: DataConfig
    text: TextConfig
    model: ModelConfig
    diffusion: DiffusionConfig
    training: TrainingConfig
    sampling: SamplingConfig
    prompts: tuple[str, ...]
    evaluation: EvaluationConfig
    upsampler: StageConfig | None

    @property
    def stages(self) -> dict[str, StageConfig]:
        """Every stage by its name, in the order in which they draw."""
        base = StageConfig(self.model, self.diffusion, self.training, self.sampling)
        return {BASE: base} | ({"upsampler": self.upsampler} if self.upsampler else {})

    def __post_init__(self):
        _at_least(0, self, "seed")
        if self.model.low_res_size != 0:
            raise UserError("model.low_res_size must be 0: the first stage has nothing to upsample")
        if self.upsampler is not None:
            low, base = self.upsampler.model.low_res_size, self.model.image_size
            if low != base:
                raise UserError(
                    f"upsampler.model.low_res_size must be model.image_size, {base}, not {low}"
                )


def split_overrides(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Parts `--config.KEY=VALUE`, or `--config.KEY VALUE`, from the rest of a command line.

    Args:
        argv: a command line's words, such as sys.argv.

    Returns:
        The other words, and the overrides as `KEY=VALUE`, both in their order.
    """
    words, rest, overrides = list(argv), [], []
    while words:
        word = words.pop(0)
        if not word.startswith(OVERRIDE):
            rest.append(word)
            continue
        if "=" not in word and words and not words[0].startswith("-"):
            word += "=" + words.pop(0)
        overrides.append(word.removeprefix(OVERRIDE))
    return rest, overrides


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> ml_collections.ConfigDict:
    """Runs a config file's `get_config()` and changes what the overrides say.

    Args:
        path: a Python file.
        overrides: `KEY=VALUE` each, such as `training.batch_size=64`; the last one of a key wins.

    Raises:
        UserError: no such file, a mistake in it, or an override of an unknown key or wrong type.
    """
    return ml_collections.ConfigDict(_override(_run(Path(path)).to_dict(), overrides))


def experiment_from(config: ml_collections.ConfigDict) -> Experiment:
    """Checks a config and freezes it.

    Raises:
        UserError: a key is unknown or missing, or a value has a wrong type or makes no sense.
    """
    return from_dict(config.to_dict())


def with_overrides(experiment: Experiment, overrides: Sequence[str]) -> Experiment:
    """The experiment with some keys changed, each `KEY=VALUE` as for `load_config`.

    Raises:
        UserError: an override of an unknown key, of a wrong type, or that makes no sense.
    """
    return from_dict(_override(to_dict(experiment), overrides))


def to_dict(experiment: Experiment) -> dict[str, Any]:
    """The experiment as nested dicts, ready for JSON; `from_dict` turns it back."""
    return dataclasses.asdict(experiment)


def from_dict(values: Mapping[str, Any]) -> Experiment:
    """The experiment of nested dicts, where lists may stand for tuples (as in JSON).

    Raises:
        UserError: a key is unknown or missing, or a value has a wrong type or makes no sense.
    """
    return _build(Experiment, values, "")


def differences(a: Experiment, b: Experiment) -> list[str]:
    """Where two experiments differ: `training.batch_size: 64 → 32` each, a's value first."""
    return _differences(to_dict(a), to_dict(b), "")


def conflicts(checkpoint: Experiment, run: Experiment) -> list[str]:
    """The `differences` because of which a run can't go on from a checkpoint (see MAY_CHANGE)."""
    return [line for line in differences(checkpoint, run) if not _may_change(line.split(":")[0])]


def _may_change(key: str) -> bool:
    key = key.removeprefix("upsampler.")
    return any(fnmatch.fnmatchcase(key, pattern) for pattern in MAY_CHANGE)


def _differences(a: Mapping[str, Any], b: Mapping[str, Any], prefix: str) -> list[str]:
    lines = []
    for key, x in a.items():
        y = b[key]
        if isinstance(x, Mapping) and isinstance(y, Mapping):
            lines += _differences(x, y, f"{prefix}{key}.")
        elif x != y:
            shown = ["a section" if isinstance(v, Mapping) else repr(v) for v in (x, y)]
            lines.append(f"{prefix}{key}: {' → '.join(shown)}")
    return lines


# Values that make sense. The messages begin with the key; `_build` puts the path before it.


def _require(holds: bool, config: Any, name: str, what: str) -> None:
    if not holds:
        raise UserError(f"{name} must be {what}, not {getattr(config, name)!r}")


def _at_least(low: int, config: Any, *names: str) -> None:
    for name in names:
        _require(getattr(config, name) >= low, config, name, f"{low} or more")


def _between(low: int, high: int, config: Any, *names: str) -> None:
    for name in names:
        _require(low <= getattr(config, name) <= high, config, name, f"from {low} to {high}")


def _one_of(options: Sequence[str], config: Any, name: str) -> None:
    value = getattr(config, name)
    _require(value in options, config, name, f"one of {', '.join(options)}")


# Nested dicts → dataclasses, by the dataclasses' own type hints.

_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def _build(cls: type, values: Any, path: str) -> Any:
    if not isinstance(values, Mapping):
        raise UserError(f"{_dotted(path)} must be a section of keys, not {values!r}")
    hints = typing.get_type_hints(cls)
    for key in values:
        if key not in hints:
            raise _unknown(_join(path, key))
    for key in hints:
        if key not in values:
            raise UserError(f"{_dotted(path, key)} is missing; give it a value in the config file")
    fields = {key: _convert(values[key], hint, _join(path, key)) for key, hint in hints.items()}
    try:
        return cls(**fields)
    except UserError as error:
        raise UserError(_dotted(path, str(error))) from None


def _convert(value: Any, hint: Any, path: str) -> Any:
    """The value as the type hint wants it; raises UserError when it is of another type."""
    if _optional(hint) and value is None:
        return None
    if section := _section(hint):
        return _build(section, value, path)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            kind = f"a tuple, of {_KINDS[hint.__args__[0]]} each"
            raise UserError(f"{_dotted(path)} must be {kind}, not {value!r}")
        return tuple(_convert(item, hint.__args__[0], path) for item in value)
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint or (hint is float and not math.isfinite(value)):
        raise UserError(f"{_dotted(path)} must be {_KINDS[hint]}, not {value!r}")
    return value


def _optional(hint: Any) -> bool:
    return isinstance(hint, types.UnionType)


def _section(hint: Any) -> type | None:
    """The dataclass that a hint `X` or `X | None` names; None where it names none."""
    kinds = hint.__args__ if _optional(hint) else (hint,)
    found = next((kind for kind in kinds if dataclasses.is_dataclass(kind)), None)
    return typing.cast(type | None, found)


@functools.cache
def _keys(cls: type = Experiment, prefix: str = "") -> dict[str, Any]:
    """Every key there is, sections too: dotted name → type hint."""
    keys = {}
    for name, hint in typing.get_type_hints(cls).items():
        keys[prefix + name] = hint
        if section := _section(hint):
            keys |= _keys(section, f"{prefix}{name}.")
    return keys


def _unknown(dotted: str) -> UserError:
    """Of a key that isn't there: which one was probably meant."""
    same_name = [name for name in _keys() if name.endswith(f".{dotted}")]
    near = same_name or difflib.get_close_matches(dotted, _keys(), n=1)
    path = dotted.rpartition(".")[0]
    known = [name for name in _keys() if name.rpartition(".")[0] == path]
    hint = f"did you mean {_dotted(near[0])}?" if near else f"known: {', '.join(known)}"
    return UserError(f"{_dotted(dotted)}: no such key; {hint}")


def _join(*names: str) -> str:
    return ".".join(name for name in names if name)


def _dotted(*names: str) -> str:
    return _join("config", *names)


# Overrides.


def _override(values: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    for override in overrides:
        dotted, equals, text = override.partition("=")
        if not equals:
            raise UserError(f"{OVERRIDE}{dotted} has no value; write {OVERRIDE}{dotted}=VALUE")
        if dotted not in _keys():
            raise _unknown(dotted)
        _set(values, dotted, _meaning(text, _keys()[dotted]))
    return values


def _set(values: dict[str, Any], dotted: str, value: Any) -> None:
    hint = _keys()[dotted]
    if _section(hint) and value is not None:
        some = _dotted(dotted, next(iter(_keys(_section(hint)))))
        raise UserError(f"{_dotted(dotted)} is a section; set one of its keys, such as {some}")
    *path, name = dotted.split(".")
    section: Any = values
    for depth, key in enumerate(path, 1):
        section = section.setdefault(key, {})
        if not isinstance(section, dict):
            above = _dotted(*path[:depth])
            raise UserError(f"{above} is {section} in this config; {_dotted(dotted)} has no place")
    section[name] = _convert(value, hint, dotted)


def _meaning(text: str, hint: Any) -> Any:
    """What a word of the command line stands for where `hint` is expected."""
    if hint is str and text[:1] not in ("'", '"'):
        return text
    if text.lower() in ("true", "false", "none"):
        text = text.capitalize()
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        value = text  # of no kind but text; _convert says so where text is wrong
    if typing.get_origin(hint) is not tuple or isinstance(value, list | tuple):
        return value
    # 8,4 has become a tuple already; test,compositional has not.
    return tuple(part.strip() for part in text.split(",")) if value == text else (value,)


# Config files.


def _run(path: Path) -> ml_collections.ConfigDict:
    if not path.is_file():
        raise UserError(f"no config file {path}{_nearest_file(path)}")
    try:
        config = runpy.run_path(str(path))["get_config"]()
    except KeyError as error:
        if error.args != ("get_config",):
            raise _broken(path, error) from error
        raise UserError(f"{path} has no get_config(); see configs/quickstart.py") from None
    except Exception as error:
        # Whatever a config file does wrong is its writer's to read; the cause is chained.
        raise _broken(path, error) from error
    if not isinstance(config, ml_collections.ConfigDict):
        raise UserError(f"{path}: get_config() must return an ml_collections.ConfigDict")
    return config


def _broken(path: Path, error: Exception) -> UserError:
    line = getattr(error, "lineno", None)
    trace = error.__traceback__
    while line is None and trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    # A SyntaxError's text has the line once more.
    what = " ".join(str(getattr(error, "msg", error)).split())
    return UserError(f"{path}, line {line}: {type(error).__name__}: {what}")


def _nearest_file(path: Path) -> str:
    names = [file.name for file in path.parent.glob("*.py")] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean {path.parent / near[0]}?" if near else "; is the path right?"
