"""How telemetry comes in: OTLP over HTTP and over gRPC, each with TLS and tokens if told.

Both transports hand a body to an `Intake`, which is where it becomes a batch and is counted; they differ in how a
refusal is said. `answers` has the refusals' bodies, `binding` the addresses, `tls` the certificates.
"""
