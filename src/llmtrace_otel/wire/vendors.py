"""The table of vendors: names and hosts, as plain data that costs nothing to import.

A host is exact (`api.openai.com`), a suffix (`.openai.azure.com`) or, for servers that run on one's own machine, a
loopback port (`:11434`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Provider(NamedTuple):
    """One row: a vendor."""

    name: str
    hosts: tuple[str, ...] = ()
    under: str = ""
    """A part of the paths that are this vendor's, where several share a host."""
    label: str = ""
    """A part of its hosts, where others have hosts with the same end."""
    prices: str | None = None
    """Its id in `genai-prices`, where that is known to it."""
    paths: Mapping[str, str] = {}
    """Paths of its own, beyond those that all vendors share, and the name of the format that is spoken there."""


_COHERE_PATHS = {
    "/v2/chat": "cohere.chat",
    "/v1/chat": "cohere.chat_v1",
    "/v1/generate": "cohere.generate",
    "/v2/embed": "cohere.embeddings",
    "/v1/embed": "cohere.embeddings",
}
_OLLAMA_PATHS = {
    "/api/chat": "ollama.chat",
    "/api/generate": "ollama.generate",
    "/api/embed": "ollama.embeddings",
    "/api/embeddings": "ollama.embeddings",
}
_WATSONX_PATHS = {
    "/text/chat": "watsonx.chat",
    "/text/chat_stream": "watsonx.chat_stream",
    "/text/generation": "watsonx.generation",
    "/text/generation_stream": "watsonx.generation_stream",
    "/text/embeddings": "openai.embeddings",
}
_VOYAGE_PATHS = {
    "/multimodalembeddings": "openai.embeddings",
    "/contextualizedembeddings": "openai.embeddings",
}
_SNOWFLAKE_PATHS = {
    "/cortex/inference:complete": "openai.chat",
    "/cortex/inference:embed": "openai.embeddings",
}
_LLAMACPP_PATHS = {
    "/completion": "llamacpp.completion",
    "/infill": "llamacpp.completion",
    "/embedding": "llamacpp.embeddings",
}
_AWS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")

PROVIDERS = (
    Provider("openai", ("api.openai.com", ".api.openai.com", "chatgpt.com"), prices="openai"),
    Provider("anthropic", ("api.anthropic.com",), prices="anthropic"),
    Provider("azure.ai.openai", (".openai.azure.com", ".cognitiveservices.azure.com"), prices="azure"),
    Provider("azure.ai.openai", (".services.ai.azure.com",), under="/openai/", prices="azure"),
    Provider("azure.ai.openai", (".services.ai.azure.com",), under="/voice-live/", prices="azure"),
    Provider("anthropic", (".services.ai.azure.com",), under="/anthropic/", prices="anthropic"),
    Provider(
        "azure.ai.inference",
        (".services.ai.azure.com", ".inference.ai.azure.com", ".models.ai.azure.com"),
        prices="azure",
    ),
    Provider("gcp.gemini", ("generativelanguage.googleapis.com", "cloudcode-pa.googleapis.com"), prices="google"),
    Provider(
        "gcp.vertex_ai",
        ("aiplatform.googleapis.com", "-aiplatform.googleapis.com", ".rep.googleapis.com"),
        prices="google",
    ),
    Provider("aws.bedrock", _AWS, under="/model/", label="bedrock", prices="aws"),
    Provider("aws.bedrock", _AWS, under="/v1/", label="bedrock", prices="aws"),
    Provider("mistral_ai", ("api.mistral.ai", "codestral.mistral.ai"), prices="mistral"),
    Provider("groq", ("api.groq.com",), prices="groq"),
    Provider("deepseek", ("api.deepseek.com",), prices="deepseek"),
    Provider("x_ai", ("api.x.ai", ".api.x.ai"), prices="x-ai"),
    Provider("openrouter", ("openrouter.ai",), prices="openrouter"),
    Provider("perplexity", ("api.perplexity.ai",), prices="perplexity"),
    Provider("together", ("api.together.ai", "api.together.xyz"), prices="together"),
    Provider("fireworks", ("api.fireworks.ai",), prices="fireworks"),
    Provider("huggingface", ("router.huggingface.co",)),  # each of those it routes to has prices of its own
    Provider("cerebras", ("api.cerebras.ai",), prices="cerebras"),
    Provider("moonshot_ai", ("api.moonshot.ai", "api.moonshot.cn"), prices="moonshotai"),
    Provider("novita", ("api.novita.ai",), prices="novita"),
    Provider("cohere", ("api.cohere.com", "api.cohere.ai"), prices="cohere", paths=_COHERE_PATHS),
    Provider("ibm.watsonx.ai", (".ml.cloud.ibm.com",), under="/ml/v1/", paths=_WATSONX_PATHS),
    Provider("voyage", ("api.voyageai.com", "ai.mongodb.com"), paths=_VOYAGE_PATHS),
    Provider("z_ai", ("api.z.ai", "open.bigmodel.cn"), prices="zai"),
    Provider(
        "dashscope",
        (
            "dashscope.aliyuncs.com",
            "dashscope-intl.aliyuncs.com",
            "dashscope-us.aliyuncs.com",
            ".dashscope.aliyuncs.com",
        ),
    ),
    Provider("crusoe", (".crusoecloud.com",)),
    Provider("snowflake", (".snowflakecomputing.com",), paths=_SNOWFLAKE_PATHS),
    Provider("heroku", (".inference.heroku.com",)),
    Provider("writer", ("api.writer.com",), paths={"/v1/chat": "openai.chat"}),
    Provider("portkey", ("api.portkey.ai",)),
    Provider("github_copilot", (".githubcopilot.com",)),
    Provider("github_models", ("models.github.ai",)),
    Provider("ollama", ("ollama.com", ":11434"), paths=_OLLAMA_PATHS),
    Provider("vllm", (":8000",)),
    Provider("lmstudio", (":1234",), paths={"/api/v1/chat": "lmstudio.chat"}),
    Provider("llamacpp", (":8080",), paths=_LLAMACPP_PATHS),
    Provider("litellm", (":4000",)),
)

SELF_HOSTED = ("gpustack", "litellm", "llamacpp", "lmstudio", "localai", "ollama", "sglang", "vllm")
"""Products that people run on hosts named after them."""


class Registration(NamedTuple):
    """A provider that a user has added: the arguments of `register_provider`."""

    name: str
    base_url: str
    path_patterns: tuple[str, ...] = ()
    wire_format: str | None = None
