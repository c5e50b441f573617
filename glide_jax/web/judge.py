"""The routes of `glide-jax judge`: what judges see says nothing of which model made an image."""

import functools
import logging
from hashlib import sha256
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from glide_jax.data.images import decode, encode_png
from glide_jax.errors import UserError
from glide_jax.evaluation.judging.assigning import Assigner
from glide_jax.evaluation.judging.comparison import Assignment, Comparison, image_id
from glide_jax.evaluation.judging.questions import QUESTIONS
from glide_jax.evaluation.judging.votes import Votes, checked_judge
from glide_jax.web.access import Access
from glide_jax.web.application import build_application
from glide_jax.web.assets import page_routes
from glide_jax.web.bodies import read_json, text_field

_LOG = logging.getLogger(__name__)

_CACHED_IMAGES = 64
_NO_TRIAL = "There is no such trial: reload the page."


def judge_application(comparison: Comparison, votes: Votes, access: Access) -> ASGIApp:
    """The page and its API.

    GET /api/next?judge=NAME is what the judge is to answer next; POST /api/votes {"judge", "trial",
    "answer"} stores an answer, and POST /api/undo {"judge", "trial"} deletes one and asks again.
    All three reply {"trial": TRIAL or null, "answered": N, "total": N, "last": the id of the trial
    that the judge answered last, or null}, and the second "stored", which is false where this trial
    had an answer already.

    Args:
        comparison: what is judged; its images are noted in `votes`.
        votes: so far.
        access: who may use the page.
    """
    votes.add_images(comparison.images.values())
    page = _Judging(comparison, votes)
    routes = [
        *page_routes(["common", "judge"]),
        Route("/api/next", page.next),
        Route("/api/votes", page.vote, methods=["POST"]),
        Route("/api/undo", page.undo, methods=["POST"]),
        Route("/images/{id}.png", page.image),
    ]
    return build_application(routes, access)


class _Judging:
    def __init__(self, comparison: Comparison, votes: Votes):
        self._comparison = comparison
        self._votes = votes
        self._assigner = Assigner(comparison, votes)
        self._images = {image_id(i, votes.key): i for i in comparison.images.values()}
        self._png = functools.lru_cache(_CACHED_IMAGES)(self._read_png)

    async def next(self, request: Request) -> Response:
        judge = checked_judge(request.query_params.get("judge", ""))
        return await run_in_threadpool(self._reply, judge)

    async def vote(self, request: Request) -> Response:
        fields = await read_json(request)
        judge = checked_judge(text_field(fields, "judge"))
        trial_id, answer = text_field(fields, "trial"), text_field(fields, "answer")
        return await run_in_threadpool(self._cast, judge, trial_id, answer)

    async def undo(self, request: Request) -> Response:
        fields = await read_json(request)
        judge, trial_id = checked_judge(text_field(fields, "judge")), text_field(fields, "trial")
        return await run_in_threadpool(self._undo, judge, trial_id)

    async def image(self, request: Request) -> Response:
        id_ = request.path_params["id"]
        if id_ not in self._images:
            raise HTTPException(404, "There is no such image.")
        try:
            data = await run_in_threadpool(self._png, id_)
        except (OSError, UserError) as error:
            _LOG.warning("%s; nothing more is asked of it until the next start", error)
            self._assigner.withdraw(self._images[id_])
            raise HTTPException(
                410, "An image can't be read any more, so here is the next one."
            ) from None
        headers = {"cache-control": "private, max-age=86400, immutable"}
        return Response(data, media_type="image/png", headers=headers)

    def _read_png(self, id_: str) -> bytes:
        """The pixels alone: the file's text says which model made it."""
        image = self._images[id_]
        data = image.path.read_bytes()
        if sha256(data).hexdigest() != image.sha256:
            raise UserError(f"{image.path} has been changed")
        return encode_png(decode(data, str(image.path)))

    def _cast(self, judge: str, trial_id: str, answer: str) -> Response:
        assignment = self._assigner.find(trial_id, judge)
        if assignment is None:
            raise HTTPException(404, _NO_TRIAL)
        if answer not in QUESTIONS[assignment.trial.question].answers:
            raise HTTPException(400, f"There is no answer {answer[:40]!r} to this question.")
        return self._reply(judge, stored=self._votes.cast(judge, assignment, answer))

    def _undo(self, judge: str, trial_id: str) -> Response:
        again = self._assigner.find(trial_id, judge)
        if again is None:
            raise HTTPException(404, _NO_TRIAL)
        self._votes.take_back(judge, trial_id)
        return self._reply(judge, again)

    def _reply(self, judge: str, again: Assignment | None = None, **more: bool) -> Response:
        """What comes next, or once more, and how far the judge is."""
        assignment, answered = self._assigner.next(judge)
        trial = again or assignment
        last = self._votes.last(judge)
        reply = {
            "trial": None if trial is None else self._shown(trial),
            "answered": answered,
            "total": self._assigner.total,
            # It may be of a question that is not asked now.
            "last": last if last and self._assigner.find(last, judge) else None,
        }
        return JSONResponse(reply | more)

    def _shown(self, assignment: Assignment) -> dict[str, Any]:
        trial, question = assignment.trial, QUESTIONS[assignment.trial.question]
        images = [self._comparison.image_of(trial, model) for model in assignment.shown]
        return {
            "id": trial.id(self._votes.key),
            "question": question.text,
            "caption": trial.prompt if question.shows_caption else None,
            "images": [f"/images/{image_id(image, self._votes.key)}.png" for image in images],
            "answers": [{"value": v, "label": label} for v, label in question.answers.items()],
        }
