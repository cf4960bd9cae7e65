"""Values that a record expects and its own bytes contradict: the field is not scored there, and this is why.

A record that comes to agree is reported, so that nothing stays here without need.
"""

_GROUNDING = "the block says `type: server_tool_use`: Bedrock ran the tool, the client is not asked to"
_CITED = "the answer's text is in `citationsContent.content[].text`, which the caller sees"

DISPUTED = {
    ("1341e39a5e6703a0", "n_tool_calls"): _GROUNDING,
    ("6f9b50d267fcb01d", "n_tool_calls"): _GROUNDING,
    ("8f8acca055eb88d3", "output_text_sha256"): _CITED,
    ("986bfc8011bd4a7d", "output_text_sha256"): _CITED,
    ("bef847ff2bee077b", "output_text_sha256"): _CITED,
    ("2ab2c6200334e42a", "output_text_sha256"): "the answer's text is in `choices[0].text`, which the caller sees",
    ("a240945febdac1c8", "error_type"): "`message-end` says `error_type: INVALID_TOOL_GENERATION`",
    ("d3cad6a5d404cadb", "error_type"): "`message-end` says `error_type: INVALID_TOOL_GENERATION`",
}
"""Record and field → the evidence."""
