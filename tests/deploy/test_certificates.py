"""What is said of certificates that can't be trusted, by who reaches Redis and PostgreSQL; and that nobody goes on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.errors import UnavailableError
from scheduler.broker import check_broker, split_tls
from scheduler.ring import Bell
from tests.deploy.certificates import make_certificates, tls_end
from tests.services import RedisServer

#: a queue that nobody else rings in
QUEUE = "machine.certificates"
#: no name of it is 127.0.0.1
ELSEWHERE = "db.example.com"


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("certificates") / "ours", "127.0.0.1")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("certificates") / "theirs", ELSEWHERE)


@pytest.fixture
def port(redis_server: RedisServer, ours: Path) -> Iterator[int]:
    with tls_end(redis_server.port, ours, "redis") as port:
        yield port


@pytest.fixture
def misnamed_port(redis_server: RedisServer, theirs: Path) -> Iterator[int]:
    with tls_end(redis_server.port, theirs, "redis") as port:
        yield port


def complaint(url: str) -> str:
    with pytest.raises(UnavailableError) as caught:
        check_broker(url)
    return str(caught.value)


def test_an_authority_that_is_named_is_trusted(port: int, ours: Path) -> None:
    url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={ours / 'ca.crt'}"
    check_broker(url)
    with Bell(url) as bell:
        assert bell.ring({QUEUE: [1]}) == 1
        assert bell.waiting([QUEUE]) == {QUEUE: 1}
        bell.forget(QUEUE)


def test_one_that_is_not_named_is_not(port: int, theirs: Path) -> None:
    for url in (f"rediss://127.0.0.1:{port}/0", f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={theirs / 'ca.crt'}"):
        said = complaint(url)
        assert said.startswith(f"The certificate of Redis at rediss://127.0.0.1:{port}/0")
        assert "isn't trusted" in said
        assert "?ssl_ca_certs=FILE" in said
        # Celery's own transport checks nothing where no option says so.
        with Bell(url) as bell, pytest.raises(UnavailableError, match="certificate verify failed"):
            bell.ring({QUEUE: [1]})


def test_a_certificate_for_another_name_is_not_trusted(misnamed_port: int, theirs: Path) -> None:
    said = complaint(f"rediss://127.0.0.1:{misnamed_port}/0?ssl_ca_certs={theirs / 'ca.crt'}")
    assert "IP address mismatch, certificate is not valid for '127.0.0.1'" in said
    assert "the host by a name that stands in the certificate" in said


def test_an_authority_whose_file_is_missing_is_named(port: int, tmp_path: Path) -> None:
    said = complaint(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={tmp_path / 'ca.crt'}")
    assert "names a file that can't be used (No such file or directory)" in said


def test_whoever_asks_for_it_checks_nothing(port: int) -> None:
    url = f"rediss://127.0.0.1:{port}/0?ssl_cert_reqs=none&ssl_check_hostname=false"
    check_broker(url)
    with Bell(url) as bell:
        assert bell.waiting([QUEUE]) == {QUEUE: 0}


@pytest.mark.parametrize(
    ("url", "plain", "options"),
    [
        ("redis://h:1/0?ssl_ca_certs=x", "redis://h:1/0?ssl_ca_certs=x", None),
        ("rediss://h:1/0", "rediss://h:1/0", {"ssl_cert_reqs": "required"}),
        (
            "rediss://u:p@h:1/0?ssl_ca_certs=%2Fca%20x.crt&socket_timeout=1&ssl_cert_reqs=none",
            "rediss://u:p@h:1/0?socket_timeout=1",
            {"ssl_cert_reqs": "none", "ssl_ca_certs": "/ca x.crt"},
        ),
    ],
)
def test_tls_options_go_where_kombu_reads_them(url: str, plain: str, options: dict[str, str] | None) -> None:
    assert split_tls(url) == (plain, options)


def test_tls_options_that_can_not_be_read_show_no_password() -> None:
    with pytest.raises(UnavailableError) as caught:
        split_tls("rediss://:sesame@h:1/0?max_connections=many")
    assert str(caught.value).startswith("The broker's URL rediss://h:1/0")
    assert "sesame" not in str(caught.value)
