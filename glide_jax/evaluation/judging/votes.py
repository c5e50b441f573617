"""Votes in SQLite: one a judge and trial, each a transaction of its own, and what they are about.

Whatever ends the process, what was acknowledged is in the file. Several processes may have it open.
"""

import contextlib
import secrets
import sqlite3
import threading
import time
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from glide_jax.errors import UserError, one_line
from glide_jax.evaluation.judging.comparison import Assignment, JudgedImage
from glide_jax.writing import DiskError

MAX_JUDGE_LENGTH = 40
"""Characters in a judge's name."""

_APPLICATION_ID = 0x676A7631
_VERSION = 1
_KEY_BYTES = 32
_TIMEOUT_S = 20

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS images (model TEXT NOT NULL, prompt TEXT NOT NULL, "
    "number INTEGER NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (model, prompt, number)) "
    "WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS votes (place INTEGER PRIMARY KEY AUTOINCREMENT, "
    "trial TEXT NOT NULL, judge TEXT NOT NULL, question TEXT NOT NULL, prompt TEXT NOT NULL, "
    "number INTEGER NOT NULL, shown_left TEXT NOT NULL, shown_right TEXT, answer TEXT NOT NULL, "
    "key INTEGER NOT NULL, "
    "unix_time_s REAL NOT NULL, UNIQUE (trial, judge))",
    f"PRAGMA application_id = {_APPLICATION_ID}",
    f"PRAGMA user_version = {_VERSION}",
)
"""A judge may answer a trial once: the last constraint of votes."""


class Vote(NamedTuple):
    """A stored vote.

    Attributes:
        judge: who gave it.
        question: its name.
        prompt, number: of the images.
        shown: the models from left to right; one where one image was shown.
        answer: one of the question's.
        key: what its sides were made of, see `Assignment`.
    """

    judge: str
    question: str
    prompt: str
    number: int
    shown: tuple[str, ...]
    answer: str
    key: int


class Votes:
    """The file of votes. Every method may be called from any thread.

    Args:
        path: of the file; made if it is not there.
        must_exist: whether a file that is not there is an error.

    Attributes:
        key: the comparison's own random key: of the ids, the sides and the orders.

    Raises:
        UserError: it is not there though it must be, can't be opened, or is no file of votes.
    """

    def __init__(self, path: Path, *, must_exist: bool = False):
        if must_exist and not path.is_file():
            raise UserError(f"there are no votes in {path}: give --votes FILE, as judges used it")
        if not path.parent.is_dir():
            raise UserError(f"there is no folder {path.parent} for {path.name}: make it first")
        if path.is_dir():
            raise UserError(f"{path} is a folder: give --votes the name of a file")
        self._path = path
        self._lock = threading.Lock()
        try:
            self._database = sqlite3.connect(
                path, timeout=_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise UserError(f"can't open {path}: {one_line(error)}") from error
        try:
            self._check()
            self.key = bytes.fromhex(self.secret("key", secrets.token_hex(_KEY_BYTES)))
        except BaseException:
            self._database.close()
            raise

    def _check(self) -> None:
        """Refuse other programs' files; make the tables of a new one, all at once."""
        try:
            with self._transaction("DEFERRED") as database:
                (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
                (application,) = database.execute("PRAGMA application_id").fetchone()
                (version,) = database.execute("PRAGMA user_version").fetchone()
            if not tables and not application:
                with self._transaction("IMMEDIATE") as database:
                    for statement in _SCHEMA:
                        database.execute(statement)
                return
        except sqlite3.DatabaseError as error:
            raise UserError(
                f"{self._path} is no file of votes ({one_line(error)}): give another --votes"
            ) from error
        if application != _APPLICATION_ID:
            raise UserError(f"{self._path} is another program's database: give another --votes")
        if version != _VERSION:
            raise UserError(
                f"{self._path} was written by another version of glide_jax: use that, or give "
                "another --votes"
            )

    def secret(self, name: str, default: str) -> str:
        """A stored secret; `default` is stored where there is none."""
        found = "SELECT value FROM secrets WHERE name = ?"
        with self._transaction("DEFERRED") as database:
            row = database.execute(found, (name,)).fetchone()
        if row is None:
            with self._transaction("IMMEDIATE") as database:
                # Another process may have been faster.
                insert = "INSERT INTO secrets VALUES (?, ?) ON CONFLICT DO NOTHING"
                database.execute(insert, (name, default))
                row = database.execute(found, (name,)).fetchone()
        return row[0]

    def add_images(self, images: Iterable[JudgedImage]) -> None:
        """Note what is judged. More models and more prompts may come later; what is there stays.

        Raises:
            UserError: the votes are of another comparison: an image of theirs is missing here, or
                is another one now.
        """
        given = {(i.model, i.prompt, i.number): i.sha256 for i in images}
        with self._transaction("IMMEDIATE") as database:
            rows = database.execute("SELECT model, prompt, number, sha256 FROM images").fetchall()
            for model, prompt, number, sha256 in rows:
                now = given.get((model, prompt, number))
                if now != sha256:
                    raise UserError(
                        f"{self._path} is of another comparison: {model}'s image of {prompt!r} "
                        f"{'is another one now' if now else 'is not here'}; give the same folders "
                        "(more may be added), or another --votes"
                    )
            database.executemany(
                "INSERT INTO images VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                [(*subject, sha256) for subject, sha256 in given.items()],
            )

    def cast(self, judge: str, assignment: Assignment, answer: str) -> bool:
        """Store a vote; it is on the disk when this returns.

        Returns:
            Whether it was stored. False: this judge has answered this trial before, and that answer
            stays.

        Raises:
            DiskError: it can't be stored.
        """
        trial, key, shown = assignment
        right = shown[1] if len(shown) == 2 else None
        row = (
            *(trial.id(self.key), judge, trial.question, trial.prompt, trial.number),
            *(shown[0], right, answer, key, time.time()),
        )
        with self._transaction("IMMEDIATE") as database:
            cursor = database.execute(
                f"INSERT INTO votes VALUES (NULL{', ?' * len(row)}) ON CONFLICT DO NOTHING",
                row,
            )
            return cursor.rowcount == 1

    def last(self, judge: str) -> str | None:
        """The trial id of a judge's last vote; None: there is none."""
        with self._transaction("DEFERRED") as database:
            row = database.execute(
                "SELECT trial FROM votes WHERE judge = ? ORDER BY place DESC LIMIT 1", (judge,)
            ).fetchone()
        return None if row is None else row[0]

    def take_back(self, judge: str, trial_id: str) -> None:
        """Delete a judge's vote on a trial, if there is one.

        Raises:
            DiskError: it can't be deleted.
        """
        with self._transaction("IMMEDIATE") as database:
            database.execute("DELETE FROM votes WHERE trial = ? AND judge = ?", (trial_id, judge))

    def counts(self, judge: str) -> dict[str, tuple[int, bool]]:
        """Trial id → (its votes, whether one of them is this judge's), of those with votes."""
        with self._transaction("DEFERRED") as database:
            rows = database.execute(
                "SELECT trial, count(*), max(judge = ?) FROM votes GROUP BY trial", (judge,)
            ).fetchall()
        return {trial: (count, bool(own)) for trial, count, own in rows}

    def all(self) -> list[Vote]:
        """Every vote, the oldest first."""
        with self._transaction("DEFERRED") as database:
            rows = database.execute(
                "SELECT judge, question, prompt, number, shown_left, shown_right, answer, key "
                "FROM votes ORDER BY place"
            ).fetchall()
        return [
            Vote(judge, question, prompt, number, shown, answer, key)
            for judge, question, prompt, number, left, right, answer, key in rows
            for shown in [(left,) if right is None else (left, right)]
        ]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def __enter__(self) -> "Votes":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _transaction(self, kind: str) -> Iterator[sqlite3.Connection]:
        """All of the body or nothing. IMMEDIATE: it writes, and other processes wait."""
        with self._lock:
            try:
                self._database.execute(f"BEGIN {kind}")
                try:
                    yield self._database
                    self._database.execute("COMMIT")
                except BaseException:
                    with contextlib.suppress(sqlite3.Error):
                        self._database.execute("ROLLBACK")
                    raise
            except sqlite3.OperationalError as error:
                raise DiskError(
                    f"can't use {self._path}: {one_line(error)}; put that right and try again: "
                    "what was stored before is complete"
                ) from error


def checked_judge(name: str) -> str:
    """A judge's name, spaces put in order.

    Raises:
        UserError: it is empty, too long, or has characters that can't be shown.
    """
    name = unicodedata.normalize("NFC", " ".join(name.split()))
    if not name:
        raise UserError("Give a name or initials.")
    if len(name) > MAX_JUDGE_LENGTH:
        raise UserError(f"Give a name of at most {MAX_JUDGE_LENGTH} characters.")
    if not name.isprintable():
        raise UserError("Give a name of characters that can be shown.")
    return name
