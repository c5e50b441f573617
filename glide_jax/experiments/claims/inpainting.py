"""A model that was fine-tuned to inpaint, beside putting the known pixels back.

The holes are large: what a smaller one leaves of a shape shows the rest of it, and every way of
filling it is right.
"""

from glide_jax.experiments.claim import SHARED, Arm, Claim, Trained
from glide_jax.experiments.measures.inpainted import Inpainted
from glide_jax.experiments.verdict import AtLeast, Difference

TUNED, REPAINT, REPLACED = "fine-tuned", "RePaint, 10 times a step", "replacement"

_STEPS = {"steps": "20"}

CLAIM = Claim(
    says="A model that was fine-tuned to inpaint fits what it paints to its surroundings and the "
    "caption better than RePaint, and than replacing the known pixels at every step, and keeps the "
    "surroundings",
    paper="GLIDE, Nichol et al. 2021, arXiv 2112.10741; RePaint, Lugmayr et al. 2022, arXiv "
    "2201.09865",
    where="GLIDE's section 4.3",
    figure="artefacts at the edges without fine-tuning, by the eye; no number",
    trained={
        "quickstart": SHARED["quickstart"],
        "inpaint": Trained(
            "quickstart",
            (
                "text_pretraining=none",
                "stages.upsampler=none",
                "evaluation=none",
                "stages.base.model.inpaint=True",
                "stages.base.training.init_from={RUNS}/quickstart",
                "stages.base.training.num_steps=1000",
                "stages.base.training.learning_rate=1e-3",
            ),
            own=True,
        ),
    },
    split="compositional",
    rows=192,
    seeds=(1, 2, 3),
    arms=(
        Arm(REPLACED, Inpainted("quickstart", _STEPS | {"resamples": 1})),
        Arm(REPAINT, Inpainted("quickstart", _STEPS | {"resamples": 10})),
        Arm(TUNED, Inpainted("inpaint", _STEPS)),
    ),
    scores=("prompt_truth", "respects", "border", "kept"),
    comparisons=(
        Difference("border", REPAINT, TUNED),
        Difference("border", REPLACED, TUNED),
        Difference("prompt_truth", TUNED, REPAINT),
        Difference("prompt_truth", TUNED, REPLACED),
        AtLeast("kept", TUNED, 0.9),
    ),
)
