"""Writes docs/claims.md, what became of the papers' claims: python docs/make_claims.py [FOLDER]

With FOLDER, such as runs/experiments, it first takes the results that are there, of the declared
size, as docs/claims/NAME.json and NAME.png. Every number of the page is from those files.
"""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from glide_jax.experiments.claim import SHARED, Claim, command_of, declared
from glide_jax.experiments.registry import CLAIMS, find_claim
from glide_jax.experiments.scores import SCORES
from glide_jax.experiments.tables import figure, finding, why

PAGE = Path(__file__).parent / "claims.md"
RESULTS = Path(__file__).parent / "claims"

NOTES = {
    "guidance": "Each is ahead of the one before, and no interval is above 0. Earlier runs: of "
    "the quickstart's own base model, undecided: right in 95.1 % (92.4 … 96.8) without guidance, "
    "in 94.3 % (91.3 … 96.3) by CLIP's and in 96.9 % (94.0 … 98.4) by classifier-free guidance; "
    "and of a model whose text encoder had been trained for 1,500 steps and did not know yet "
    "which word belongs to which, not reproduced: 22.7, 28.6 and 26.8 %. There CLIP's guidance "
    "had something to mend (+6.0 points, +2.8 … +9.3), and classifier-free guidance made more of "
    "what the model believed, which was wrong in nearly every second respect (Elo by respects "
    "−79.2, −105.5 … −53.1, to CLIP's).",
    "reranking": "The best of 4 is worth 7 points, and of 8 no more. Earlier runs: of the "
    "quickstart's own base model, undecided: one sample was right in 92.7 % (89.1 … 95.2), the "
    "best of 8 in 93.5 % (89.4 … 96.1); and of a model whose text encoder had been trained for "
    "1,500 steps, reproduced: 20.6 % of one sample, 31.2 % of the best of 4 (+10.7 points, +7.0 … "
    "+14.8), and the best of 8 to the best of 2 +4.2 (+0.3 … +8.4).",
    "thresholding": "A first run, of 128 captions and seeds 1 to 3, was undecided: at scale 15 "
    "dynamic thresholding was right in 4.2 points (−0.3 … +8.6) more, 12.5 % to 8.3 %; at 3 and 7 "
    "the two were alike. That it saturates fewer pixels says less than it seems: of the data's own "
    "images at this size 55 % of the values are -1 or 1 (white, and pure colours), and dynamic "
    "thresholding leaves about half a percent by construction.",
    "few_steps": "At this scale the equation is stiff for these models: within a step x_0_hat goes "
    "from one colour to another, and solvers of higher order, which take slopes further than they "
    "hold, overshoot: PLMS most, then Heun's method and DPM-Solver++. The paper finds that of the "
    "high-order solvers before its own, and keeps its own in bounds by dynamic thresholding, where "
    "here x_0_hat is clipped to [-1, 1]. Euler's method is DDIM here. Half of DDIM's images are "
    "wrong too: 7.5 is too much guidance for these models. A look at 32 captions at scale 3 has "
    "DPM-Solver++ nearer, 0.028 to DDIM's 0.038.",
    "guidance_interval": "At scale 7 it is worth 30 points, and at 3 nothing that 128 captions "
    "show. Earlier runs were undecided too: of the quickstart's own base model, which is right in "
    "99 % at scale 3 (−0.3 points, −1.8 … +1.1, and +23.4, +17.5 … +29.8, at 7), and of one with "
    "a text encoder that was trained too short (+1.8, −0.3 … +3.9, at 3).",
    "wordings": "The comparison of colours says less than it seems. By the eye MiniLM's model has "
    "whole objects in other colours, and the learned encoder's pale and broken ones in any: what "
    "is right are shapes and places, and neither knows the new words (4 % and 1 % of the images "
    "are right). New words for sizes do little harm to MiniLM's, names of shapes the same to both. "
    "In the old words the learned encoder's model is ahead, by 23 points of prompt truth.",
    "classifier_guidance": "There is no trade to be had: without guidance 99 % of the samples lie "
    "among the data already, as the features of the CLIP trained here see it. What a classifier is "
    "for it does, and 2.5 times as often if it was trained on noised images: it leads an "
    "unconditional model to its class, of which chance shows 1.6 %.",
    "noised_clip": "Neither does anything for this model, which is right in 49.0 % without "
    "guidance (see `guidance`). An earlier run, of a model whose text encoder had been trained too "
    "short, was undecided too (+0.5 points, −1.3 … +2.3, and +0.8, −1.3 … +2.8).",
    "null_captions": "Without null captions guidance does harm, and the more the larger its "
    "scale; with them it helps, up to a scale. Unguided the model without them is ahead, 86 % to "
    "50 %: a fifth of the captions is much of so short a training. Earlier runs were undecided: "
    "of 64 captions (+1.6 points, −2.6 … +5.7, and +9.4, −1.0 … +19.8), and of models whose text "
    "encoder had been trained for 1,500 steps and did not know yet which word belongs to which, "
    "right in a fifth of the captions at any scale (+0.8, −1.5 … +3.0, and +6.0, +1.0 … +11.1).",
    "inpainting": "A first run, of 64 images and holes of half the side, decided nothing: all "
    "three were right in 98 to 100 %, so that the rule counted equal ones against the claim, and "
    "at the border the fine-tuned model was nearer by 0.016 (−0.001 … +0.034) than either. So the "
    "holes are of three quarters of the side now, and the images 192.",
    "learned_variance": "The bits are as the paper has them. The samples are not: of models "
    "trained this short one caption in ten is right, and what 10 to 100 steps of DDPM do for "
    "that, the variance does not.",
    "efficient_unet": "Prompt truth is at its ceiling, with one image of 384 wrong by the plain "
    "U-Net's upsampler and three by the Efficient one's: the rule counts that against the claim. "
    "The distance to the true images, which has no ceiling, is as the claim says.",
    "importance_sampling": "Thirty times less. The interval of the uniform one is wide because of "
    "64 batches six make 98 % of it.",
    "retrieval": "The paper says no number; chance is 1.6 %, which is all that is left at t = T.",
}
"""Name → what its figures don't say by themselves, written once they are there; of a claim that was
declared anew, what the first run gave, which is said here alone."""

START = """# The papers' claims

Findings of the papers that this project implements, each tested by one command on models so small
that two CPU cores train them, with the scorer of `shapes` as judge. What doesn't hold here may hold
at the paper's size: a claim that is not reproduced says something of models of a million weights
and images of 16×16 pixels, or that something is wrong in this code.

```
glide-jax experiment                  # lists the claims
glide-jax experiment guidance         # runs one; what was stopped goes on
```

They need trained workdirs, which they share, and some train models of their own:

```
{COMMANDS}
```

**The rule**, the same for all and written before the data were there
(`glide_jax/experiments/verdict.py`): a claim is a few comparisons, each a difference that the paper
says is above a number, mostly 0. It is *reproduced* if the 95 % interval of every one of them is
above its number, *not reproduced* if that of any is at or below it, and *undecided* otherwise. Each
arm is measured with three seeds on the same captions; a caption's seeds are averaged, and the
interval is the paired bootstrap's over captions; that of a single share is Wilson's. Seeds are of
the noise: an interval says what other captions and noise would give, not what other trainings
would.

**The papers' figures** of GLIDE, ADM, DALL-E and Imagen are those of the papers' own text, read in
public copies; the tables of Improved DDPM and of the guidance interval, and what Ho & Salimans say
of null captions, were compared with notes that repeat them, DPM-Solver++ with its abstract.

"""

END = """
`python docs/make_claims.py runs/experiments` takes results from there and writes this page.
"""


def render() -> str:
    """The page."""
    results = {name: result_of(name) for name in CLAIMS}
    shared = [command_of(name, trained, Path("runs")) for name, trained in SHARED.items()]
    parts = [START.replace("{COMMANDS}", "\n".join(shared)), summary(results)]
    parts += [section(name, result) for name, result in results.items() if result]
    return "".join([*parts, END])


def result_of(name: str) -> dict[str, Any] | None:
    """The result of a claim; None: it was not run yet."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def differs(claim: Claim, result: Mapping[str, Any]) -> str:
    """What a result is of, other than what the claim declares now; "": nothing."""
    declares = {
        "split": claim.split,
        "rows": claim.rows,
        "seeds": list(claim.seeds),
        "trained": sorted(claim.trained),
        "arms": [[arm.name, json.loads(json.dumps(declared(arm.measure)))] for arm in claim.arms],
        "comparisons": [[one.text, one.above] for one in claim.comparisons],
    }
    found = {
        **{key: result[key] for key in ("split", "rows", "seeds")},
        "trained": sorted(result["trained"]),
        "arms": [[arm["name"], arm["measured"]] for arm in result["arms"]],
        "comparisons": [[one["text"], one["above"]] for one in result["findings"]],
    }
    return ", ".join(key for key in declares if declares[key] != found[key])


def summary(results: Mapping[str, dict[str, Any] | None]) -> str:
    """The table of all claims."""
    parts = [_table("", "claim", "paper", "its figure", "ours", "why")]
    for name, result in results.items():
        claim = find_claim(name)
        link = f"[`{name}`](#{name})" if result else f"`{name}`"
        ours = ("not run yet", NOTES.get(name, ""))
        if result:
            ours = (f"**{result['verdict']}**", why(result))
        parts.append(_row(link, claim.says, f"{claim.paper}, {claim.where}", claim.figure, *ours))
    return "".join(parts)


def section(name: str, result: Mapping[str, Any]) -> str:
    """A claim's own part of the page."""
    claim = find_claim(name)
    minutes = max(1, round(result["seconds"] / 60))
    versions, seeds = result["versions"], ", ".join(map(str, result["seeds"]))
    own = [w["command"] for w in result["trained"].values() if w["by_the_experiment"]]
    scores = [s for s in SCORES if any(s in arm["figures"] for arm in result["arms"])]
    parts = [
        f"\n## {name}\n\n{claim.says}. **{result['verdict'].capitalize()}.** {NOTES.get(name, '')}",
        f"\n\n`{result['command']}`: {result['rows']} rows of `{result['split']}`, seeds {seeds}; ",
        f"{minutes} min, beside other work; glide_jax {versions['glide_jax']}, jax ",
        f"{versions['jax']}, Python {versions['python']}.\n\n",
        "".join(f"It trains `{command}`.\n\n" for command in own),
        _table("arm", *(SCORES[score].title for score in scores)),
        *(_row(arm["name"], *_cells(arm["figures"], scores)) for arm in result["arms"]),
        "\n",
        _table("comparison", "difference", "the claim"),
        *(_row(one["text"], finding(one), one["outcome"]) for one in result["findings"]),
    ]
    if (RESULTS / f"{name}.png").exists():
        parts.append(f"\n![{claim.says}](claims/{name}.png)\n")
    return "".join(parts)


def take(folder: Path) -> None:
    """Copy the results of a folder of experiments that are of the declared size."""
    RESULTS.mkdir(exist_ok=True)
    for name in CLAIMS:
        path = folder / name / "result.json"
        if not path.exists():
            continue
        if other := differs(find_claim(name), json.loads(path.read_text("utf-8"))):
            print(f"{path}: left out, it has other {other} than the claim declares")
            continue
        shutil.copyfile(path, RESULTS / f"{name}.json")
        shutil.copyfile(path.with_name("plot.png"), RESULTS / f"{name}.png")


def _cells(figures: Mapping[str, Any], scores: Sequence[str]) -> list[str]:
    return [figure(score, figures[score]) if score in figures else "" for score in scores]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def _table(*columns: str) -> str:
    return _row(*columns) + _row(*["---"] * len(columns))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        take(Path(sys.argv[1]))
    PAGE.write_text(render(), "utf-8")
