"""The description of the calls as a page to read. Pure."""

from collections.abc import Iterable
from html import escape
from typing import Any

Schema = dict[str, Any]

_STYLE = """
:root { color-scheme: light dark; --line: light-dark(#ddd, #444); --soft: light-dark(#f5f5f4, #262626) }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 54rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 1.5rem; font-size: 1.15rem }
h2 b { background: var(--soft); padding: .1rem .5rem; border-radius: .3rem; font-size: .9rem }
table { border-collapse: collapse; width: 100%; margin: .6rem 0 }
td, th { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line) }
code { font-size: .9em } small { opacity: .7 }
"""


def page(described: Schema) -> bytes:
    """Self-contained HTML."""
    info = described["info"]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style>",
        f"<h1>{escape(info['title'])}</h1><p>{escape(info['description'])}",
        " For programs: <a href=/openapi.json>openapi.json</a>.",
        "<p>A key is looked for in:<ul>",
        *(f"<li>{_scheme(scheme)}" for scheme in described["components"]["securitySchemes"].values()),
        "</ul>",
    ]
    for path, methods in described["paths"].items():
        for method, call in methods.items():
            parts += _call(path, method, call)
    for name, schema in described["components"]["schemas"].items():
        parts += [
            f"<h2 id={escape(name)}>{escape(name)}</h2><p>{_words(schema.get('description', ''))}",
            *_fields(schema),
        ]
    return "".join(parts).encode()


def _scheme(scheme: Schema) -> str:
    if scheme["type"] == "http":
        return escape(f"Authorization: {scheme['scheme'].capitalize()}. {scheme.get('description', '')}")
    return f"<code>{escape(scheme['name'])}</code> in the {escape(scheme['in'])}"


def _call(path: str, method: str, call: Schema) -> Iterable[str]:
    yield f"<h2><b>{method.upper()}</b> <code>{escape(path)}</code></h2><p>{escape(call['summary'])}"
    if parameters := call.get("parameters"):
        yield "<table>"
        for each in parameters:
            yield _row(each["name"], each["schema"], each.get("description", ""), required=each["required"])
        yield "</table>"
    if body := call.get("requestBody"):
        yield f"<p>Body: {_type(_schema(body))}"
    yield "<table>"
    for status, answer in call["responses"].items():
        kinds = ", ".join(answer.get("content", ()))
        yield f"<tr><th>{status}<td>{escape(answer['description'])}<td>{_type(_schema(answer))} <small>{escape(kinds)}</small>"
    yield "</table>"


def _schema(holder: Schema) -> Schema:
    """Nothing where there is no body."""
    schema: Schema = next((content["schema"] for content in holder.get("content", {}).values()), {})
    return schema


def _fields(schema: Schema) -> Iterable[str]:
    required = schema.get("required", ())
    yield "<table>"
    for name, field in schema.get("properties", {}).items():
        yield _row(name, field, field.get("description", ""), required=name in required)
    yield "</table>"


def _row(name: str, schema: Schema, description: str, *, required: bool) -> str:
    must = " <small>required</small>" if required else ""
    return f"<tr><th><code>{escape(name)}</code>{must}<td>{_type(schema)}<td>{_words(description)}"


def _type(schema: Schema) -> str:
    if reference := schema.get("$ref"):
        name = escape(reference.rpartition("/")[2])
        return f"<a href=#{name}>{name}</a>"
    for key, between in (("anyOf", " or "), ("allOf", " and ")):
        if key in schema:
            named = [each for each in schema[key] if each.get("type") != "null" and "required" not in each]
            return between.join(dict.fromkeys(map(_type, named))) + _bounds(schema)
    if schema.get("type") == "array":
        return f"array of {_type(schema.get('items', {}))}{_bounds(schema)}"
    return escape(str(schema.get("type", ""))) + _bounds(schema)


def _bounds(schema: Schema) -> str:
    for least, most in (("minLength", "maxLength"), ("minItems", "maxItems")):
        if most in schema:
            return f", {schema.get(least, 0)} to {schema[most]}"
    return ""


def _words(text: str) -> str:
    """With what stands between backticks as code."""
    parts = escape(text).replace("``", "`").split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
