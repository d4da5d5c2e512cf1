"""HTTP: the protocol of a connection, the middleware, request bodies, responses and pages."""
