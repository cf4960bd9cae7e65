"""Bundles of CA certificates, and what the proxy believes of the hosts it speaks to."""

from __future__ import annotations

import os
import socket
import ssl
import stat
import sys
from pathlib import Path

import pytest
from local_tls import PERMITTED, serving, written

from llmtrace_otel.proxy import trust
from llmtrace_otel.proxy.authority import Authority
from llmtrace_otel.proxy.trust import bundle, upstream_context


@pytest.fixture(scope="module")
def ours() -> Authority:
    return Authority([PERMITTED])


@pytest.fixture(scope="module")
def corporate() -> Authority:
    return Authority([PERMITTED])


@pytest.fixture
def corp(corporate: Authority, tmp_path: Path) -> Path:
    """The file that a company gives its users."""
    (tmp_path / "corp").mkdir()
    return written(corporate, tmp_path / "corp")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "proxy").mkdir()
    return tmp_path / "proxy"


@pytest.fixture(autouse=True)
def _system_of_the_tests_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The system trusts one CA, that nobody here uses."""
    (tmp_path / "system.pem").write_bytes(SYSTEM.pem)
    trust.system.cache_clear()
    monkeypatch.setattr(trust, "SYSTEM_FILES", [str(tmp_path / "absent.pem"), str(tmp_path / "system.pem")])
    yield
    trust.system.cache_clear()
    trust._upstream_context.cache_clear()


SYSTEM = Authority(["system.example"])


def lines(*authorities: Authority) -> list[bytes]:
    return [line for authority in authorities for line in authority.pem.splitlines()]


def test_a_bundle_is_the_users_file_and_ours(ours: Authority, corporate: Authority, corp: Path, directory: Path):
    path = Path(bundle(str(corp), str(directory), ours.pem))
    assert path.read_bytes().splitlines() == lines(corporate, ours)


def test_a_bundle_on_nothing_is_the_systems_file_and_ours(ours: Authority, directory: Path):
    path = Path(bundle(None, str(directory), ours.pem))
    assert path.read_bytes().splitlines() == lines(SYSTEM, ours)


def test_a_bundle_may_be_read_by_a_child_that_is_another_users(ours: Authority, corp: Path, directory: Path):
    path = Path(bundle(str(corp), str(directory), ours.pem))
    assert (path.parent, stat.S_IMODE(path.stat().st_mode)) == (directory, 0o644)
    assert list(directory.iterdir()) == [path]


def test_a_bundle_is_made_once_for_a_state_of_the_file(ours: Authority, corporate: Authority, corp: Path, directory):
    first = bundle(str(corp), str(directory), ours.pem)
    assert bundle(str(corp), str(directory), ours.pem) == first
    corp.write_bytes(corporate.pem + SYSTEM.pem)
    second = Path(bundle(str(corp), str(directory), ours.pem))
    assert second.read_bytes().splitlines() == lines(corporate, SYSTEM, ours)


def test_a_bundle_that_was_cleaned_away_is_made_again(ours: Authority, corp: Path, directory: Path):
    first = Path(bundle(str(corp), str(directory), ours.pem))
    content = first.read_bytes()
    first.unlink()
    assert Path(bundle(str(corp), str(directory), ours.pem)).read_bytes() == content


def test_a_directory_gives_each_of_its_certificates_once(
    ours: Authority, corporate: Authority, corp: Path, directory: Path, tmp_path: Path
):
    (corp.parent / "again.pem").symlink_to(corp)
    (corp.parent / "broken.pem").symlink_to(tmp_path / "absent.pem")
    base = os.pathsep.join([str(tmp_path / "system.pem"), str(corp.parent)])
    path = Path(bundle(base, str(directory), ours.pem))
    assert path.read_bytes().splitlines() == lines(SYSTEM, corporate, ours)


def test_of_a_file_with_a_key_in_it_only_the_certificates_are_copied(
    ours: Authority, corporate: Authority, corp: Path, directory: Path
):
    corp.write_bytes(b"-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n# Corp\n" + corporate.pem)
    path = Path(bundle(str(corp), str(directory), ours.pem))
    assert path.read_bytes().splitlines() == lines(corporate, ours)


def test_a_file_that_is_not_there_is_an_error(ours: Authority, directory: Path, tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="absent"):
        bundle(str(tmp_path / "absent.pem"), str(directory), ours.pem)
    assert list(directory.iterdir()) == []


def test_without_a_system_file_python_s_own_is_taken(monkeypatch: pytest.MonkeyPatch, corp: Path):
    monkeypatch.setattr(trust, "SYSTEM_FILES", [])
    paths = ssl.get_default_verify_paths()._replace(openssl_cafile=str(corp))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    assert trust.system() == str(corp)


def test_certifi_comes_last(monkeypatch: pytest.MonkeyPatch):
    certifi = pytest.importorskip("certifi")
    _no_system_file(monkeypatch)
    assert trust.system() == certifi.where()


def test_where_nothing_is_trusted_there_is_no_bundle(monkeypatch: pytest.MonkeyPatch, ours: Authority, directory: Path):
    _no_system_file(monkeypatch)
    monkeypatch.setitem(sys.modules, "certifi", None)
    with pytest.raises(FileNotFoundError, match="no file of CA certificates"):
        bundle(None, str(directory), ours.pem)


def _no_system_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "SYSTEM_FILES", [])
    paths = ssl.get_default_verify_paths()._replace(openssl_cafile="/nonexistent/cert.pem")
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)


# Upstream


def protocol(context: ssl.SSLContext, authority: Authority) -> str | None:
    """What is spoken with a host of this authority's, once `context` has verified it."""
    with (
        serving(authority, PERMITTED) as port,
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain, server_hostname=PERMITTED) as connection,
    ):
        return connection.selected_alpn_protocol()


def test_upstream_is_verified_by_the_users_file(corporate: Authority, corp: Path):
    for only in (False, True):
        assert protocol(upstream_context([str(corp)], only), corporate) == "http/1.1"


def test_a_host_of_an_unknown_authority_is_refused(ours: Authority, corp: Path):
    for context in (upstream_context([], False), upstream_context([str(corp)], False)):
        with pytest.raises(ssl.SSLCertVerificationError):
            protocol(context, ours)


def test_the_systems_certificates_count_unless_the_users_are_all(corp: Path):
    def subjects(context: ssl.SSLContext) -> int:
        return len(context.get_ca_certs())

    assert subjects(upstream_context([str(corp)], False)) == 2
    assert subjects(upstream_context([str(corp)], True)) == 1
    assert subjects(upstream_context([], True)) == 0


def test_this_process_s_own_variable_does_not_count(monkeypatch: pytest.MonkeyPatch, corporate: Authority, corp: Path):
    monkeypatch.setenv("SSL_CERT_FILE", str(corp))
    with pytest.raises(ssl.SSLCertVerificationError):
        protocol(upstream_context([], False), corporate)


def test_files_that_are_no_certificates_are_passed_over(corporate: Authority, corp: Path, tmp_path: Path):
    (tmp_path / "notes.txt").write_text("none\n")
    paths = [str(tmp_path / "absent.pem"), str(tmp_path / "notes.txt"), str(tmp_path), str(corp)]
    assert protocol(upstream_context(paths, True), corporate) == "http/1.1"


def test_a_context_is_made_once_for_a_state_of_the_files(corporate: Authority, corp: Path):
    first = upstream_context([str(corp)], False)
    assert upstream_context([str(corp)], False) is first
    corp.write_bytes(corporate.pem + SYSTEM.pem)
    assert upstream_context([str(corp)], False) is not first


def test_certificates_that_are_wrong_by_the_letter_only_are_accepted():
    flags = upstream_context([], False).verify_flags
    assert (flags & ssl.VERIFY_X509_STRICT, flags & ssl.VERIFY_X509_PARTIAL_CHAIN) == (
        ssl.VerifyFlags(0),
        ssl.VERIFY_X509_PARTIAL_CHAIN,
    )
