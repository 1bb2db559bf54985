"""Redis gone, slow, emptied or lying: no more leaves than may, and it is said."""

from __future__ import annotations

import logging
import socketserver
import threading
import time
from itertools import pairwise

import pytest
from django.db import connection

from notifyguard import clock, limiters, sweeper
from notifyguard.limiters import recount
from notifyguard.models import Delivery, LimitEntry
from tests.limiting import granted, quota, redis_limiter, request
from tests.mailbox import letter
from tests.redis_server import free_port, running_redis

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.needs("redis"),
    pytest.mark.needs("redis-server"),
]

ANN = "ann@example.com"
SINCE = "{notifyguard}:since"


@pytest.fixture(scope="module")
def shared_server():
    with running_redis() as server:
        yield server


@pytest.fixture
def server(shared_server):
    """A server that is as new, save that it remembers for longer than any window."""
    shared_server.client.flushall()
    shared_server.client.set(SINCE, 1)
    return shared_server


@pytest.fixture
def limited(mailbox, settings, monkeypatch):
    """Limit tickets to three an hour, counted by the Redis at this address; return its limiter."""
    monkeypatch.setattr(recount, "_said", set())

    def use(url, number=3):
        monkeypatch.setattr(limiters, "_latest", None)
        settings.NOTIFYGUARD = {
            "IN_TESTS": "full",
            "TYPES": {"ticket.*": {"limits": [f"{number}/hour"]}},
            "LIMITER": {
                "BACKEND": "notifyguard.limiters.redis.RedisLimiter",
                "LOCATION": url,
            },
        }
        from notifyguard import conf

        limiter = limiters.limiter_for(conf.current())
        limiter._looks_at = float("inf")
        return limiter

    return use


def send(times):
    return [letter(ANN).send() for _ in range(times)]


def counters(server):
    return [key for key in server.client.scan_iter() if key != SINCE.encode()]


def errors(caplog):
    """What was said but that mail is held, which is what limits are for."""
    said = [record for record in caplog.records if record.levelno >= logging.WARNING]
    return [each.getMessage() for each in said if "is held by rule limit" not in each.getMessage()]


def test_redis_counts_and_the_database_does_not(server, limited, caplog):
    limited(server.url)
    assert send(5) == [1, 1, 1, 0, 0]
    assert LimitEntry.objects.count() == 0
    assert server.client.zcard(counters(server)[0]) == 3
    assert errors(caplog) == []


def test_what_is_sent_again_since_it_may_have_left_counts_again(server, limited, settings):
    limited(server.url, 2)
    ticket = settings.NOTIFYGUARD["TYPES"]["ticket.*"] | {"on_uncertain": "resend"}
    settings.NOTIFYGUARD |= {"TYPES": {"ticket.*": ticket}}
    letter("drop-after@example.com").send()
    Delivery.objects.update(wake_at=clock.now(connection))
    sweeper.sweep()
    assert server.client.zcard(counters(server)[0]) == 2


def test_every_key_ends_by_itself_and_shares_one_slot(server, limited):
    server.client.delete(SINCE)
    limited(server.url)
    send(1)
    keys = list(server.client.scan_iter())
    assert all(server.client.ttl(key) > 0 for key in keys)
    assert all(key.startswith(b"{notifyguard}:") for key in keys)
    assert 3600 <= server.client.ttl(counters(server)[0]) <= 3607


def test_no_key_holds_an_address(server, limited):
    limited(server.url)
    send(1)
    assert not any(b"ann" in key.lower() for key in server.client.scan_iter())


def test_a_redis_that_is_gone_is_replaced_at_once_by_what_the_ledger_knows(limited, caplog):
    with running_redis() as server:
        server.client.set(SINCE, 1)
        limited(server.url)
        assert send(2) == [1, 1]
        server.kill()
        assert send(3) == [1, 0, 0]
    (said,) = errors(caplog)
    assert said == (
        "notifyguard: the Redis limiter failed (ConnectionError); limits are counted in the "
        "ledger's database until it is back"
    )


def test_a_redis_that_is_back_counts_again_and_knows_what_it_missed(limited, caplog):
    port = free_port()
    limiter = limited(f"redis://127.0.0.1:{port}")
    assert send(2) == [1, 1]
    with running_redis(port=port) as server:
        limiter._rests_until = time.monotonic()
        # It has seen nothing of the hour: the database counts as well.
        assert send(2) == [1, 0]
        assert server.client.zcard(counters(server)[0]) == 1
        server.client.set(SINCE, 1)  # an hour later
        assert send(1) == [1]
        assert LimitEntry.objects.count() == 3
    assert errors(caplog)[1:] == ["notifyguard: the Redis limiter is back"]


def test_while_it_rests_redis_is_not_asked(server, limited):
    limiter = limited(server.url)
    limiter._rest(ConnectionError())
    assert send(4) == [1, 1, 1, 0]
    assert counters(server) == []


def test_a_process_that_missed_a_redis_tells_all_others(server, limited):
    limiter = limited(server.url)
    limiter._rest(ConnectionError())
    assert send(2) == [1, 1]
    other = limited(server.url)
    limiter._rests_until = 1.0
    limiter.acquire([request(quota("bob", 1, 60))])
    assert other is not limiter
    assert send(2) == [1, 0]


def test_a_redis_that_was_emptied_lets_nothing_more_out(server, limited):
    limited(server.url)
    assert send(3) == [1, 1, 1]
    server.client.flushall()
    assert send(2) == [0, 0]


def test_a_slow_redis_costs_one_timeout(server, limited, caplog):
    limited(server.url)
    assert send(1) == [1]
    server.client.execute_command("CLIENT", "PAUSE", 3000, "ALL")
    begun = time.monotonic()
    try:
        assert send(3) == [1, 1, 0]
        assert time.monotonic() - begun < 2
    finally:
        server.client.execute_command("CLIENT", "UNPAUSE")
    assert "failed (TimeoutError)" in caplog.text


def a_wrong_type(server):
    (counter,) = counters(server)
    server.client.delete(counter)
    server.client.set(counter, "mine")


def a_replica(server):
    server.client.replicaof("127.0.0.1", 1)


def no_memory(server):
    server.client.delete(SINCE)  # what is there may still be changed
    server.client.config_set("maxmemory", 1)


def a_key_of_another_kind(server):
    server.client.delete(SINCE)
    server.client.lpush(SINCE, "mine")


@pytest.mark.parametrize("broken", [a_wrong_type, a_replica, no_memory, a_key_of_another_kind])
def test_a_redis_that_refuses_is_replaced(server, limited, caplog, broken):
    limited(server.url)
    assert send(1) == [1]
    try:
        broken(server)
        assert send(4) == [1, 1, 0, 0]
    finally:
        server.client.replicaof("NO", "ONE")
        server.client.config_set("maxmemory", 0)
    assert len(errors(caplog)) == 1


def test_a_script_that_was_flushed_is_loaded_again(server, limited, caplog):
    limited(server.url)
    send(1)
    server.client.script_flush()
    assert send(3) == [1, 1, 0]
    assert errors(caplog) == []


@pytest.mark.parametrize(
    "answer", [b"+OK\r\n", b":1\r\n", b"*2\r\n:1\r\n:1\r\n", b"HTTP/1.1 200\r\n"]
)
def test_who_answers_anything_else_is_no_limiter(limited, answer):
    class Liar(socketserver.StreamRequestHandler):
        def handle(self):
            while self.rfile.readline():
                self.wfile.write(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Liar) as liar:
        liar.daemon_threads = True
        thread = threading.Thread(target=liar.serve_forever)
        thread.start()
        limited(f"redis://127.0.0.1:{liar.server_address[1]}")
        assert send(5) == [1, 1, 1, 0, 0]
        liar.shutdown()
        thread.join()


def test_what_redis_lost_in_silence_is_found_and_said(server, limited, caplog):
    limiter = limited(server.url)
    assert send(3) == [1, 1, 1]
    server.client.delete(*counters(server))
    limiter._looks_at = 0.0
    assert send(3) == [0, 0, 0]
    assert "Redis has lost what the limiter counted" in caplog.text
    assert "exceeded" not in caplog.text


def test_an_excess_is_reported_and_not_hidden(server, limited, caplog):
    limiter = limited(server.url)
    assert send(3) == [1, 1, 1]
    server.client.delete(*counters(server))
    assert send(2) == [1, 1]
    limiter._looks_at = 0.0
    assert send(1) == [0]
    assert "the limit 3/hour of ticket.* was exceeded: 5 left within its window" in caplog.text
    assert ANN not in caplog.text


def test_a_look_at_what_is_right_says_nothing(server, limited, caplog):
    limiter = limited(server.url)
    for _ in range(3):
        limiter._looks_at = 0.0
        assert send(1) == [1]
    limiter._looks_at = 0.0
    assert send(1) == [0]
    assert errors(caplog) == []


def test_a_failed_hand_over_is_given_back_to_redis(server, limited, settings, mail_server):
    from tests.mailbox import closed_port, use_server

    limited(server.url)
    use_server(settings, closed_port())
    with pytest.raises(ConnectionError):
        letter(ANN).send()
    assert counters(server) == []
    use_server(settings, mail_server.port)
    assert send(4) == [1, 1, 1, 0]


def test_what_expired_is_taken_away_little_by_little(server, limited):
    limiter = limited(server.url, number=100_000)
    counter = quota("ann", 1_000, 3600)
    key = limiter._key(counter.counter)
    server.client.zadd(key, {f"old{number}": number for number in range(300)})
    sizes = [300]
    for _ in range(200):
        limiter.acquire([request(counter)])
        sizes.append(server.client.zcard(key))
    assert sizes[-1] == 200
    assert min(after - before for before, after in pairwise(sizes)) >= -100


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"timeuot": 1}, 'Did you mean "timeout"?'),
        ({"timeout": 0}, "more than 0, at most 10"),
        ({"timeout": "1"}, "more than 0, at most 10"),
        ({"db": 1}, "Known are timeout, prefix, cluster."),
    ],
)
def test_an_option_that_cannot_be_used_is_named(options, said):
    from notifyguard.exceptions import InvalidSettings

    with pytest.raises(InvalidSettings, match=said.replace("?", ".")):
        redis_limiter("redis://localhost", **options)


def test_a_location_is_wanted():
    from notifyguard.exceptions import InvalidSettings

    with pytest.raises(InvalidSettings, match="redis://localhost"):
        redis_limiter("")


def test_it_works_on_a_cluster():
    port = free_port()
    with running_redis(
        *("--cluster-enabled", "yes", "--cluster-port", str(free_port())),
        *("--cluster-config-file", f"/tmp/nodes-{port}.conf"),
        port=port,
    ) as server:
        server.client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        until = time.monotonic() + 10
        while server.client.execute_command("CLUSTER INFO")["cluster_state"] != "ok":
            assert time.monotonic() < until
            time.sleep(0.05)  # it cannot call back
        limiter = redis_limiter(server.url.removesuffix("/0"), cluster=True)
        wanted = [request(quota("ann", 2, 60), quota(None, 5, 60)) for _ in range(3)]
        assert granted(limiter, wanted) == [True, True, False]
        limiter.refund(wanted[:1])
        assert server.client.zcard(f"{{notifyguard}}:{wanted[0].quotas[0].counter.hex}") == 1
        assert not limiter._rests_until
