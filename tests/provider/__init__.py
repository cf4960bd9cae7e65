"""A local provider: OpenAI's, Azure's, Anthropic's, Gemini's and Bedrock's formats on 127.0.0.1, no network, no key.

    with Provider() as provider:
        OpenAI(base_url=f"{provider.url}/v1", api_key="local").chat.completions.create(...)

Every answer's usage is known (input 10, output 5; Anthropic adds cache_read 100 and cache_creation 20), and request
headers choose how the answer travels: `ask.py` lists them. A request goes through the modules in this order:

    server.py   sockets, recording             HTTP/1.1 with keep-alive
    routes.py   which format a path speaks     openai_chat, openai_responses, anthropic_messages, bedrock, …
    script.py   what the model says            a tool call when it has tools and a user asks, else text
    usage.py    what it counts
    reply.py    how the bytes travel           encoding, cuts, chunk sizes
"""

from .server import Provider, Request

__all__ = ["Provider", "Request"]
