"""A trace request read for a few attributes only.

On the wire a list of `KeyValue` is the same as a protobuf map. Read as one, an attribute is a look-up in C instead of a
walk in Python, which on LLM spans is a third of the time. What the schema does not name is skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf import text_format  # type: ignore[import-untyped]
from google.protobuf.descriptor_pb2 import FileDescriptorProto  # type: ignore[import-untyped]
from google.protobuf.descriptor_pool import DescriptorPool  # type: ignore[import-untyped]
from google.protobuf.message_factory import GetMessageClass  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Iterator

FAILED = 2  # STATUS_CODE_ERROR

# The numbers are those of opentelemetry/proto/trace/v1/trace.proto and common/v1/common.proto.
SCHEMA = """
name: "glance.proto" package: "glance" syntax: "proto3"
message_type {
  name: "Request"
  field { name: "resources" number: 1 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".glance.Resource" }
}
message_type {
  name: "Resource"
  field { name: "scopes" number: 2 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".glance.Scope" }
}
message_type {
  name: "Scope"
  field { name: "spans" number: 2 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".glance.Span" }
}
message_type {
  name: "Span"
  field {
    name: "attributes" number: 9 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".glance.Span.AttributesEntry"
  }
  field { name: "status" number: 15 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".glance.Status" }
  nested_type {
    name: "AttributesEntry"
    field { name: "key" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
    field { name: "value" number: 2 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".glance.Value" }
    options { map_entry: true }
  }
}
message_type {
  name: "Value"
  oneof_decl { name: "value" }
  field { name: "string_value" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING oneof_index: 0 }
  field { name: "bool_value" number: 2 label: LABEL_OPTIONAL type: TYPE_BOOL oneof_index: 0 }
  field { name: "int_value" number: 3 label: LABEL_OPTIONAL type: TYPE_INT64 oneof_index: 0 }
  field { name: "double_value" number: 4 label: LABEL_OPTIONAL type: TYPE_DOUBLE oneof_index: 0 }
}
message_type {
  name: "Status"
  field { name: "code" number: 3 label: LABEL_OPTIONAL type: TYPE_INT32 }
}
"""


def _request() -> Any:
    pool = DescriptorPool()
    pool.Add(text_format.Parse(SCHEMA, FileDescriptorProto()))
    return GetMessageClass(pool.FindMessageTypeByName("glance.Request"))


Request = _request()


def spans(request: bytes) -> Iterator[Any]:
    """The spans of a serialised request that is known to be one. They have `attributes`, a mapping, and `status`."""
    message = Request()
    message.ParseFromString(request)
    for resource in message.resources:
        for scope in resource.scopes:
            yield from scope.spans


def scalar(value: Any) -> Any:
    """The string, boolean or number that a value of `attributes` holds; None for anything else."""
    kind = value.WhichOneof("value")
    return kind and getattr(value, kind)
