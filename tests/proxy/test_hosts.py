"""Which hosts the proxy opens, and which it leaves alone."""

import pytest

from llmtrace_otel.proxy.hosts import is_opened, permitted
from llmtrace_otel.wire.vendors import PROVIDERS, Registration

NAMES = frozenset(permitted())


@pytest.mark.parametrize(
    "host",
    [
        "api.openai.com",
        "API.OpenAI.com.",
        "eu.api.openai.com",
        "api.anthropic.com",
        "x.openai.azure.com",
        "generativelanguage.googleapis.com",
        "cloudcode-pa.googleapis.com",
        "us-east5-aiplatform.googleapis.com",
        "bedrock-runtime.us-east-1.amazonaws.com",
        "bedrock-runtime-fips.us-gov-west-1.amazonaws.com",
        "bedrock-runtime.cn-north-1.amazonaws.com.cn",
        "bedrock-mantle.eu-west-1.api.aws",
        "chatgpt.com",
        "api.individual.githubcopilot.com",
    ],
)
def test_a_host_where_a_model_is_spoken_with_is_opened(host):
    assert is_opened(host, NAMES)


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "notapi.openai.com.evil.example",
        "openai.com",
        "evilapi.openai.com",
        "storage.googleapis.com",
        "s3.us-east-1.amazonaws.com",
        "account.snowflakecomputing.com",
        "github.com",
        "localhost",
        "127.0.0.1",
        "",
    ],
)
def test_any_other_host_is_not(host):
    assert not is_opened(host, NAMES)


def test_no_name_covers_more_than_its_vendor():
    """A name that is a whole domain of others would let the CA sign for them."""
    assert not {"googleapis.com", "amazonaws.com", "azure.com", "aws", "com", "snowflakecomputing.com"} & NAMES


def test_every_vendor_with_a_host_on_the_network_has_a_name():
    without = {"snowflake"}  # whose hosts are first of all its customers' databases
    for vendor in PROVIDERS:
        ends = [host.lstrip(".-") for host in vendor.hosts if not host.startswith(":")]
        reached = [name for name in NAMES for end in ends if name == end or name.endswith(end)]
        assert bool(reached) == (bool(ends) and vendor.name not in without), vendor


def test_what_the_user_registers_is_opened_too():
    registered = [
        Registration("corp", "https://llm.corp.example:8443/api"),
        Registration("snowflake", "https://acme.snowflakecomputing.com"),
        Registration("bare", "https://10.0.0.7/v1"),
        Registration("six", "https://[::1]/v1"),
    ]
    names = set(permitted(registered)) - NAMES
    assert names == {"llm.corp.example", "acme.snowflakecomputing.com"}
