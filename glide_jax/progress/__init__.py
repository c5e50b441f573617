"""How far something is: of all commands, in one way.

Who works gives a `TaskProgress` to a `Line`. What the line does with it was chosen by whoever
started the process (`progress_choice`): a bar for each task with an image below, a line of text, a
JSON object, or nothing.
"""

from glide_jax.progress.choice import MODES, PREVIEWS, Choice, current_choice, progress_choice
from glide_jax.progress.counter import Counter
from glide_jax.progress.line import Line, say
from glide_jax.progress.task_progress import TaskProgress, clock_face

__all__ = [
    "MODES",
    "PREVIEWS",
    "Choice",
    "Counter",
    "Line",
    "TaskProgress",
    "clock_face",
    "current_choice",
    "progress_choice",
    "say",
]
