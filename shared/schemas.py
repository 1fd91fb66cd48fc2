"""What JSON Schemas of documents are put together from. Pure."""

from typing import Any

Schema = dict[str, Any]

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def mapping(properties: Schema, required: list[str] | None = None) -> Schema:
    """With these keys and no others."""
    found = {"type": "object", "properties": properties, "additionalProperties": False}
    return found | ({"required": required} if required else {})


def said(description: str, schema: Schema) -> Schema:
    return {"description": description, **schema}
