"""Streams of whatever kind LiteLLM may give back: what the program does to them reaches them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from litellm_helpers import HI, MINI, litellm, soon

from llmtrace_otel.instrument import left_streams
from llmtrace_otel.instrument.litellm import LiteLLMInstrumentor
from support.spans import Recorded


@pytest.fixture
def giving(monkeypatch: pytest.MonkeyPatch, recorded: Recorded) -> Iterator[Any]:
    """LiteLLM with functions that give back any stream."""
    given: list[Any] = []
    instrumentor = LiteLLMInstrumentor()

    def completion(model: str, messages: Any, **_: Any) -> Any:
        return given.pop()

    monkeypatch.setattr(litellm, "completion", completion)
    instrumentor.instrument(**recorded.providers)

    def call(stream: Any) -> Any:
        given.append(stream)
        return litellm.completion(MINI, HI, stream=True)

    yield call
    instrumentor.uninstrument()


def words(said: list[Any]) -> Iterator[Any]:
    try:
        said.append((yield "one"))
        yield "two"
    except ValueError as error:
        said.append(error)
        yield "three"
    finally:
        said.append("closed")


async def words_async(said: list[Any]) -> AsyncIterator[Any]:
    try:
        said.append((yield "one"))
        yield "two"
    except ValueError as error:
        said.append(error)
        yield "three"
    finally:
        said.append("closed")


def test_what_is_sent_and_thrown_into_a_generator_reaches_it(giving: Any, recorded: Recorded) -> None:
    said: list[Any] = []
    stream, error = giving(words(said)), ValueError()
    assert (next(stream), stream.send("go on"), stream.throw(error)) == ("one", "two", "three")
    stream.close()
    assert said == ["go on", error, "closed"]
    assert stream.__name__ == "words"
    assert len(recorded.spans) == 1


def test_so_it_is_with_an_asynchronous_one(giving: Any, recorded: Recorded) -> None:
    said: list[Any] = []
    error = ValueError()

    async def main() -> None:
        stream = giving(words_async(said))
        assert [await anext(stream), await stream.asend("go on"), await stream.athrow(error)] == ["one", "two", "three"]
        await stream.aclose()
        assert said == ["go on", error, "closed"]

    asyncio.run(main())
    assert len(recorded.spans) == 1


def test_a_generator_that_is_dropped_before_it_has_begun_ends_its_call(giving: Any, recorded: Recorded) -> None:
    giving(words([]))
    assert soon(lambda: len(recorded.spans) == 1)
    assert not left_streams._open


class Base(Iterator[str]):
    def __next__(self) -> str:
        raise StopIteration


class Derived(Base):
    def __next__(self) -> str:
        return super().__next__()


def test_a_class_whose_method_calls_its_bases_is_read_once(giving: Any, recorded: Recorded) -> None:
    before = vars(Iterator)["__next__"]
    assert list(giving(Derived())) == []
    assert len(recorded.spans) == 1
    assert vars(Iterator)["__next__"] is before


class WithoutDictionary:
    __slots__ = ()

    def __next__(self) -> str:
        raise StopIteration


def test_a_stream_that_takes_no_attribute_is_left_alone(giving: Any, recorded: Recorded) -> None:
    stream = giving(WithoutDictionary())
    assert type(stream) is WithoutDictionary
    with pytest.raises(StopIteration):
        next(stream)
    assert len(recorded.spans) == 1
    assert not left_streams._open


def test_a_task_that_is_given_back_stays_the_very_task(giving: Any, recorded: Recorded) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(asyncio.sleep(0, "answer"))
        assert giving(task) is task
        assert await task == "answer"

    asyncio.run(main())
    assert "gen_ai.usage.input_tokens" not in (recorded.span.attributes or {})


def test_a_coroutine_that_is_given_back_is_a_part_of_its_call(giving: Any, recorded: Recorded) -> None:
    async def main() -> None:
        coroutine = giving(asyncio.sleep(0, "answer"))
        assert not recorded.spans
        assert await coroutine == "answer"

    asyncio.run(main())
    assert len(recorded.spans) == 1
