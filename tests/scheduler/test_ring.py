"""Ringing: what a message is, and what is said where Redis is away."""

import base64
import json
import os
import signal
import socket
import time

import pytest
from redis import Redis

from bench.errors import UnavailableError
from scheduler.app import RUN_JOB
from scheduler.ring import MAX_RINGS, Bell
from tests.services import RedisServer

NOBODY = "redis://:sesame@127.0.0.1:1/0"


def messages(broker_url: str, queue: str) -> list[dict[str, object]]:
    """Return the messages of a queue as they lie in Redis, the oldest first."""
    with Redis.from_url(broker_url) as client:
        return [json.loads(raw) for raw in reversed(client.lrange(queue, 0, -1))]


def test_each_job_rings_once_in_its_queue(bell: Bell) -> None:
    assert bell.ring({"any.4": [1, 2, 3], "cpu.1": [4], "mps.1": []}) == 4
    assert bell.waiting(["any.4", "cpu.1", "mps.1"]) == {"any.4": 3, "cpu.1": 1, "mps.1": 0}


def test_a_message_names_the_task_and_the_job_and_nothing_that_is_run(bell: Bell, broker_url: str) -> None:
    bell.ring({"any.4": [17]})
    (message,) = messages(broker_url, "any.4")
    headers, body = message["headers"], json.loads(base64.b64decode(str(message["body"])))
    assert isinstance(headers, dict)
    assert (headers["task"], message["content-type"]) == (RUN_JOB, "application/json")
    assert body[:2] == [[17], {}]
    assert not any(body[2].values())
    assert socket.gethostname() not in json.dumps(message)
    assert headers["origin"] == "benchbeat"


def test_nothing_to_ring_for_reaches_for_nobody() -> None:
    with Bell(NOBODY) as bell:
        assert bell.ring({}) == 0
        assert bell.ring({"any.1": []}) == 0
        assert bell.waiting([]) == {}


def test_a_large_number_of_rings_goes_out_in_several_parts(bell: Bell) -> None:
    assert bell.ring({"any.4": range(MAX_RINGS * 2 + 1)}) == MAX_RINGS * 2 + 1
    assert bell.waiting(["any.4"]) == {"any.4": MAX_RINGS * 2 + 1}


def test_a_queue_can_be_forgotten(bell: Bell, broker_url: str) -> None:
    bell.ring({"batch.1.w": [1], "any.4": [2]})
    bell.forget("batch.1.w")
    assert bell.waiting(["batch.1.w", "any.4"]) == {"batch.1.w": 0, "any.4": 1}
    with Redis.from_url(broker_url, decode_responses=True) as client:
        assert not [key for key in client.scan_iter() if "batch.1.w" in key]


def test_a_closed_bell_rings_again(bell: Bell) -> None:
    bell.ring({"any.4": [1]})
    bell.close()
    bell.close()
    assert bell.ring({"any.4": [2]}) == 1
    assert bell.waiting(["any.4"]) == {"any.4": 2}


@pytest.mark.parametrize("_again", range(2))
def test_a_redis_that_is_away_is_named_without_its_password(_again: int) -> None:
    with Bell(NOBODY) as bell:
        for ring in (lambda: bell.ring({"any.4": [1]}), lambda: bell.waiting(["any.4"]), lambda: bell.forget("any.4")):
            with pytest.raises(UnavailableError) as caught:
                ring()
            assert str(caught.value) == "Redis at redis://127.0.0.1:1/0 does not answer (Connection refused)"


def test_a_frozen_redis_is_given_up_soon_and_rung_once_it_goes_on(own_redis: RedisServer) -> None:
    with Bell(own_redis.url) as bell:
        bell.ring({"any.4": [1]})
        os.kill(own_redis.pid, signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(UnavailableError, match="does not answer"):
            bell.ring({"any.4": [2]})
        assert time.monotonic() - began < 10
        os.kill(own_redis.pid, signal.SIGCONT)
        bell.ring({"any.4": [3]})
        # The one that was given up may have arrived: a ring too many finds nothing and is acknowledged.
        assert bell.waiting(["any.4"])["any.4"] in (2, 3)


def test_a_redis_that_was_frozen_from_the_start_is_given_up_soon(own_redis: RedisServer) -> None:
    os.kill(own_redis.pid, signal.SIGSTOP)
    began = time.monotonic()
    with Bell(own_redis.url) as bell, pytest.raises(UnavailableError, match="does not answer"):
        bell.waiting(["any.4"])
    assert time.monotonic() - began < 10


def test_a_bell_survives_that_redis_drops_its_clients(bell: Bell, broker_url: str) -> None:
    bell.ring({"any.4": [1]})
    with Redis.from_url(broker_url) as client:
        client.client_kill_filter(_type="normal", skipme=True)
    try:
        bell.ring({"any.4": [2]})
    except UnavailableError:
        bell.ring({"any.4": [2]})
    assert bell.waiting(["any.4"])["any.4"] >= 2
