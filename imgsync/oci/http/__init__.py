"""An HTTP client over sockets; knows no registry."""
