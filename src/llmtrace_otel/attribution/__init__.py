"""Who a call belongs to: the rooms behind `session()`, `agent()`, `tool()` and `workflow()`.

- `api`: the four functions, which the package re-exports.
- `scope`: what they return; `with`, `async with` and `@` over every kind of function.
- `operations`: the spans and duration metrics of agents, tools and workflows.
- `entry`: one entry into a scope; what is attached while the work inside runs.
- `identity`: the ids themselves, entries in the context's W3C baggage.
- `stamping`: the span processor that copies those entries onto every span.
- `once`: what is made once for each provider.

Identity has one home, the baggage, and one reader, the span processor, whichever library makes the span. So whatever
carries the context carries the identity: tasks, threads, child processes (`BAGGAGE`), requests of instrumented clients.
A span keeps what it was given at its start, also when it ends after its session.
"""
