"""ADM's classifier guidance: precision and recall by its scale, and a classifier without noise."""

from glide_jax.experiments.claim import SHARED, SHORT, Arm, Claim, Trained
from glide_jax.experiments.measures.classified import Classified
from glide_jax.experiments.verdict import Difference

_CLASSIFIERS = {"noised": "classifier_noised", "not noised": "classifier_not_noised"}
_SCALES = (1, 4)
_SETTINGS = {"sampler": "ddpm", "steps": "25", "guidance_scale": 1.0}


def _trained(timesteps: str) -> Trained:
    changes = (f"stages.classifier.diffusion.timesteps={timesteps}",)
    return Trained("classifier_quickstart", changes, own=True)


def _measure(classifier: str, scale: int) -> Classified:
    # The null caption: ADM's classifiers guide its unconditional models too.
    return Classified("short", _SETTINGS, "clip_quickstart", classifier, float(scale))


def _arm(kind: str, scale: int) -> Arm:
    return Arm(f"{kind}, {scale}", _measure(_CLASSIFIERS[kind], scale), f"{kind} classifier", scale)


CLAIM = Claim(
    says="Guidance by a classifier raises precision and lowers recall, and a classifier that was "
    "trained on noised images leads to its classes better than one that was not",
    paper="ADM, Dhariwal & Nichol 2021, arXiv 2105.05233",
    where="section 4.3, table 4",
    figure="of an unconditional model of ImageNet-256, precision 0.61 without guidance, 0.76 with "
    "scale 10; recall 0.63 and 0.44. Its classifiers are trained on noised images; of others it "
    "has no figure",
    trained={
        **SHORT,
        "clip_quickstart": SHARED["clip_quickstart"],
        "classifier_noised": _trained("uniform"),
        # The same but for the noise.
        "classifier_not_noised": _trained("first"),
    },
    split="test",
    rows=128,
    seeds=(1, 2, 3),
    arms=(
        Arm("no classifier", _measure("", 0), "no classifier", 0),
        *(_arm(kind, scale) for kind in _CLASSIFIERS for scale in _SCALES),
    ),
    scores=("class_shown", "precision", "recall"),
    comparisons=(
        Difference("precision", "noised, 4", "no classifier"),
        Difference("recall", "no classifier", "noised, 4"),
        Difference("class_shown", "noised, 4", "no classifier"),
        *(Difference("class_shown", f"noised, {s}", f"not noised, {s}") for s in _SCALES),
    ),
    x_label="classifier's scale",
)
