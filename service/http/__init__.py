"""HTTP: the protocol of a connection, the middleware, request bodies, responses and pages."""

from heed.service.http import openapi, schemas
from heed.service.http.middleware import ServiceMiddleware, add_middleware
from heed.service.http.openapi import EXAMPLE_METRICS, EXAMPLE_MODEL, openapi_document, route_docs
from heed.service.http.pages import add_pages
from heed.service.http.protocol import Protocol
from heed.service.http.request_body import check_headers, client_key, parse, read_body
from heed.service.http.request_record import log_failed_texts, record_of
from heed.service.http.responses import JsonResponse, error_response, problem_of
from heed.service.http.schemas import Model, Models, Status
from heed.service.http.tracing import Tracer

__all__ = [
    "EXAMPLE_METRICS",
    "EXAMPLE_MODEL",
    "JsonResponse",
    "Model",
    "Models",
    "Protocol",
    "ServiceMiddleware",
    "Status",
    "Tracer",
    "add_middleware",
    "add_pages",
    "check_headers",
    "client_key",
    "error_response",
    "log_failed_texts",
    "openapi",
    "openapi_document",
    "parse",
    "problem_of",
    "read_body",
    "record_of",
    "route_docs",
    "schemas",
]
