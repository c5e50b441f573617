"""The notebook's job, from a prompt to one 256×256 image, beside PyTorch."""

import argparse

import jax
import numpy as np

from glide_jax.sampling.pipeline import Pipeline
from sampling_suite import released_size
from sampling_suite.calls import GUIDANCE
from sampling_suite.timing import Took, once, table

TEMPERATURE = 0.997


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--base-steps", default="100", metavar="N", help="of DDPM; 100")
    parser.add_argument("--upsampler-steps", default="fast27", metavar="N", help="of DDIM; fast27")
    parser.add_argument(
        "--distilled",
        nargs=2,
        metavar="N",
        help="also in so many evaluations of each model, unguided, as a distilled pair takes them",
    )
    parser.add_argument("--repeats", type=int, default=1, metavar="N")


def run(arguments: argparse.Namespace) -> None:
    """Measure and print a table."""
    steps = arguments.base_steps, arguments.upsampler_steps
    released_size.workdir(arguments.workdir)
    jobs = {"glide_jax": ours(arguments.workdir, *steps)}
    if few := arguments.distilled:
        jobs[f"glide_jax, {few[0]} + {few[1]}"] = ours(arguments.workdir, *few, few=True)
    if released_size.has_reference():
        jobs["PyTorch"] = theirs(arguments.workdir, *steps)
    print(f"{released_size.threads()} threads; {steps[0]} and {steps[1]} steps", flush=True)
    rows, compiling = [], Compiling()
    for turn in range(arguments.repeats):
        first: Took | None = None
        for name, job in jobs.items():
            compiling.seconds = 0.0
            took = once(job)
            # Compiled programs are kept for the next image, and on disk for the next start.
            took = Took(took.wall - compiling.seconds, took.cpu)
            first = first or took
            rows.append((turn, name, took.wall, compiling.seconds, took.wall / first.wall))
            print(table(("turn", "by", "seconds", "compiling", "seconds to ours"), rows[-1:]))
    print(table(("turn", "by", "seconds", "compiling", "seconds to ours"), rows))


def ours(workdir, base_steps: str, upsampler_steps: str, *, few: bool = False):
    """Our job, a call of the Pipeline.

    few: what a distilled pair computes, but for its embedding of the guidance scale, two vectors'
    products with a matrix: DDIM, and each model evaluated once a step.
    """
    overrides = [
        f"stages.base.sampling.steps='{base_steps}'",
        f"stages.upsampler.sampling.steps='{upsampler_steps}'",
    ]
    overrides += ["stages.base.sampling.sampler='ddim'"] * few
    pipe = Pipeline.load(workdir, overrides=overrides)
    scale = 1.0 if few else GUIDANCE
    return lambda: pipe(released_size.PROMPT, guidance_scale=scale).arrays


def theirs(workdir, base_steps: str, upsampler_steps: str):
    """The same job by the public code, as its notebook does it."""
    import torch
    from glide_text2im.model_creation import create_gaussian_diffusion

    models, diffusions = {}, {}
    for name, stage in released_size.stages(workdir).items():
        models[name] = released_size.reference(name, stage.model, stage.params)
        options = released_size.options(name)
        diffusions[name] = create_gaussian_diffusion(
            steps=options["diffusion_steps"],
            noise_schedule=options["noise_schedule"],
            timestep_respacing=base_steps if name == "base" else upsampler_steps,
        )
    tokenizer = models["base"].tokenizer

    def condition_on(prompts):
        rows = [tokenizer.padded_tokens_and_mask(tokenizer.encode(p), 128) for p in prompts]
        tokens, masks = zip(*rows, strict=True)
        return {"tokens": torch.tensor(tokens), "mask": torch.tensor(masks, dtype=torch.bool)}

    def guided(x_t, t, **condition):
        # The public sampler carries both halves of the doubled batch.
        half = x_t[:1]
        output = models["base"](torch.cat([half, half]), t, **condition)
        eps, variance = output[:, :3], output[:, 3:]
        conditional, unconditional = eps.chunk(2)
        one = unconditional + GUIDANCE * (conditional - unconditional)
        return torch.cat([torch.cat([one, one]), variance], dim=1)

    @torch.no_grad()
    def job() -> np.ndarray:
        condition = condition_on([released_size.PROMPT, ""])
        small = diffusions["base"].p_sample_loop(
            guided, (2, 3, 64, 64), device="cpu", clip_denoised=True, model_kwargs=condition
        )[:1]
        low_res = ((small + 1) * 127.5).round() / 127.5 - 1
        shape = (1, 3, 256, 256)
        large = diffusions["upsample"].ddim_sample_loop(
            models["upsample"],
            shape,
            noise=torch.randn(shape) * TEMPERATURE,
            device="cpu",
            clip_denoised=True,
            model_kwargs={"low_res": low_res} | condition_on([released_size.PROMPT]),
        )
        return large.numpy()

    return job


class Compiling:
    """Seconds that JAX has spent on tracing and compiling."""

    def __init__(self):
        self.seconds = 0.0
        jax.monitoring.register_event_duration_secs_listener(self._add)

    def _add(self, event: str, seconds: float, **_) -> None:
        if event.startswith("/jax/core/compile/"):
            self.seconds += seconds
