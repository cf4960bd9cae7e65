"""The CA's certificates: what clients accept, what they refuse, and what leaves the process."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import stat
import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from local_tls import OTHER, PERMITTED, serving, written

from llmtrace_otel.proxy import authority as authority_module
from llmtrace_otel.proxy.authority import Authority


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority([PERMITTED, "other.llm.example"])


def certificate(authority: Authority) -> x509.Certificate:
    return x509.load_pem_x509_certificate(authority.pem)


def leaf(authority: Authority, host: str) -> x509.Certificate:
    """As a client is shown it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authority.pem.decode())
    return x509.load_der_x509_certificate(shake_hands(authority, host, context)[0])


def shake_hands(authority: Authority, host: str, context: ssl.SSLContext) -> tuple[bytes, str | None]:
    """The certificate shown, in DER, and the protocol that ALPN has chosen."""
    with (
        serving(authority, host) as port,
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        shown = connection.getpeercert(binary_form=True)
        assert shown is not None
        return shown, connection.selected_alpn_protocol()


def strict(authority: Authority) -> ssl.SSLContext:
    """Python 3.13's way to check certificates."""
    context = ssl.create_default_context(cadata=authority.pem.decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def test_a_strict_client_accepts_a_permitted_host_and_speaks_http_1_1(authority: Authority):
    assert shake_hands(authority, PERMITTED, strict(authority))[1] == "http/1.1"


def test_what_is_below_a_permitted_name_is_permitted(authority: Authority):
    assert shake_hands(authority, f"eu.{PERMITTED}", strict(authority))[1] == "http/1.1"


@pytest.mark.parametrize("host", [OTHER, f"not-{PERMITTED}", "llm.example"])
def test_any_other_host_is_refused_by_a_strict_client(authority: Authority, host: str):
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        shake_hands(authority, host, strict(authority))


def test_an_address_is_not_permitted_either(authority: Authority, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(authority_module.x509, "DNSName", lambda host: x509.IPAddress(ip_address(host)))
    with pytest.raises(ssl.SSLCertVerificationError, match="excluded subtree violation"):
        shake_hands(authority, "127.0.0.1", strict(authority))


@pytest.mark.parametrize(("host", "said"), [(PERMITTED, (0, "hello")), (OTHER, (60, ""))])
def test_curl_accepts_only_what_is_permitted(authority: Authority, tmp_path: Path, host: str, said: tuple[int, str]):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    with serving(authority, host) as port:
        to = ["--noproxy", "*", "--connect-to", f"{host}:443:127.0.0.1:{port}"]
        command = ["curl", "-s", *to, "--cacert", str(written(authority, tmp_path)), f"https://{host}/"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == said


NODE = """
const [host, port] = process.argv.slice(1);
require("https").get({ host: "127.0.0.1", port, servername: host, headers: { host } }, (response) => {
  response.pipe(process.stdout);
}).on("error", (error) => console.log(error.message));
"""


@pytest.mark.parametrize(("host", "said"), [(PERMITTED, "hello"), (OTHER, "permitted subtree violation\n")])
def test_node_accepts_only_what_is_permitted(authority: Authority, tmp_path: Path, host: str, said: str):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    environ = {"NODE_EXTRA_CA_CERTS": str(written(authority, tmp_path))}
    with serving(authority, host) as port:
        command = [node, "-e", NODE, host, str(port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environ)
    assert (done.stdout, done.stderr) == (said, "")


def test_the_ca_lasts_at_most_30_days_and_a_leaf_7(authority: Authority):
    of_ca, of_leaf = certificate(authority), leaf(authority, PERMITTED)
    assert of_ca.not_valid_after_utc - of_ca.not_valid_before_utc == timedelta(days=30)
    assert of_leaf.not_valid_after_utc - of_leaf.not_valid_before_utc == timedelta(days=7)
    assert authority.expires == of_ca.not_valid_after_utc


def test_the_ca_is_critically_limited_to_the_permitted_names(authority: Authority):
    constraints = certificate(authority).extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert constraints.value.permitted_subtrees == [x509.DNSName(PERMITTED), x509.DNSName("other.llm.example")]


def test_two_authorities_share_no_key():
    one, other = (certificate(Authority([PERMITTED])) for _ in range(2))
    assert one.public_key() != other.public_key()


def test_a_host_is_given_its_context_again(authority: Authority):
    assert authority.context(PERMITTED) is authority.context(PERMITTED)
    assert authority.context(PERMITTED) is not authority.context("other.llm.example")


def test_a_leaf_is_made_anew_before_it_runs_out(monkeypatch: pytest.MonkeyPatch):
    now = datetime.now(UTC)

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return now

    monkeypatch.setattr(authority_module, "datetime", Clock)
    authority = Authority([PERMITTED])
    first = authority.context(PERMITTED)
    now += timedelta(days=3)
    assert authority.context(PERMITTED) is first
    now += timedelta(days=1)
    assert authority.context(PERMITTED) is not first


def test_keys_reach_tls_through_pipes_and_no_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    read: list[bool] = []
    load = ssl.SSLContext.load_cert_chain

    def noted(context: ssl.SSLContext, *paths: str) -> None:
        read.extend(stat.S_ISFIFO(os.stat(path).st_mode) for path in paths)
        load(context, *paths)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", noted)
    Authority([PERMITTED]).context(PERMITTED)
    assert (read, list(tmp_path.iterdir())) == ([True, True], [])


def test_keys_do_not_show(authority: Authority):
    assert b"PRIVATE" not in authority.pem
    assert "PRIVATE" not in repr(vars(authority))


def test_an_authority_for_no_host_would_be_one_for_all():
    with pytest.raises(ValueError, match="opens no host"):
        Authority([])
