"""Imagen's Efficient U-Net beside the plain one."""

from glide_jax.experiments.claim import Arm, Claim, Trained
from glide_jax.experiments.measures.enlarged import Enlarged
from glide_jax.experiments.verdict import Difference

_COMMON = (
    "text_pretraining=none",
    "stages.base=none",
    "stages.upsampler_128=none",
    "evaluation=none",
    # The same captions: they need not be encoded again.
    "text.embeddings={RUNS}/imagen_quickstart/text_embeddings",
)

_PLAIN = (
    "stages.upsampler.model.layout=adm",
    "stages.upsampler.model.channel_mult=(1,2,4)",
    "stages.upsampler.model.num_res_blocks=1",
    "stages.upsampler.model.attention_resolutions=(16,)",
    "stages.upsampler.model.self_attention_resolutions=(16,)",
    "stages.upsampler.model.skip_scale=none",
)
"""The quickstart's upsampler, in Imagen's family."""

_STEPS = {"plain": 244, "efficient": 300}
"""Of training: as many as take an equal time. 60 steps of each were timed in turns, on two cores
beside other work, where the clock says little: they took 0.613 and 0.499 seconds of the processor a
step, the medians, for batches of 8 images."""


def _trained(kind: str, changes: tuple[str, ...]) -> Trained:
    steps = f"stages.upsampler.training.num_steps={_STEPS[kind]}"
    return Trained("imagen_quickstart", (*_COMMON, *changes, steps), own=True)


CLAIM = Claim(
    says="Trained for an equal time, an upsampler with the Efficient U-Net enlarges images better "
    "than one with the plain U-Net",
    paper="Imagen, Saharia et al. 2022, arXiv 2205.11487",
    where="sections 2.5 and 4.4, figure A.14",
    figure="curves of FID by days of training, the Efficient U-Net's below; no table; 2 to 3 times "
    "as many steps a second",
    trained={
        "upsampler_plain": _trained("plain", _PLAIN),
        "upsampler_efficient": _trained("efficient", ()),
    },
    split="compositional",
    rows=128,
    seeds=(1, 2, 3),
    arms=tuple(Arm(kind, Enlarged(f"upsampler_{kind}", {})) for kind in _STEPS),
    scores=("prompt_truth", "respects", "distance"),
    comparisons=(
        Difference("prompt_truth", "efficient", "plain"),
        Difference("distance", "plain", "efficient"),
    ),
)
