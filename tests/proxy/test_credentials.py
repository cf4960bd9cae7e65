"""Who may use the proxy."""

from __future__ import annotations

from llmtrace_otel.proxy.credentials import Credentials
from llmtrace_otel.proxy.messages import Child

ONE, OTHER = Child("one", "token of one", {}), Child("other", "token of the other", {})


def test_each_child_has_its_own_token():
    credentials = Credentials()
    credentials.add(ONE)
    credentials.add(OTHER)
    assert credentials.child("one", "token of one") is ONE
    assert credentials.child("other", "token of the other") is OTHER
    assert credentials.child("one", "token of the other") is None
    assert credentials.child("one", "") is None
    assert credentials.child("nobody", "") is None
    assert credentials.child("one", "tokén \udcff") is None


def test_a_child_that_is_over_has_none():
    credentials = Credentials()
    credentials.add(ONE)
    assert credentials.knows("one")
    credentials.remove("one")
    credentials.remove("one")
    assert not credentials.knows("one")
    assert credentials.child("one", "token of one") is None
