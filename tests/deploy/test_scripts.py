"""The scripts under deploy/: what they refuse, in a sentence, and that what was there stays."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.commands import ROOT
from tests.deploy.certificates import make_certificates
from tests.deploy.compose import BASE, TLS, read_compose, read_environment
from tests.deploy.deployment import make_env

CERTIFICATES = ROOT / "deploy" / "tls" / "make-certificates.sh"
USERS = ROOT / "deploy" / "redis" / "users.sh"
FILES = ("ca.crt", "ca.key", "postgres.crt", "postgres.key", "redis.crt", "redis.key")


def certify(folder: Path, *names: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"FOLDER": str(folder)}
    return subprocess.run(["sh", CERTIFICATES, *names], env=environment, capture_output=True, text=True)


def kept(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_passwords_are_made_once(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    assert make_env(file).returncode == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    made = read_environment(file)
    passwords = [value for name, value in made.items() if name.endswith("_PASSWORD")]
    assert len(set(passwords)) == len(passwords) == 10
    assert all(len(each) == 48 for each in passwords)
    again = make_env(file)
    assert again.returncode == 2
    assert "is there already" in again.stderr
    assert read_environment(file) == made


def test_an_image_is_built_by_one_service_alone(tmp_path: Path) -> None:
    make_env(tmp_path / ".env")
    services = read_compose(BASE, TLS, variables=read_environment(tmp_path / ".env"))
    built = [service["image"] for service in services.values() if "build" in service]
    assert len(set(built)) == len(built)
    missing = {service["image"] for service in services.values() if "image" in service} - set(built)
    assert {image.partition(":")[0] for image in missing} == {"postgres", "redis"}


def test_certificates_are_renewed_by_the_same_authority(tmp_path: Path) -> None:
    folder = make_certificates(tmp_path / "tls", "db.example.com")
    before = kept(folder)
    assert sorted(before) == sorted(FILES)
    assert certify(folder, "db.example.com").returncode == 0
    after = kept(folder)
    assert [name for name in FILES if after[name] == before[name]] == ["ca.crt", "ca.key"]


def test_without_its_key_an_authority_stays_as_it_is(tmp_path: Path) -> None:
    folder = make_certificates(tmp_path / "tls", "db.example.com")
    (folder / "ca.key").unlink()
    before = kept(folder)
    done = certify(folder, "db.example.com")
    assert done.returncode == 2
    assert "bring the key of this authority" in done.stderr
    assert kept(folder) == before


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), "usage: "),
        (("--help",), "usage: "),
        (("a b",), "'a b' is neither a host's name nor an address"),
        (("",), "'' is neither"),
        (("fe80::zz",), "openssl could not make the certificates"),
    ],
)
def test_a_name_that_is_none_leaves_nothing_behind(tmp_path: Path, names: tuple[str, ...], said: str) -> None:
    done = certify(tmp_path, *names)
    assert done.returncode == 2
    assert said in done.stderr
    assert kept(tmp_path) == {}


def test_a_folder_that_docker_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "redis.key").mkdir()
    done = certify(tmp_path, "db.example.com")
    assert done.returncode == 2
    assert "redis.key is a folder" in done.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["redis.key"]


def test_long_names_and_addresses_of_both_kinds_are_certified(tmp_path: Path) -> None:
    long = f"{'a' * 60}.{'b' * 60}.example.com"
    assert certify(tmp_path, long, "::1", "10.0.0.7").returncode == 0
    shown = subprocess.run(
        ["openssl", "x509", "-in", tmp_path / "redis.crt", "-noout", "-text"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"DNS:{long}" in shown
    assert "IP Address:0:0:0:0:0:0:0:1" in shown
    assert "IP Address:10.0.0.7" in shown


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("", "REDIS_BEAT_PASSWORD is not set"),
        ("short", "REDIS_BEAT_PASSWORD is shorter than 16 characters"),
        ("with a blank in its midst", "REDIS_BEAT_PASSWORD may hold letters"),
        ("x\nuser intruder on nopass ~* +@all", "REDIS_BEAT_PASSWORD may hold letters"),
    ],
)
def test_a_password_that_is_none_is_refused(password: str, said: str) -> None:
    names = ("ADMIN", "SUBMITTER", "BEAT", "WORKER", "FLOWER")
    environment = os.environ | {f"REDIS_{name}_PASSWORD": "a" * 16 for name in names}
    environment["REDIS_BEAT_PASSWORD"] = password
    done = subprocess.run(["sh", USERS], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
