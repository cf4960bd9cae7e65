// One call by each of the official SDKs; NODE_PATH says where they are installed.
const OpenAI = require("openai").default;
const Anthropic = require("@anthropic-ai/sdk").default;

const messages = [{ role: "user", content: "How is the weather in Paris?" }];

async function main() {
  const chat = await new OpenAI().chat.completions.create({ model: "gpt-5-mini", messages });
  console.log(chat.choices[0].message.content);
  const message = await new Anthropic().messages.create({ model: "claude-haiku-4-5", max_tokens: 100, messages });
  console.log(message.content[0].text);
}

main();
