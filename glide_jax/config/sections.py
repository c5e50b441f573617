"""The sections of an experiment, its models apart."""

import dataclasses

from glide_jax.config.checks import at_least, between, one_of, require


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
        at_least(0, self, "workers")


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
        at_least(2, self, "vocab_size")
        at_least(1, self, "length")


@dataclasses.dataclass(frozen=True)
class DiffusionConfig:
    """The noising process and what the model learns of it.

    Attributes:
        schedule: `squared_cosine` or `linear` betas.
        num_steps: steps of the noising process.
        prediction: what the model's output means: `eps`, `x_0` or `v`.
        learn_variance: the model also predicts the variance of p(x_{t-1}|x_t).
        weighting: how much each noise level's error counts: `uniform` (L_simple), `min_snr`
            (Min-SNR-5), `clipped_snr` (the same, at least 1) or `p2`; see
            `glide_jax.diffusion.losses`.
        timesteps: how the steps to train at are drawn: `uniform`, or `loss_second_moment`, more
            often where the losses are larger (Improved DDPM, sec. 3.3; needs some 10 pictures of
            each step before it begins).
        vlb_weight: weight of L_vlb beside L_simple (Improved DDPM, λ of eq. 16).
    """

    schedule: str
    num_steps: int
    prediction: str
    learn_variance: bool
    weighting: str
    timesteps: str
    vlb_weight: float

    def __post_init__(self):
        one_of(("squared_cosine", "linear"), self, "schedule")
        one_of(("eps", "x_0", "v"), self, "prediction")
        one_of(("uniform", "min_snr", "clipped_snr", "p2"), self, "weighting")
        one_of(("uniform", "loss_second_moment"), self, "timesteps")
        at_least(1, self, "num_steps")
        at_least(0, self, "vlb_weight")


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How the weights are found, and what is written on the way.

    Attributes:
        init_from: the workdir whose stage of the same name has the starting weights; empty: they
            are random.
        batch_size: pictures an optimizer step, over all devices.
        microbatch_size: pictures a device sees at once, the gradients of several such being
            averaged; 0: its whole share of the batch.
        num_steps: optimizer steps.
        optimizer: `adamw`, or `muon` (Jordan et al. 2024), by which a small model learns more of
            the same pictures, at more time a step.
        learning_rate: after the warm-up.
        lr_warmup_steps: steps of linear warm-up from 0 to it.
        lr_decay: `constant`, or `cosine` to 0 at the last step.
        weight_decay: decoupled (AdamW, Loshchilov & Hutter 2019).
        clip_norm: gradients with a larger global norm are scaled down to it.
        max_skipped_steps: steps in a row that may be skipped, as their loss or gradient is no
            number; one more stops the run.
        ema_decay: of the moving average of the weights, a step.
        caption_dropout: probability that a caption is replaced by the null caption.
        low_res_noise: the largest standard deviation of the noise on an upsampler's low_res, on the
            scale of [-1, 1]; each picture has its own, from 0 to it.
        fsdp: devices that share one copy of the weights; 1: each holds a whole copy.
        log_every_steps: steps between two lines of metrics.
        checkpoint_every_steps: steps between two checkpoints.
        keep_checkpoints: checkpoints kept, the newest.
        sample_every_steps: steps between two sample grids.
    """

    init_from: str
    batch_size: int
    microbatch_size: int
    num_steps: int
    optimizer: str
    learning_rate: float
    lr_warmup_steps: int
    lr_decay: str
    weight_decay: float
    clip_norm: float
    max_skipped_steps: int
    ema_decay: float
    caption_dropout: float
    low_res_noise: float
    fsdp: int
    log_every_steps: int
    checkpoint_every_steps: int
    keep_checkpoints: int
    sample_every_steps: int

    def __post_init__(self):
        at_least(1, self, "batch_size", "num_steps", "fsdp")
        at_least(1, self, "log_every_steps", "checkpoint_every_steps", "sample_every_steps")
        at_least(1, self, "keep_checkpoints")
        at_least(0, self, "max_skipped_steps")
        at_least(0, self, "microbatch_size", "lr_warmup_steps", "weight_decay", "low_res_noise")
        one_of(("adamw", "muon"), self, "optimizer")
        one_of(("constant", "cosine"), self, "lr_decay")
        between(0, 1, self, "caption_dropout", "ema_decay")
        require(self.learning_rate > 0, self, "learning_rate", "above 0")
        require(self.clip_norm > 0, self, "clip_norm", "above 0")


@dataclasses.dataclass(frozen=True)
class SamplingConfig:
    """How pictures are drawn from a trained model.

    Attributes:
        sampler: a name of `glide_jax.diffusion.samplers`, such as `ddpm` or `ddim`.
        steps: which steps of the schedule are taken, such as `100`, `10,10,3,2,2` or `fast27`.
        eta: DDIM's stochasticity: 0 deterministic, 1 as DDPM.
        guidance_scale: s of uncond + s (cond - uncond); 1: no guidance.
        temperature: standard deviation of the noise that the sampler starts from.
        low_res_noise: standard deviation of the noise on an upsampler's low_res, on the scale of
            [-1, 1].
        batch_size: pictures drawn at once.
    """

    sampler: str
    steps: str
    eta: float
    guidance_scale: float
    temperature: float
    low_res_noise: float
    batch_size: int

    def __post_init__(self):
        between(0, 1, self, "eta")
        at_least(0, self, "guidance_scale", "temperature", "low_res_noise")
        at_least(1, self, "batch_size")


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
        at_least(1, self, "num_captions")


SINKS = ("jsonl", "tensorboard", "wandb")


@dataclasses.dataclass(frozen=True)
class WatchingConfig:
    """How a run is watched.

    Attributes:
        sinks: where figures go: `jsonl` (metrics.jsonl, which report.png is drawn from),
            `tensorboard`, `wandb` (Weights & Biases, an extra).
        profile_steps: the first and the last of the steps of each stage that are traced; empty:
            none is.
    """

    sinks: tuple[str, ...]
    profile_steps: tuple[int, ...]

    def __post_init__(self):
        for name in self.sinks:
            require(name in SINKS, self, "sinks", f"some of {', '.join(SINKS)}")
        steps = self.profile_steps
        good = not steps or (len(steps) == 2 and 1 <= steps[0] <= steps[1])
        require(good, self, "profile_steps", "(), or the first and the last, such as (10, 12)")
