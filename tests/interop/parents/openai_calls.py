"""A child: three calls by OpenAI's SDK, two of them streamed."""

from openai import OpenAI

ASKED = [{"role": "user", "content": "How is the weather in Paris?"}]
COUNTED = {"include_usage": True}

client = OpenAI(api_key="sk-local")
client.chat.completions.create(model="gpt-5-mini", messages=ASKED)
list(client.chat.completions.create(model="gpt-4o-mini", messages=ASKED, stream=True, stream_options=COUNTED))
with client.responses.create(model="gpt-5.1-codex", input="How is the weather?", stream=True) as events:
    print(list(events)[-1].type)
