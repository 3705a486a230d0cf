"""The OpenAPI 3.1 document, made from the table of routes and the wire types."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata
from typing import Any

import msgspec
from emberhub.wire import rest

from .routes import Operation, Route

PATH = "api/openapi.json"


def document(routes: Iterable[Route], server: str) -> dict[str, Any]:
    """The document; `server` is the prefix that the routes are under."""
    routes = tuple(routes)
    types = {t for route in routes for o in route.operations for t in (o.answer, o.body) if t is not None}
    # The allocator has types of the same names as the API: they get names of their own.
    own = [t for t in types if t.__module__ == rest.__name__] + [rest.Problem]
    other = [t for t in types if t.__module__ != rest.__name__]
    components = _components(own, "") | _components(other, "Allocator")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Emberhub",
            "version": metadata.version("emberhub"),
            "description": "Personal Spark clusters, whose executors the hub shares out.",
        },
        "servers": [{"url": server}],
        "security": [{"hub": []}],
        "paths": {
            f"/{route.path}": {o.method.lower(): _operation(route, o) for o in route.operations} for route in routes
        },
        "components": {
            "schemas": {name: components[name] for name in sorted(components)},
            "securitySchemes": {
                "hub": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of the hub with the scope access:services!service=emberhub.",
                }
            },
        },
    }


def _components(types: Iterable[type], prefix: str) -> dict[str, Any]:
    ordered = sorted(types, key=lambda t: t.__name__)
    _, found = msgspec.json.schema_components(ordered, ref_template=f"#/components/schemas/{prefix}{{name}}")
    return {f"{prefix}{name}": schema for name, schema in found.items()}


def _operation(route: Route, operation: Operation) -> dict[str, Any]:
    parameters = [
        {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}, "description": "The cluster's id."}
    ]
    parameters = parameters if "{id}" in route.path else []
    parameters += [
        {"name": name, "in": "query", "required": False, "schema": {"type": "string"}, "description": description}
        for name, description in operation.query
    ]
    content: dict[str, Any] = {"text/plain": {"schema": {"type": "string"}}}
    if operation.answer is not None:
        content = {"application/json": {"schema": _reference(operation.answer)}}
    made: dict[str, Any] = {
        "operationId": f"{operation.method.lower()}_{route.path.replace('/', '_').replace('{', '').replace('}', '')}",
        "summary": operation.summary,
        "responses": {
            "200": {"description": "Done.", "content": content},
            "default": {
                "description": "Refused; the message says what to change.",
                "content": {"application/json": {"schema": _reference(rest.Problem)}},
            },
        },
    }
    if operation.method == "POST":
        made["responses"]["201"] = {"description": "Made.", "content": content}
    if parameters:
        made["parameters"] = parameters
    if operation.body is not None:
        made["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _reference(operation.body)}},
        }
    if operation.public:
        made["security"] = []
    return made


def _reference(type_: type) -> dict[str, str]:
    prefix = "" if type_.__module__ == rest.__name__ else "Allocator"
    return {"$ref": f"#/components/schemas/{prefix}{type_.__name__}"}
