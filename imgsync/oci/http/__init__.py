"""
An HTTP client over sockets: HTTP/1.1, and HTTP/2 for small requests.

It can be read, tested and replaced alone. The package above uses these names:

- `client.HttpClient`: sends a request, returns an `httpx.Response`
- `request.Request`, `request.BODY_UNSENT`: what they take, and what a response may say of the request
- `ssrf_guard.SsrfGuard`, `resolver.Resolver`: where the client may connect
- `proxy.Proxy`: the proxy that it goes through
- `shared_connections.SharedConnections`, `connector.Connector`: the HTTP/2 connections that clients share
- `tls.make_tls_context`: how it trusts servers
- `url`: split and join URLs
- `errors`: errors beside httpx's own

Responses and errors are httpx's, so callers can use httpx's documentation. Everything else is internal.
"""
