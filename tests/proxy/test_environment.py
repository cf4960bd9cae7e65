"""What a child finds in its environment, and how it gets rid of it again."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from local_tls import PERMITTED, written

from llmtrace_otel.proxy import environment, trust
from llmtrace_otel.proxy.authority import Authority
from llmtrace_otel.proxy.environment import UNDO, Offer, intercepted, proxies_of, trust_of, undo

OURS = "http://id:token@127.0.0.1:4444"
OUTER = "http://outer:secret@127.0.0.1:3333"
RELAY = "http://127.0.0.1:4444/t/id:token"
METADATA = "169.254.169.254,169.254.170.2,fd00:ec2::254,metadata.google.internal"
LOOPBACK = f"localhost,127.0.0.1,::1,{METADATA}"
PROXIES = dict.fromkeys(
    ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "WSS_PROXY", "wss_proxy"),
    OURS,
)
AUTHORITY = Authority([PERMITTED])


@pytest.fixture(autouse=True)
def _system_of_the_tests_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "system.pem").write_bytes(Authority(["system.example"]).pem)
    trust.system.cache_clear()
    monkeypatch.setattr(trust, "SYSTEM_FILES", [str(tmp_path / "system.pem")])
    yield
    trust.system.cache_clear()


@pytest.fixture
def offer(tmp_path: Path) -> Offer:
    return Offer(OURS, "id", "token", _proxy_directory(tmp_path, "proxy"), relay=False)


@pytest.fixture
def outer(tmp_path: Path) -> Offer:
    """What another llmtrace, around this one, has given us."""
    return Offer(OUTER, "outer", "secret", _proxy_directory(tmp_path, "outer"), relay=True)


@pytest.fixture
def corp(tmp_path: Path) -> str:
    """A company's file of CA certificates."""
    (tmp_path / "corp.pem").write_bytes(Authority(["corp.example"]).pem)
    return str(tmp_path / "corp.pem")


def _proxy_directory(tmp_path: Path, name: str) -> str:
    (tmp_path / name).mkdir()
    written(AUTHORITY, tmp_path / name)
    return str(tmp_path / name)


def proxies(child: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in child.items() if name.lower().endswith("s_proxy") or name in PROXIES}


def certificates(path: str) -> list[bytes]:
    """Each by its lines."""
    return Path(path).read_bytes().split(b"-----BEGIN CERTIFICATE-----\n")[1:]


def bundle_of(*paths: str) -> list[bytes]:
    """The certificates of these files, and ours after them."""
    stripped = [pem.strip() for path in paths for pem in certificates(path)]
    return [*stripped, AUTHORITY.pem.split(b"\n", 1)[1].strip()]


def trusted(child: dict[str, str], name: str) -> list[bytes]:
    return [pem.strip() for pem in certificates(child[name])]


def own(environ: dict[str, str], offer: Offer) -> dict[str, str]:
    """The environment of a child that is given ours as it is."""
    return intercepted(environ, environ, offer)


# Proxies


def test_a_child_with_nothing_set_is_given_our_proxy(offer: Offer):
    child = own({"PATH": "/bin"}, offer)
    assert proxies(child) == PROXIES
    assert (child["PATH"], child["NODE_USE_ENV_PROXY"]) == ("/bin", "1")
    assert (child["NO_PROXY"], child["no_proxy"]) == (LOOPBACK, LOOPBACK)
    assert "ALL_PROXY" not in child


def test_an_empty_environment_gets_only_our_keys(offer: Offer):
    certificates = {"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "DENO_CERT"}
    others = {"NO_PROXY", "no_proxy", "NODE_USE_ENV_PROXY", UNDO}
    assert intercepted({}, {"HTTPS_PROXY": "http://corp:3128"}, offer).keys() == {*PROXIES, *certificates, *others}


def test_the_environments_given_are_left_alone(offer: Offer):
    environ = {"PATH": "/bin", UNDO: "{}"}
    inherited = dict(environ)
    intercepted(environ, inherited, offer)
    assert environ == inherited == {"PATH": "/bin", UNDO: "{}"}


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_a_proxy_of_the_callers_is_kept_and_is_the_only_one_for_its_scheme(offer: Offer, name: str):
    child = intercepted({name: "http://custom:1"}, {}, offer)
    assert proxies(child) == {name: "http://custom:1", "HTTP_PROXY": OURS, "http_proxy": OURS}
    assert not {"SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "NODE_USE_ENV_PROXY"} & child.keys()


def test_a_proxy_of_the_callers_may_be_none(offer: Offer):
    child = intercepted({"https_proxy": ""}, {"https_proxy": "http://corp:3128"}, offer)
    assert proxies(child) == {"https_proxy": "", "HTTP_PROXY": OURS, "http_proxy": OURS}


def test_a_proxy_of_the_callers_for_all_leaves_nothing_to_us(offer: Offer):
    environ = {"ALL_PROXY": "socks5://custom:1", "PATH": "/bin"}
    assert intercepted(environ, {}, offer) == environ


def test_a_proxy_of_the_callers_for_http_leaves_https_to_us(offer: Offer):
    child = intercepted({"http_proxy": "http://custom:1"}, {}, offer)
    assert (child["https_proxy"], child["http_proxy"]) == (OURS, "http://custom:1")
    assert "HTTP_PROXY" not in child


@pytest.mark.parametrize("given", ["the same", "a copy"])
def test_a_proxy_that_we_were_given_ourselves_is_replaced_and_gone_on_to(offer: Offer, corp: str, given: str):
    environ = {"https_proxy": "http://corp:3128", "SSL_CERT_FILE": corp}
    child = intercepted(environ if given == "the same" else {**environ}, environ, offer)
    assert proxies(child) == PROXIES
    assert trusted(child, "SSL_CERT_FILE") == bundle_of(corp)
    assert proxies_of(environ) == proxies_of(child) == {"https": "http://corp:3128"}
    assert trust_of(environ) == trust_of(child) == ([corp], True)


def test_all_proxy_is_replaced_where_there_was_one(offer: Offer):
    environ = {"all_proxy": "socks5://corp:1080"}
    child = own(environ, offer)
    assert (child["all_proxy"], "ALL_PROXY" in child) == (OURS, False)
    assert proxies_of(child) == {"all": "socks5://corp:1080"}


def test_all_proxy_stays_where_a_scheme_is_the_callers(offer: Offer):
    inherited = {"ALL_PROXY": "socks5://corp:1080"}
    child = intercepted({**inherited, "HTTPS_PROXY": "http://custom:1"}, inherited, offer)
    assert (child["ALL_PROXY"], child["HTTP_PROXY"]) == ("socks5://corp:1080", OURS)


def test_a_proxy_for_websockets_that_is_not_that_for_https_stays(offer: Offer):
    child = own({"wss_proxy": "http://corp:9", "https_proxy": "http://corp:3128"}, offer)
    assert (child["wss_proxy"], "WSS_PROXY" in child, child["https_proxy"]) == ("http://corp:9", False, OURS)


def test_the_users_word_on_node_stays(offer: Offer):
    assert own({"NODE_USE_ENV_PROXY": "0"}, offer)["NODE_USE_ENV_PROXY"] == "0"


def test_proxies_of_takes_the_lower_case_first():
    environ = {
        "https_proxy": "http://lower:1",
        "HTTPS_PROXY": "http://upper:1",
        "http_proxy": "",
        "HTTP_PROXY": "http://upper:2",
        "ALL_PROXY": "socks5://upper:3",
        "NO_PROXY": "corp.example",
    }
    assert proxies_of(environ) == {"https": "http://lower:1", "all": "socks5://upper:3", "no": "corp.example"}


# NO_PROXY


def test_no_proxy_is_kept_and_extended(offer: Offer):
    child = own({"NO_PROXY": "corp.example, localhost"}, offer)
    assert child["NO_PROXY"] == child["no_proxy"] == f"corp.example, {LOOPBACK}"
    assert proxies_of(child)["no"] == "corp.example, localhost"


def test_each_case_of_no_proxy_keeps_its_own(offer: Offer):
    child = own({"NO_PROXY": "a.example", "no_proxy": "b.example"}, offer)
    assert (child["NO_PROXY"], child["no_proxy"]) == (f"a.example,{LOOPBACK}", f"b.example,{LOOPBACK}")


def test_no_proxy_for_anything_stays_alone(offer: Offer):
    child = own({"no_proxy": "*"}, offer)
    assert (child["no_proxy"], child["NO_PROXY"]) == ("*", "*")


@pytest.mark.parametrize(
    ("name", "url", "direct"),
    [
        ("OPENAI_BASE_URL", "http://localhost:4000/v1", f"127.0.0.1,::1,{METADATA}"),
        ("ANTHROPIC_BASE_URL", "http://127.0.0.1:4000", f"localhost,::1,{METADATA}"),
        ("OPENAI_API_BASE", "http://[::1]:4000/v1", f"localhost,127.0.0.1,{METADATA}"),
        ("OLLAMA_HOST", "127.0.0.1:11434", f"localhost,::1,{METADATA}"),
        ("OPENAI_BASE_URL", "https://localhost:4000/v1", LOOPBACK),
        ("OPENAI_BASE_URL", "http://gateway.example/v1", LOOPBACK),
        ("OPENAI_BASE_URL", "http://[nonsense", LOOPBACK),
    ],
)
def test_a_gateway_on_loopback_is_seen(offer: Offer, name: str, url: str, direct: str):
    child = own({name: url}, offer)
    assert (child[name], child["NO_PROXY"]) == (url, direct)


# Certificates


def test_a_child_with_nothing_set_trusts_the_system_and_us(offer: Offer, tmp_path: Path):
    child = own({}, offer)
    system = str(tmp_path / "system.pem")
    assert trusted(child, "SSL_CERT_FILE") == trusted(child, "REQUESTS_CA_BUNDLE") == bundle_of(system)
    assert child["NODE_EXTRA_CA_CERTS"] == child["DENO_CERT"] == os.path.join(offer.directory, "ca.pem")
    assert not {"CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "CODEX_CA_CERTIFICATE"} & child.keys()


@pytest.mark.parametrize(
    "name",
    [
        "SSL_CERT_FILE",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "AWS_CA_BUNDLE",
        "CODEX_CA_CERTIFICATE",
        "NODE_EXTRA_CA_CERTS",
        "DENO_CERT",
    ],
)
def test_a_file_of_the_users_is_trusted_with_us(offer: Offer, corp: str, name: str):
    assert trusted(own({name: corp}, offer), name) == bundle_of(corp)
    assert trust_of({name: corp}) == ([corp], name == "SSL_CERT_FILE")


def test_requests_goes_by_the_file_of_curl(offer: Offer, corp: str):
    child = own({"CURL_CA_BUNDLE": corp}, offer)
    assert child["REQUESTS_CA_BUNDLE"] == child["CURL_CA_BUNDLE"]


def test_certificates_of_a_directory_are_trusted_beside_the_systems(offer: Offer, corp: str, tmp_path: Path):
    (tmp_path / "certs").mkdir()
    Path(corp).rename(tmp_path / "certs" / "corp.pem")
    environ = {"SSL_CERT_DIR": f"{tmp_path}/absent:{tmp_path}/certs"}
    child = own(environ, offer)
    expected = bundle_of(str(tmp_path / "system.pem"), str(tmp_path / "certs" / "corp.pem"))
    assert trusted(child, "SSL_CERT_FILE") == expected
    assert trust_of(environ) == ([str(tmp_path / "certs")], False)


def test_a_certificate_file_of_the_callers_is_kept_and_tls_is_not_opened(offer: Offer, corp: str):
    child = intercepted({"SSL_CERT_FILE": corp}, {}, offer)
    assert proxies(child) == {"HTTP_PROXY": OURS, "http_proxy": OURS}
    assert child["SSL_CERT_FILE"] == corp


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "DENO_CERT"])
def test_a_file_that_is_not_there_stays_the_users_error(offer: Offer, name: str):
    child = own({name: "/nonexistent/corp.pem"}, offer)
    assert child[name] == "/nonexistent/corp.pem"
    assert child["HTTPS_PROXY"] == OURS


def test_a_file_that_clients_pass_over_is_passed_over(offer: Offer, tmp_path: Path):
    environ = dict.fromkeys(("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"), "/nonexistent/corp.pem")
    child = own(environ, offer)
    assert trusted(child, "SSL_CERT_FILE") == bundle_of(str(tmp_path / "system.pem"))
    assert child["NODE_EXTRA_CA_CERTS"] == os.path.join(offer.directory, "ca.pem")
    assert trust_of(environ) == ([], False)


def test_without_certificates_tls_is_not_opened(offer: Offer):
    child = own({"ALL_PROXY": "http://corp:3128"}, offer._replace(directory="/nonexistent"))
    assert proxies(child) == {"HTTP_PROXY": OURS, "http_proxy": OURS}
    assert child["ALL_PROXY"] == "http://corp:3128"
    assert "SSL_CERT_FILE" not in child


# The relay


def relayed(environ: dict[str, str], offer: Offer) -> dict[str, str]:
    child = own(environ, offer._replace(relay=True))
    return {name: child[name] for name in environment._BASE_URLS if name in child}


def test_base_urls_lead_through_the_relay_as_the_sdks_want_them(offer: Offer):
    assert relayed({}, offer) == {
        "ANTHROPIC_BASE_URL": f"{RELAY}/https/api.anthropic.com:443",
        "OPENAI_BASE_URL": f"{RELAY}/https/api.openai.com:443/v1",
        "GOOGLE_GEMINI_BASE_URL": f"{RELAY}/https/generativelanguage.googleapis.com:443",
    }


@pytest.mark.parametrize(
    ("url", "rest"),
    [
        ("http://localhost:4000/v1/", "http/localhost:4000/v1/"),
        ("https://[::1]/v1", "https/[::1]:443/v1"),
        ("http://gateway.example:/v1?tenant=a", "http/gateway.example:80/v1?tenant=a"),
    ],
)
def test_a_base_url_of_the_users_keeps_its_host_and_path(offer: Offer, url: str, rest: str):
    assert relayed({"OPENAI_BASE_URL": url}, offer)["OPENAI_BASE_URL"] == f"{RELAY}/{rest}"


def test_credentials_of_a_base_url_are_still_sent(offer: Offer):
    found = relayed({"GROQ_BASE_URL": "https://me:pw@gateway.example/groq"}, offer)
    assert found["GROQ_BASE_URL"] == "http://me:pw@127.0.0.1:4444/t/id:token/https/gateway.example:443/groq"


def test_a_second_variable_of_a_vendor_s_is_not_set_beside_the_users(offer: Offer):
    found = relayed({"OPENAI_API_BASE": "http://gateway.example/v1"}, offer)
    assert found["OPENAI_API_BASE"] == f"{RELAY}/http/gateway.example:80/v1"
    assert "OPENAI_BASE_URL" not in found


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPENAI_BASE_URL", "gateway.example/v1"),
        ("OPENAI_BASE_URL", "http://gateway.example:nan/v1"),
        ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "http://gateway.example"),
        ("OLLAMA_HOST", "127.0.0.1:11434"),
    ],
)
def test_what_cannot_be_relayed_stays(offer: Offer, name: str, value: str):
    assert relayed({name: value}, offer)[name] == value


def test_the_relay_itself_is_reached_without_a_proxy(offer: Offer):
    child = own({"OPENAI_BASE_URL": "http://127.0.0.1:4000"}, offer._replace(relay=True))
    assert (child["NO_PROXY"], child["no_proxy"]) == (LOOPBACK, LOOPBACK)


# Undoing


ENVIRON = {
    "PATH": "/bin",
    "https_proxy": "http://corp:3128",
    "ALL_PROXY": "socks5://corp:1080",
    "NO_PROXY": "corp.example",
    "NODE_EXTRA_CA_CERTS": "/nonexistent/corp.pem",
    "OPENAI_BASE_URL": "http://gateway.example/v1",
}


def test_undo_puts_everything_back(outer: Offer):
    child = own(ENVIRON, outer)
    assert child != ENVIRON
    undo(child)
    assert child == ENVIRON


def test_undo_leaves_what_is_no_longer_ours(outer: Offer):
    child = own({"https_proxy": "http://corp:3128"}, outer)
    child["HTTPS_PROXY"] = "http://someone:1"
    del child["https_proxy"]
    undo(child)
    assert child == {"HTTPS_PROXY": "http://someone:1"}


def test_undo_works_on_the_process_s_own_environment(outer: Offer, monkeypatch: pytest.MonkeyPatch):
    before = dict(os.environ)
    for name, value in own(before, outer).items():
        monkeypatch.setenv(name, value)
    undo(os.environ)
    assert dict(os.environ) == before


def test_an_llmtrace_within_another_goes_on_to_the_proxy_of_before_both(outer: Offer, offer: Offer, corp: str):
    environ = {**ENVIRON, "SSL_CERT_FILE": corp}
    given = own(environ, outer)
    child = intercepted({**given}, given, offer)
    assert child == own(environ, offer)
    assert proxies_of(given) == proxies_of(environ)
    assert trust_of(given) == trust_of(environ) == ([corp], True)
    undo(child)
    assert child == environ


def test_a_child_of_a_program_that_has_left_the_outer_proxy_may_still_name_it(outer: Offer, offer: Offer):
    given = own(ENVIRON, outer)
    assert intercepted(given, ENVIRON, offer) == intercepted(ENVIRON, given, offer) == own(ENVIRON, offer)


def test_a_proxy_of_the_callers_is_kept_within_another_llmtrace(outer: Offer, offer: Offer):
    given = own({}, outer)
    child = intercepted({**given, "HTTPS_PROXY": "http://custom:1"}, given, offer)
    assert proxies(child) == {"HTTPS_PROXY": "http://custom:1", "HTTP_PROXY": OURS, "http_proxy": OURS}


@pytest.mark.parametrize(
    "record",
    [
        "",
        "nonsense",
        "[" * 100_000,
        "[]",
        "null",
        json.dumps({"PATH": "/bin"}),
        json.dumps({"PATH": ["/bin"]}),
        json.dumps({"PATH": [None, "/evil"]}),
        json.dumps({"PATH": ["/bin", 1]}),
        json.dumps({"PATH": ["/bin", "nul\0"]}),
        json.dumps({"": ["", ""], "a=b": ["c", "d"]}),
    ],
    ids=range(11),
)
def test_a_record_that_is_not_ours_is_dropped(record: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/bin")
    monkeypatch.setenv(UNDO, record)
    before = dict(os.environ)
    del before[UNDO]
    undo(os.environ)
    assert dict(os.environ) == before


def test_a_value_that_is_no_text_is_put_back_as_it_was(outer: Offer):
    environ = {"NO_PROXY": os.fsdecode(b"caf\xe9.example")}
    child = own(environ, outer)
    undo(child)
    assert child == environ
