"""Who may make an artifact: one at a time, and nobody for ever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace

import psutil
import pytest

from pipeline.artifacts import lock as module
from pipeline.artifacts.lock import Lock
from pipeline.storage import Folder
from schemas.errors import BpkdError, UserError


@pytest.fixture(params=["file", "memory"])
def folder(request, tmp_path):
    folder = Folder(f"{tmp_path}/a" if request.param == "file" else f"memory://{tmp_path.name}")
    yield folder
    folder.remove()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "RENEW", 0.05)
    monkeypatch.setattr(module, "DEAD", 0.5)
    monkeypatch.setattr(module, "LOOK", 0.01)


def write(folder: Folder, **changes) -> None:
    """The lock of a process of this machine that has gone, with changes."""
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    holder = {"machine": module._machine(), "process": gone.pid, "started": 1.0, "token": "t", "renewals": 3}
    folder.write("lock.json", json.dumps({**holder, **changes}).encode())


def test_one_holds_it_and_the_next_after_it(folder):
    first, second = Lock(folder, "lock.json"), Lock(folder, "lock.json")
    first.acquire()
    with pytest.raises(BpkdError, match=rf"is being made by process {os.getpid()} on "):
        second.acquire()
    second.release()
    assert folder.exists("lock.json")
    first.release()
    assert not folder.exists("lock.json")
    third = Lock(folder, "lock.json")
    third.acquire()
    third.release()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"process": os.getpid(), "started": psutil.Process().create_time()},  # of a lock that it holds no more
    ],
)
def test_the_lock_of_a_process_that_has_gone_is_taken_over_at_once(folder, changes, monkeypatch):
    monkeypatch.setattr(module, "DEAD", 1000)
    write(folder, **changes)
    lock = Lock(folder, "lock.json")
    lock.acquire()
    lock.release()


def test_the_lock_of_a_process_at_work_is_refused(folder):
    parent = psutil.Process(os.getppid())
    write(folder, process=parent.pid, started=parent.create_time())
    with pytest.raises(BpkdError, match=f"process {parent.pid} on"):
        Lock(folder, "lock.json").acquire()


@pytest.mark.parametrize("renewed", [True, False])
def test_another_machine_counts_as_dead_once_it_renews_no_more(folder, renewed):
    said: list[str] = []
    write(folder, machine="elsewhere")
    stop = threading.Event()

    def renew() -> None:
        number = 3
        while renewed and not stop.wait(0.05):
            number += 1
            write(folder, machine="elsewhere", renewals=number)

    thread = threading.Thread(target=renew)
    thread.start()
    lock = Lock(folder, "lock.json", said.append)
    try:
        if renewed:
            with pytest.raises(BpkdError, match=r"process \d+ on elsewhere"):
                lock.acquire()
        else:
            lock.acquire()
    finally:
        stop.set()
        thread.join()
        lock.release()
    assert "waiting up to" in said[0] and len(said) == 1


def test_a_number_that_is_in_use_again_is_watched(folder):
    said: list[str] = []
    write(folder, process=os.getppid(), started=1.0)
    lock = Lock(folder, "lock.json", said.append)
    lock.acquire()
    lock.release()
    assert "waiting up to" in said[0]


def test_a_lock_that_a_crash_cut_short_is_taken_over(folder):
    folder.write("lock.json", b'{"machine": "a')
    lock = Lock(folder, "lock.json")
    lock.acquire()
    lock.release()


@pytest.mark.parametrize("surely", [True, False])
@pytest.mark.parametrize("now", ["another's", "gone"])
def test_who_lost_the_lock_while_paused_stops(folder, now, surely):
    lock = Lock(folder, "lock.json")
    lock.acquire()
    lock.require(surely=True)

    def take() -> None:
        if now == "gone":
            folder.remove("lock.json")
        else:
            write(folder, machine="elsewhere", token="other")

    take()
    deadline = time.monotonic() + 30
    while not surely and lock._renewer.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
        if lock._read() == lock._self:  # a renewal that was under way has slipped through
            take()
    with pytest.raises(BpkdError, match="was taken over by"):
        lock.require(surely=True)
    with pytest.raises(BpkdError, match="was taken over by"):  # and for good
        lock.require()
    lock.release()
    assert folder.exists("lock.json") == (now != "gone")


def test_of_many_that_take_over_at_once_one_is_left(folder):
    write(folder)
    locks = [Lock(folder, "lock.json") for _ in range(6)]
    start, won = threading.Barrier(6), []

    def take(lock: Lock) -> None:
        start.wait()
        try:
            lock.acquire()
            won.append(lock)
        except BpkdError:
            pass

    threads = [threading.Thread(target=take, args=[lock]) for lock in locks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    won[0].require(surely=True)
    won[0].release()


def test_who_found_it_dead_and_comes_late_is_refused(folder, monkeypatch):
    write(folder)
    early, late = Lock(folder, "lock.json"), Lock(folder, "lock.json")
    take = late._take

    def slowly(name: str) -> None:
        if name != "lock.json":  # the claim: by now another has taken the lock, and settled
            early.acquire()
        take(name)

    monkeypatch.setattr(late, "_take", slowly)
    with pytest.raises(BpkdError, match="is being made by"):
        late.acquire()
    early.require(surely=True)
    early.release()
    assert folder.names() == []


@pytest.mark.parametrize("forbidden", [("write", "remove"), ("remove",)], ids=["before it wrote", "before it tidied"])
def test_a_claim_whose_maker_died_is_taken_over_too(folder, monkeypatch, forbidden):
    write(folder)
    first, second = Lock(folder, "lock.json"), Lock(folder, "lock.json")
    gone = json.loads(folder.read("lock.json"))["process"]
    monkeypatch.setattr(first, "_self", replace(first._self, process=gone))

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        for method in forbidden:
            patch.setattr(folder, method, die)
        with pytest.raises(KeyboardInterrupt):
            first._take("lock.json")
    assert len(folder.names()) == 2
    second.acquire()
    second.require(surely=True)
    second.release()
    assert not folder.exists("lock.json")


def test_renewals_show_that_it_is_alive(folder):
    lock = Lock(folder, "lock.json")
    lock.acquire()
    deadline = time.monotonic() + 30
    while json.loads(folder.read("lock.json"))["renewals"] < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert json.loads(folder.read("lock.json"))["renewals"] >= 3
    lock.release()


def test_giving_back_a_lock_that_a_file_was_in_the_way_of_is_silent(tmp_path, monkeypatch):
    raised = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    (tmp_path / "a").write_text("")
    lock = Lock(Folder(f"{tmp_path}/a"), "_progress/lock.json")
    with pytest.raises(UserError, match="a file is in the way"):
        lock.acquire()
    assert not raised and lock.lease.token not in module._mine
