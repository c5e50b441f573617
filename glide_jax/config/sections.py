"""The sections of an experiment but the models: data, text, diffusion, training, sampling, …

A key that only some model families have is in a subclass: a denoiser's `DiffusionConfig` adds to
the `NoiseConfig` of every stage, and `TrainingConfig` grows into that of a guide and of a denoiser.
"""

import dataclasses

from glide_jax.config.checks import (
    DTYPES,
    MAX_PROCESSORS,
    at_least,
    between,
    is_local,
    is_path,
    one_of,
    require,
)
from glide_jax.config.fine_tuning import AdapterConfig, DistillationConfig, check_init_from

MAX_LENGTH = 2**16
"""Tokens of a caption; that many of each of a data set's are a number that is not meant."""


@dataclasses.dataclass(frozen=True)
class PriorConfig:
    """Images that a fine-tuned model must not forget, mixed among its own (Ruiz et al. 2022).

    Attributes:
        source, path, split: as in `data`; such as a folder of images that the base has sampled.
        share: p, of all images; the weight of their loss is λ = p / (1 - p) times that of the
            others, so that 0.5 is DreamBooth's λ = 1.
    """

    source: str
    path: str
    split: str
    share: float

    def __post_init__(self):
        require(0 < self.share < 1, self, "share", "above 0 and below 1")


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where images and captions come from.

    Attributes:
        source: a name in `data.SOURCES` and its variant, such as `shapes/64` or `folder`.
        path: where its files are, such as the folder of images; empty: the source's own default.
        split: the part to train on, such as `train`.
        workers: processes that decode images; 0: the training process decodes them.
        prior: images that are mixed among them; None: none are.
    """

    source: str
    path: str
    split: str
    workers: int
    prior: PriorConfig | None

    def __post_init__(self):
        at_least(0, self, "workers", below=MAX_PROCESSORS + 1)


@dataclasses.dataclass(frozen=True)
class TextConfig:
    """How a caption becomes tokens.

    Attributes:
        tokenizer: a name in `text.KINDS`, such as `sentencepiece`.
        vocab_size: number of token ids, padding included.
        length: tokens that a caption is padded or cut to.
    """

    tokenizer: str
    vocab_size: int
    length: int

    def __post_init__(self):
        at_least(2, self, "vocab_size")
        at_least(1, self, "length", below=MAX_LENGTH)


@dataclasses.dataclass(frozen=True)
class FrozenTextConfig:
    """How a caption becomes the embeddings of a frozen text encoder (Saharia et al. 2022, Imagen).

    Attributes:
        encoder: a name in `encoders.ENCODERS`, such as `t5-v1_1-xxl` or `minilm`.
        weights: folder with its weights and its tokenizer; empty: where its own package has them.
        embeddings: folder that `glide-jax encode` wrote; empty: a run encodes its captions first,
            into its workdir.
        length: tokens that a caption is padded or cut to.
        padding: whether the model also reads the encoder's output at padding, as DeepFloyd IF
            does; if not, it is 0 there.
        cleaning: what is done to a caption first: `none`, or `deepfloyd_if`, the lower-casing and
            clearing of links, markup and odd characters that IF was trained with.
        dtype: that the encoder computes in, `float32` or `bfloat16`. Embeddings are stored in
            bfloat16.
    """

    encoder: str
    weights: str
    embeddings: str
    length: int
    padding: bool
    cleaning: str
    dtype: str

    def __post_init__(self):
        at_least(1, self, "length", below=MAX_LENGTH)
        one_of(("none", "deepfloyd_if"), self, "cleaning")
        one_of(DTYPES, self, "dtype")
        is_local(self, "weights")
        is_path(self, "embeddings")


@dataclasses.dataclass(frozen=True)
class NoiseConfig:
    """The noising process.

    Attributes:
        schedule: of the betas, `squared_cosine`, `cosine`, of continuous time, or `linear`; a name
            in `diffusion.schedule.BETAS`.
        num_steps: T, the number of steps of the noising process.
        timesteps: how t is sampled in training: `uniform`, or `loss_second_moment`, more often
            where losses are larger (Improved DDPM, Nichol & Dhariwal 2021, sec. 3.3), once every t
            has had 10 images, or `first`, t = 0 alone, of a CLIP that is not noised; a name in
            `diffusion.timesteps.TIMESTEPS`.
    """

    schedule: str
    num_steps: int
    timesteps: str

    def __post_init__(self):
        at_least(1, self, "num_steps")


@dataclasses.dataclass(frozen=True)
class DiffusionConfig(NoiseConfig):
    """The noising process, and what a denoiser learns from it.

    Attributes:
        prediction: what the model predicts: `eps`, `x_0` or `v`; a name in
            `diffusion.gaussian.PREDICTIONS`.
        learn_variance: whether the model also predicts the variance of p(x_{t-1} | x_t).
        weighting: the weight of each noise level's error: `uniform` (L_simple), `min_snr`
            (Min-SNR-5), `clipped_snr` (the same, at least 1), `truncated_snr` (SNR, at least 1) or
            `p2`; a name in `diffusion.losses.WEIGHTINGS`.
        vlb_weight: weight of L_vlb beside L_simple (Improved DDPM, λ of eq. 16).
    """

    prediction: str
    learn_variance: bool
    weighting: str
    vlb_weight: float

    def __post_init__(self):
        super().__post_init__()
        at_least(0, self, "vlb_weight")


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How weights are optimized, and what a run writes meanwhile.

    Attributes:
        batch_size: images in an optimizer step, over all devices.
        microbatch_size: images that one device processes at once; the gradients of several
            microbatches are averaged. 0: a device's whole share of the batch.
        num_steps: number of optimizer steps.
        optimizer: `adamw`, or `muon` (Jordan et al. 2024), which takes a small model further on the
            same images and more time a step; a name in `training.optimizer.OPTIMIZERS`.
        learning_rate: after the warm-up.
        lr_warmup_steps: steps of linear warm-up from 0.
        lr_decay: `constant`, or `cosine` to 0 at the last step.
        weight_decay: decoupled (AdamW, Loshchilov & Hutter 2019).
        clip_norm: gradients with a larger global norm are scaled down to this one.
        max_skipped_steps: how many steps in a row may be skipped because their loss or gradient
            is not finite; one more stops the run.
        ema_decay: of the exponential moving average of the weights, per step.
        fsdp: number of devices that share one copy of the weights; 1: each holds its own.
        log_every_steps: steps between two lines of metrics.
        checkpoint_every_steps: steps between two checkpoints.
        keep_checkpoints: how many checkpoints are kept, the newest.
    """

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
    fsdp: int
    log_every_steps: int
    checkpoint_every_steps: int
    keep_checkpoints: int

    def __post_init__(self):
        at_least(1, self, "batch_size", "num_steps", "fsdp")
        at_least(1, self, "log_every_steps", "checkpoint_every_steps", "keep_checkpoints")
        at_least(0, self, "max_skipped_steps", "microbatch_size", "lr_warmup_steps", "weight_decay")
        one_of(("constant", "cosine"), self, "lr_decay")
        between(0, 1, self, "ema_decay")
        require(self.learning_rate > 0, self, "learning_rate", "above 0")
        require(self.clip_norm > 0, self, "clip_norm", "above 0")


@dataclasses.dataclass(frozen=True)
class GuideTrainingConfig(TrainingConfig):
    """How a guide is trained, and what a denoiser's training has in common with it.

    Attributes:
        init_from: workdir whose stage of the same name holds the initial weights; empty: random
            ones.
    """

    init_from: str

    def __post_init__(self):
        super().__post_init__()
        is_path(self, "init_from")


@dataclasses.dataclass(frozen=True)
class DenoiserTrainingConfig(GuideTrainingConfig):
    """How a stage that generates images is trained.

    Attributes:
        caption_dropout: probability that a caption is replaced by the null caption, for
            classifier-free guidance.
        max_aug_level: noise-conditioning augmentation: the largest `aug_level`, see
            `SamplingConfig`; each image's is uniform from 0.
        crop_size: pixels a side of the random part of each image that an upsampler is trained on
            (Saharia et al. 2022, sec. 4.1); 0: all of it.
        sample_every_steps: steps between two sample grids.
        adapter: what is trained in place of the weights of `init_from`, which stay as they are;
            None: the weights.
        distillation: whose student the model is; None: it learns from the data alone.
    """

    caption_dropout: float
    max_aug_level: float
    crop_size: int
    sample_every_steps: int
    adapter: AdapterConfig | None
    distillation: DistillationConfig | None

    def __post_init__(self):
        super().__post_init__()
        check_init_from(self.init_from, self.adapter, self.distillation)
        between(0, 1, self, "caption_dropout")
        at_least(0, self, "max_aug_level", "crop_size")
        at_least(1, self, "sample_every_steps")


@dataclasses.dataclass(frozen=True)
class SamplingConfig:
    """How a stage is sampled.

    Attributes:
        sampler: a name in `diffusion.samplers.SAMPLERS`, such as `ddpm` or `ddim`.
        inpaint_sampler: the sampler of inpainting; a name in `diffusion.samplers.SAMPLERS`.
        steps: which steps of the schedule are taken, such as `100`, `10,10,3,2,2`, `fast27` or
            `smart50`, see `kept_timesteps`.
        eta: DDIM's stochasticity: 0 deterministic, 1 as DDPM.
        guidance_scale: s of uncond + s (cond - uncond); 1: no guidance.
        guidance_interval: (low, high): guidance where low ≤ t / num_steps < high, 0 the clean end;
            outside it only the conditional model is evaluated (Kynkäänniemi et al. 2024).
            (0, 1): everywhere.
        dynamic_threshold: the quantile of dynamic thresholding (Saharia et al. 2022, Imagen, sec.
            2.3), such as 0.995; None: static thresholding, x_0_hat clipped to [-1, 1].
        threshold_cap: the most that dynamic thresholding divides by, such as DeepFloyd IF's 1.5;
            None: no cap. Not read where dynamic_threshold is None.
        temperature: standard deviation of the noise that sampling starts from.
        aug_level: of the noise on an upsampler's low_res: its standard deviation, on the scale of
            [-1, 1]; Imagen's, from 0 to 1, is the time of the noising process, see
            `diffusion.augmentation`.
        resamples: how often RePaint takes each step, to inpaint with a model that was not trained
            to (Lugmayr et al. 2022); 1: once.
        cache_interval: n: the deep part of the network is evaluated at every n-th step alone, and
            its features are kept for the steps between (DeepCache, Ma et al. 2023); 1: at every
            step.
        batch_size: images sampled at once.
    """

    sampler: str
    inpaint_sampler: str
    steps: str
    eta: float
    guidance_scale: float
    guidance_interval: tuple[float, ...]
    dynamic_threshold: float | None
    threshold_cap: float | None
    temperature: float
    aug_level: float
    resamples: int
    cache_interval: int
    batch_size: int

    @property
    def is_guided_everywhere(self) -> bool:
        """Whether the guidance interval is the whole process."""
        return tuple(self.guidance_interval) == (0, 1)

    def __post_init__(self):
        between(0, 1, self, "eta")
        at_least(0, self, "guidance_scale", "temperature", "aug_level")
        at_least(1, self, "resamples", "cache_interval", "batch_size")
        quantile, interval = self.dynamic_threshold, self.guidance_interval
        what = "none, or a quantile above 0 and at most 1, such as 0.995"
        require(quantile is None or 0 < quantile <= 1, self, "dynamic_threshold", what)
        cap = self.threshold_cap
        require(cap is None or cap >= 1, self, "threshold_cap", "none, or a number of 1 or more")
        rising = len(interval) == 2 and 0 <= interval[0] < interval[1] <= 1
        what = "two rising numbers from 0 to 1, such as (0.2, 0.8)"
        require(rising, self, "guidance_interval", what)


@dataclasses.dataclass(frozen=True)
class PeriodicEvaluationConfig:
    """A small evaluation of a stage's averaged weights, again and again during its training.

    Attributes:
        every_steps: optimizer steps between two; the last step is evaluated if they divide it.
        stages: whose weights are evaluated, by the images that they and the stages before make;
            those that an experiment leaves out are not.
        split: whose captions, or classes, are sampled with the stages' own settings.
        num_captions: of the split.
        metrics: names in `evaluation.registry.METRICS`, of images.
        reference: what images are compared with: an .npz, a folder of images, or a split; empty:
            no metric compares them.
        net: of metrics of features: `inception`, or `efficientnet_lite0`.
        best_by: the number, of any of the metrics, whose best weights of each of `stages` are kept
            in WORKDIR/best; empty: none are.
    """

    every_steps: int
    stages: tuple[str, ...]
    split: str
    num_captions: int
    metrics: tuple[str, ...]
    reference: str
    net: str
    best_by: str

    def __post_init__(self):
        at_least(1, self, "every_steps", "num_captions")
        for name in ("stages", "metrics"):
            require(bool(getattr(self, name)), self, name, "one or more")


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """How samples are scored: after training, during it, and by `glide-jax evaluate`.

    Attributes:
        splits: parts of the data set whose captions are sampled and scored.
        guidance_scales: each caption is sampled once with each.
        num_captions: captions of each split.
        periodic: evaluations during training; None: there are none.
    """

    splits: tuple[str, ...]
    guidance_scales: tuple[float, ...]
    num_captions: int
    periodic: PeriodicEvaluationConfig | None

    def __post_init__(self):
        at_least(1, self, "num_captions")


@dataclasses.dataclass(frozen=True)
class MonitoringConfig:
    """Where a run's metrics go, and which of its steps are profiled.

    Attributes:
        sinks: where metrics go: `jsonl` (metrics.jsonl, which report.png is plotted from),
            `tensorboard`, `wandb` (Weights & Biases, an extra); names in
            `training.monitoring.sinks.SINKS`.
        profile_steps: the first and the last step of each stage that are traced by the profiler;
            empty: none are.
    """

    sinks: tuple[str, ...]
    profile_steps: tuple[int, ...]

    def __post_init__(self):
        steps = self.profile_steps
        good = not steps or (len(steps) == 2 and 1 <= steps[0] <= steps[1])
        require(good, self, "profile_steps", "(), or the first and the last, such as (10, 12)")
