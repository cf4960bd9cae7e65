"""The calls of child programs in any language: a proxy that reads what an LLM call says while the bytes pass by.

    this process                                the proxy, a process of its own                 a child
    link.py       starts it, tells it of   ───► sidecar.py      who it is, when it ends
                  each child, records calls ◄── server.py       CONNECT, http, relay   ◄──────  HTTPS_PROXY and
    environment.py, trust.py                    tee.py, taps.py  bytes on, a copy read            CA of environment.py
                  what a child is given         authority.py    a CA for LLM hosts only

- Bytes pass unchanged, as soon as they come; a copy drives an `Exchange` or a `Conversation`. What cannot be read costs
  a span, never a request.
- Only the hosts that `hosts.py` names are opened; anything else is tunnelled untouched.
- A child is known by the credentials in its proxy URL. They hold for that child alone, and end with it.
- The proxy is its own process, because a child may outlive us and must still reach its provider. While we live, it
  hands us each finished call, and we record it with the program's own providers; afterwards it records by itself.
"""
