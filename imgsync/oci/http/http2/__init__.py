"""
HTTP/2 for one client: many requests at once on one TLS connection.

Imported once a server chose it, because it takes time to import. Upper modules use `link.open_link` and `shared_exchange`.

- `frames`: bytes to frames and back
- `head`: headers of requests and responses
- `exchange`: the state of one request and its response
- `flood_limit`: counts frames against content
- `session`: the state of one connection: frames to exchanges, windows, settings
- `link`: a session over TLS, read and written by two threads
- `request_stream`: one exchange as a byte stream, for `TimedSocket`
- `shared_exchange`: sends a request, returns an `httpx.Response`

Spec: RFC 9113, RFC 7541.
"""
