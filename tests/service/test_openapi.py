"""The OpenAPI document says what the service does."""

import json
import re

import jsonschema
from emberhub_service.api.routes import ROUTES


async def test_the_document_lists_every_route_and_its_references_lead_somewhere(running):
    document = (await running.call("GET", "api/openapi.json")).json
    assert document["openapi"].startswith("3.1")
    assert document["servers"] == [{"url": "/services/emberhub"}]
    listed = {(path, method) for path, methods in document["paths"].items() for method in methods}
    assert listed == {(f"/{route.path}", o.method.lower()) for route in ROUTES for o in route.operations}
    ids = [o["operationId"] for methods in document["paths"].values() for o in methods.values()]
    assert len(ids) == len(set(ids))
    schemas = document["components"]["schemas"]
    references = re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(document))
    assert references
    assert set(references) <= set(schemas)
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    assert document["components"]["schemas"]["CreateCluster"]["additionalProperties"] is False


async def test_answers_are_as_the_document_says(running):
    document = (await running.call("GET", "api/openapi.json")).json
    cluster, driver = await running.start()
    await driver.work(wanted=9)
    await running.until(cluster, lambda c: len(c["running"]) == 4)
    checked = 0
    for route in ROUTES:
        for operation in route.operations:
            if operation.method != "GET" or operation.answer is None:
                continue
            who = "admin" if route.path.endswith(("snapshot", "events", "queues")) else "alice"
            answer = await running.call("GET", route.path.replace("{id}", cluster), who=who)
            assert answer.status == 200
            described = document["paths"][f"/{route.path}"]["get"]["responses"]["200"]["content"]
            schema = described["application/json"]["schema"]
            jsonschema.validate(answer.json, {**schema, "components": document["components"]})
            checked += 1
    assert checked >= 7
    refused = await running.call("GET", "api/clusters/c-0000000000000000")
    jsonschema.validate(refused.json, {"$ref": "#/components/schemas/Problem", "components": document["components"]})
