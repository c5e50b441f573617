"""Votes survive what people, threads, other processes, disks and kills do to them."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from evaluation.judging import judging_toys
from refusals import refused

from glide_jax.errors import UserError
from glide_jax.evaluation.judging.comparison import Assignment
from glide_jax.evaluation.judging.votes import MAX_JUDGE_LENGTH, Vote, Votes, checked_judge
from glide_jax.writing import DiskError

ROOT = Path(__file__).parents[3]
TRIALS = judging_toys.comparison(("a", "b", "c"), questions=["photorealism", "alignment"]).trials()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "votes.sqlite"


def cast(votes, judge="ada", trial=TRIALS[0], answer="left"):
    return votes.cast(judge, Assignment.of(trial, judge, votes.key), answer)


def test_what_was_cast_is_there_after_a_restart(path):
    with Votes(path) as votes:
        key, token = votes.key, votes.secret("token", "one")
        for trial, answer in ((TRIALS[0], "neither"), (TRIALS[-1], "somewhat")):
            assert cast(votes, "Ada L.", trial, answer)
        assignment = Assignment.of(TRIALS[0], "Ada L.", key)
    with Votes(path, must_exist=True) as votes:
        assert (votes.key, votes.secret("token", "two")) == (key, token) == (key, "one")
        first, second = votes.all()
        shown, own = assignment.shown, assignment.key
        prompt = TRIALS[0].prompt
        assert first == Vote("Ada L.", "photorealism", prompt, 0, shown, "neither", own)
        assert (second.shown, second.answer) == (TRIALS[-1].models, "somewhat")
        assert votes.counts("Ada L.")[TRIALS[0].id(key)] == (1, True)
        assert votes.counts("Ben")[TRIALS[0].id(key)] == (1, False)


def test_every_file_has_a_key_of_its_own(tmp_path):
    with Votes(tmp_path / "1") as one, Votes(tmp_path / "2") as other:
        assert one.key != other.key
        assert len(one.key) == 32


def test_a_second_answer_changes_nothing(path):
    with Votes(path) as votes:
        assert cast(votes, answer="left")
        assert not cast(votes, answer="right")
        assert [vote.answer for vote in votes.all()] == ["left"]


def test_an_answer_can_be_taken_back_once(path):
    with Votes(path) as votes:
        assert votes.last("ada") is None
        for trial in TRIALS[:3]:
            cast(votes, trial=trial)
        cast(votes, "ben")
        last = votes.last("ada")
        assert last == TRIALS[2].id(votes.key)
        for _ in range(2):  # a double click
            votes.take_back("ada", last)
        assert len(votes.all()) == 3
        assert votes.last("ada") == TRIALS[1].id(votes.key)
        assert cast(votes, trial=TRIALS[2])


def test_threads_of_one_judge_store_one_vote_and_of_many_all(path):
    with Votes(path) as votes, Votes(path) as second, ThreadPoolExecutor(16) as threads:
        files = (votes, second)
        stored = list(threads.map(lambda i: cast(files[i % 2], "ada"), range(32)))
        assert sum(stored) == 1
        jobs = [(f"judge {i}", trial) for i in range(8) for trial in TRIALS[:6]]
        assert all(
            threads.map(lambda i: cast(files[i % 2], jobs[i][0], jobs[i][1]), range(len(jobs)))
        )
        assert len(votes.all()) == 1 + len(jobs)
        assert votes.counts("judge 3")[TRIALS[0].id(votes.key)] == (9, True)


KILLED = """
import sys
from pathlib import Path
from glide_jax.evaluation.judging.comparison import Assignment, Trial
from glide_jax.evaluation.judging.votes import Votes
votes = Votes(Path(sys.argv[1]))
for number in range(10**6):
    trial = Trial("photorealism", "a prompt", number, ("a", "b"))
    votes.cast("ada", Assignment.of(trial, "ada", votes.key), "left")
    print(trial.id(votes.key), flush=True)
"""


def test_a_killed_process_loses_nothing_that_it_acknowledged(path):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", KILLED, path]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        acknowledged = [process.stdout.readline().strip() for _ in range(40)]
        process.send_signal(signal.SIGKILL)
        acknowledged += process.stdout.read().split("\n")[:-1]
    assert process.returncode == -signal.SIGKILL
    with Votes(path, must_exist=True) as votes:
        stored = votes.counts("ada")
        assert set(acknowledged) <= stored.keys()
        assert len(stored) <= len(acknowledged) + 1
        assert cast(votes, "ben")
    (integrity,) = sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone()
    assert integrity == "ok"


def fill(path):
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def cast_many(votes):
    for i in range(1000):
        cast(votes, f"judge {i}")


def test_a_full_disk_is_one_line_and_loses_nothing(small_disk):
    with Votes(small_disk / "votes.sqlite") as votes:
        assert cast(votes)
        filler = small_disk / "filler"
        fill(filler)
        with pytest.raises(DiskError, match="full"):
            cast_many(votes)
        count = len(votes.all())
        filler.unlink()
        assert cast(votes, "later")
        assert len(votes.all()) == count + 1


def test_a_comparison_may_grow_but_not_change(path):
    grown = judging_toys.images(("a", "b", "c"), (*judging_toys.PROMPTS, "more"))
    with Votes(path) as votes:
        votes.add_images(judging_toys.images())
        votes.add_images(judging_toys.images())
        votes.add_images(grown)
        refused(
            lambda: votes.add_images(judging_toys.images()),
            *("another comparison", "is not here", "another --votes"),
        )
        changed = [*grown[:-1], grown[-1]._replace(sha256="0")]
        refused(lambda: votes.add_images(changed), "c's image of 'more' is another one now")
        votes.add_images(grown)


def other_program(path):
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE bookmarks (url TEXT)")


def other_version(path):
    Votes(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 9")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (other_program, ["another program's", "--votes"]),
        (other_version, ["another version", "--votes"]),
        (lambda path: path.write_text("a,b\n" * 500), ["no file of votes", "--votes"]),
        (lambda path: path.write_bytes(b"SQLite format 3\0" + b"x" * 900), ["no file of votes"]),
        (lambda path: path.mkdir(), ["is a folder"]),
    ],
)
def test_another_file_is_refused_and_left_alone(make, words, path):
    make(path)
    before = None if path.is_dir() else path.read_bytes()
    refused(lambda: Votes(path), *words)
    assert path.is_dir() or path.read_bytes() == before


def test_a_missing_file_or_folder_is_refused(path):
    refused(lambda: Votes(path, must_exist=True), "there are no votes")
    refused(lambda: Votes(path / "x" / "votes"), "no folder")
    assert not path.exists()


def test_a_file_that_was_begun_and_killed_is_begun_again(path):
    path.touch()
    with Votes(path) as votes:
        assert cast(votes)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("  Ada \n Lovelace ", "Ada Lovelace"), ("e\u0301", "\u00e9"), ("猫", "猫")],
)
def test_names_are_put_in_order(name, expected):
    assert checked_judge(name) == expected


@pytest.mark.parametrize(
    "name", ["", " \n", "x" * (MAX_JUDGE_LENGTH + 1), "a\0b", "\ud800", "\u202e"]
)
def test_other_names_are_refused(name):
    with pytest.raises(UserError, match="Give a name"):
        checked_judge(name)
