"""
An HTTP/1.1 client over sockets.

It can be read, tested and replaced alone. The package above uses these names:

- `client.HttpClient`, `proxy_client.ProxyHttpClient`: send a request, return an `httpx.Response`
- `request.Request`, `request.BODY_UNSENT`: what they take, and what a response may say of the request
- `ssrf_guard.SsrfGuard`: where the client may connect
- `tls.make_tls_context`: how it trusts servers
- `url`: split and join URLs
- `errors`: errors beside httpx's own

Responses and errors are httpx's, so callers can use httpx's documentation. Everything else is internal.
"""
