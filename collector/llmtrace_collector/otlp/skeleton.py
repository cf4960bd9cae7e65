"""Requests parsed no deeper than their items, in which whatever is not looked into stays bytes.

Protobuf's parser finds the parts of a request faster than Python walks to them, and makes Python objects of what is
asked for only. The schema is the real one, but messages that hold no items are declared as strings of bytes: where one
comes in several pieces, the pieces behind one another are the message.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto  # type: ignore[import-untyped]
from google.protobuf.descriptor_pool import DescriptorPool  # type: ignore[import-untyped]
from google.protobuf.message_factory import GetMessageClass  # type: ignore[import-untyped]
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    NumberDataPoint,
    SummaryDataPoint,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

VALUES = {message.DESCRIPTOR.full_name for message in (KeyValue, AnyValue)}
ITEMS = {
    message.DESCRIPTOR.full_name
    for message in (
        Span,
        LogRecord,
        NumberDataPoint,
        HistogramDataPoint,
        ExponentialHistogramDataPoint,
        SummaryDataPoint,
    )
}
OPENED = {message.DESCRIPTOR.full_name for message in (Span, Status)}  # the only ones below envelopes
PACKAGE = "skeleton"


@cache
def is_envelope(descriptor: Any) -> bool:
    """Whether messages of this type hold items, at whatever depth."""
    held = [field.message_type for field in descriptor.fields if field.message_type is not None]
    return descriptor.full_name not in VALUES and any(
        message.full_name in ITEMS or is_envelope(message) for message in held
    )


@cache
def skeleton(descriptor: Any) -> Any:
    """The message class that reads requests of this type."""
    file = FileDescriptorProto(name=f"{PACKAGE}.proto", package=PACKAGE, syntax="proto3")
    _declare(descriptor, file)
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{descriptor.name}"))


def _declare(descriptor: Any, file: Any) -> None:
    """Adds a message type, and those of its fields that are looked into."""
    declared = file.message_type.add()
    descriptor.CopyToProto(declared)
    del declared.nested_type[:], declared.enum_type[:]
    for field, written in zip(descriptor.fields, declared.field, strict=True):
        if field.enum_type is not None:
            written.type = FieldDescriptorProto.TYPE_INT32
            written.ClearField("type_name")
        elif field.message_type is not None and _is_opened(field.message_type):
            written.type_name = f".{PACKAGE}.{field.message_type.name}"
            _declare(field.message_type, file)
        elif field.message_type is not None:
            written.type, written.label = FieldDescriptorProto.TYPE_BYTES, FieldDescriptorProto.LABEL_REPEATED
            written.ClearField("type_name")


def _is_opened(descriptor: Any) -> bool:
    return descriptor.full_name in OPENED or is_envelope(descriptor)
