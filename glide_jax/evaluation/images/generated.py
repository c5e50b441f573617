"""Images of a model, generated once and kept: a run that was stopped goes on where it was.

    FOLDER/made_from.json     what the images are a function of, beside their index
           000000.png …       image i: a function of (seed, i), its prompt and the settings

A batch that was not finished is sampled again as a batch, so that the images have the same bits
however often the run was stopped. Processes that only have the folder in common share the batches
out; those of one run sample each batch together, on the devices of all, and share the files out.
"""

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
from PIL import Image

from glide_jax import __version__
from glide_jax.checkpoints.fingerprint import weights_fingerprint
from glide_jax.data.source import fingerprint_of
from glide_jax.evaluation.images.files import read_files
from glide_jax.evaluation.images.image_set import ImageSet, image_set_of
from glide_jax.evaluation.prompt_sets.prompt_set import PromptSet
from glide_jax.parallel.collectives import as_first_process, wait_for_all
from glide_jax.sampling.batching import shared_evenly
from glide_jax.sampling.output import PipelineOutput, png_info, slug
from glide_jax.sampling.pipeline import Pipeline
from glide_jax.sampling.run import OnProgress, SamplingProgress
from glide_jax.writing import atomic_path

MADE_FROM = "made_from.json"
"""The file beside the images that says what they were made from."""

NOT_DECIDING = ("batch_size", "inpaint_sampler", "resamples")
"""Settings that change nothing of an image sampled from noise, but its rounding."""

_PROGRESS_EVERY = 10
"""Steps between two calls of on_progress."""


class Share(NamedTuple):
    """The part of the batches that a process samples: every `processes`-th from `process` on."""

    process: int
    processes: int

    @property
    def is_first(self) -> bool:
        """Whether this is the process that also computes the metrics."""
        return self.process == 0


class GenerationProgress(NamedTuple):
    """How far generating is.

    Attributes:
        done: images of this process's share that are finished.
        total: of its share that were not there before.
        left_s: about how many seconds are left; None: it is not known yet.
        sampling: of the batch being sampled.
    """

    done: int
    total: int
    left_s: float | None
    sampling: SamplingProgress


OnGeneration = Callable[[GenerationProgress], object]


class Guiding(NamedTuple):
    """How a pipeline's guide takes part, which no stage's config says.

    Attributes:
        settings: `clip_scale` or `classifier_scale`.
        weights: says which guide it is.
    """

    settings: Mapping[str, float]
    weights: str


UNGUIDED = Guiding({}, "")


def sampled(
    pipeline: Pipeline,
    prompts: PromptSet,
    name: str,
    seed: int,
    on_progress: OnProgress | None = None,
) -> ImageSet:
    """Images in memory, which are not kept: for as few as a training run looks at.

    Args:
        pipeline: with the settings to sample by.
        prompts: n of them.
        name: of the set.
        seed: random seed.
        on_progress: see `Pipeline`.
    """
    indices = range(len(prompts))
    output = pipeline.sample_indices(
        prompts.subjects,
        indices,
        seed=seed,
        on_progress=on_progress,
        progress_every=_PROGRESS_EVERY,
    )
    return image_set_of(output.arrays, name)


def generated(
    pipeline: Pipeline,
    prompts: PromptSet,
    name: str,
    seed: int,
    parent: Path,
    share: Share,
    on_progress: OnGeneration | None = None,
    guiding: Guiding = UNGUIDED,
) -> tuple[ImageSet, Path]:
    """Generate the images of prompts that are not there yet.

    Args:
        pipeline: with the settings to sample by, on devices of this process or of all of a run.
        prompts: n of them; image i shows row i.
        name: of the set.
        seed: random seed.
        parent: the folder of the sets; this one has a folder of its own there, named by what
            decides its images.
        share: which batches this process samples.
        on_progress: called while images are sampled; None: nobody is shown the progress.
        guiding: by the pipeline's guide.

    Returns:
        The set, whose images of other processes may not be there yet, and its folder.

    Raises:
        UserError: the models can't sample these prompts.
        DiskError: an image can't be written.
    """
    made_from = decided_by(pipeline, prompts, seed)
    if guiding.settings:
        made_from["guide"] = {"weights": guiding.weights, **guiding.settings}
    fingerprint = fingerprint_of([json.dumps(made_from, sort_keys=True)])
    folder = parent / f"{slug(name)}-{fingerprint[:12]}"
    _write_made_from(folder, made_from, share)
    paths = [folder / f"{i:06d}.png" for i in range(len(prompts))]
    missing = _missing(paths, _batch_size(pipeline, len(prompts)), share)
    _Generation(pipeline, prompts, seed, paths, guiding, on_progress).run(missing)
    wait_for_all(f"the images of {folder.name}")
    size = pipeline.stages[-1].image_size

    def batches(batch: int, rows: range | None = None):
        return read_files(paths if rows is None else paths[rows.start : rows.stop], batch)

    own = fingerprint_of([fingerprint, len(prompts)])
    return ImageSet(name, size, size, len(paths), own, batches), folder


def decided_by(pipeline: Pipeline, prompts: PromptSet, seed: int) -> dict[str, Any]:
    """What image i is a function of, beside i: ready for JSON."""
    return {
        "seed": seed,
        "prompts": {"name": prompts.name, "fingerprint": prompts.fingerprint},
        "stages": {
            stage.name: {
                "step": stage.step,
                "weights": weights_fingerprint(stage.params),
                "sampling": {
                    key: value
                    for key, value in dataclasses.asdict(stage.config.sampling).items()
                    if key not in NOT_DECIDING
                },
            }
            for stage in pipeline.stages
        },
        "version": __version__,
    }


def _write_made_from(folder: Path, made_from: Mapping[str, Any], share: Share) -> None:
    if not share.is_first or jax.process_index() or (folder / MADE_FROM).exists():
        return
    with atomic_path(folder / MADE_FROM) as part:
        part.write_text(json.dumps(made_from, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _batch_size(pipeline: Pipeline, count: int) -> int:
    size = min(pipeline.stages[0].config.sampling.batch_size, count)
    # Else devices of other processes would have nothing to do.
    return size if jax.process_count() == 1 else shared_evenly(size, pipeline.stages[0].num_devices)


def _missing(paths: Sequence[Path], size: int, share: Share) -> list[list[int]]:
    """The batches of this share in which an image is missing: the rows of each."""
    names = {path.name for path in paths[0].parent.glob("*.png")} if paths else set()
    there = as_first_process(path.name in names for path in paths)
    batches = [list(range(i, min(i + size, len(paths)))) for i in range(0, len(paths), size)]
    own = batches[share.process :: share.processes]
    return [rows for rows in own if not all(there[row] for row in rows)]


@dataclasses.dataclass
class _Generation:
    """Samples batches and writes their images."""

    pipeline: Pipeline
    prompts: PromptSet
    seed: int
    paths: Sequence[Path]
    guiding: Guiding
    on_progress: OnGeneration | None

    def run(self, batches: Sequence[Sequence[int]]) -> None:
        self._done, self._count = 0, sum(map(len, batches))
        self._timed = 0, 0.0
        # All batches are of one shape: another would compile again, and round differently.
        size = _batch_size(self.pipeline, len(self.prompts))
        for rows in batches:
            begun = time.monotonic()
            filled = [*rows, *[rows[0]] * (size - len(rows))]
            output = self.pipeline.sample_indices(
                [self.prompts.subjects[row] for row in filled],
                filled,
                seed=self.seed,
                on_progress=self._report if self.on_progress else None,
                progress_every=_PROGRESS_EVERY,
                **self.guiding.settings,
            )
            self._write(output, rows)
            # The first also compiled, which says nothing of the others.
            if self._done:
                images, seconds = self._timed
                self._timed = images + len(rows), seconds + time.monotonic() - begun
            self._done += len(rows)

    def _write(self, output: PipelineOutput, rows: Sequence[int]) -> None:
        for row, pixels, one in zip(rows, output.arrays, output.provenance, strict=False):
            is_own = row % jax.process_count() == jax.process_index()
            if not is_own or self.paths[row].exists():
                continue
            with atomic_path(self.paths[row]) as part:
                Image.fromarray(pixels).save(part, format="PNG", pnginfo=png_info(one))

    def _report(self, progress: SamplingProgress) -> None:
        assert self.on_progress is not None
        images, seconds = self._timed
        left = seconds / images * (self._count - self._done) if images else None
        self.on_progress(GenerationProgress(self._done, self._count, left, progress))
