"""
An HTTP/1.1 client over sockets.

It can be read, tested and replaced alone. The package above uses these names:

- `client.HttpClient`: sends a request, returns an `httpx.Response`
- `request.Request`, `request.BODY_UNSENT`: what they take, and what a response may say of the request
- `ssrf_guard.SsrfGuard`, `resolver.Resolver`: where the client may connect
- `proxy.Proxy`: the proxy that it goes through
- `tls.make_tls_context`: how it trusts servers
- `url`: split and join URLs
- `errors`: errors beside httpx's own

Responses and errors are httpx's, so callers can use httpx's documentation. Everything else is internal.
"""
