"""What a program and its proxy say to each other arrives as it was said, however it is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtrace_otel.proxy import messages
from llmtrace_otel.wire.call import Besides, Call, Library, Usage
from llmtrace_otel.wire.vendors import Registration

CALL = Call(
    "chat",
    "openai",
    request_model="gpt-5",
    usage=Usage(input=10, output=5),
    besides=[Besides(Usage(input=1), "gpt-5-mini")],
    library=Library(session_id="s"),
    finish_reasons=["stop"],
    start_ns=1,
    end_ns=2,
    complete=True,
    capture=True,
    input_messages=[{"role": "user", "parts": [{"type": "text", "content": "hé"}]}],
)
TO_PROXY = [
    messages.Settings([Registration("corp", "https://llm.corp.example", ("/x/*",), "openai.chat")], capture=True),
    messages.Child("00f0", "secret", {"traceparent": "00-1"}, {"https": "http://proxy:1"}, ["/corp.pem"], only=True),
    messages.Started("00f0", 42),
    messages.Ended("00f0"),
    messages.Sync(7),
    messages.Taken(),
]
FROM_PROXY = [
    messages.Ready(4711, "/tmp/llmtrace-x", 42),
    messages.Failed("no port"),
    messages.Seen("00f0", CALL, "00-a-b-01"),
    messages.Synced(7, {"api.openai.com": "read"}),
    messages.Gone("00f0"),
]


@pytest.mark.parametrize(("said", "of_proxy"), [(TO_PROXY, True), (FROM_PROXY, False)])
@given(cuts=st.lists(st.integers(1, 40), max_size=30))
def test_messages_arrive_whole_and_in_order_however_they_are_cut(said, of_proxy, cuts):
    stream = b"".join(messages.encode(message) for message in said)
    inbox, heard = messages.Inbox(of_proxy=of_proxy), []
    for cut in cuts:
        heard += inbox.feed(stream[:cut])
        stream = stream[cut:]
    heard += inbox.feed(stream)
    assert heard == said
