"""Cuts KubeRay's definition of a RayJob (1.4 MB) down to what it takes to check one manifest.

On the way to every field that the manifest has, the names of all fields are kept, so that a name that is not among them
is refused; those that the manifest does not have keep their type alone. Usage, from the root of the checkout:

    python tests/cluster/reduce_crd.py ray.io_rayjobs.yaml VERSION >tests/cluster/rayjob-schema.json

where `ray.io_rayjobs.yaml` is `helm-chart/kuberay-operator/crds/ray.io_rayjobs.yaml` of ray-project/kuberay.
"""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

KEPT = ("type", "enum", "minimum", "maximum", "pattern", "format", "required", "minLength", "maxLength")


def reduced(schema: dict[str, Any], seen: list[Any]) -> dict[str, Any]:
    """The part of `schema` that checks the values `seen`; closed against fields that it does not name."""
    found = {key: schema[key] for key in KEPT if key in schema}
    if schema.get("x-kubernetes-int-or-string"):
        return {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    if "properties" in schema:
        found["properties"] = {}
        for name, field in schema["properties"].items():
            values = [value[name] for value in seen if isinstance(value, dict) and name in value]
            found["properties"][name] = reduced(field, values) if values else _type_alone(field)
        found["additionalProperties"] = False
    elif isinstance(schema.get("additionalProperties"), dict):
        values = [item for value in seen if isinstance(value, dict) for item in value.values()]
        found["additionalProperties"] = reduced(schema["additionalProperties"], values)
    if "items" in schema:
        found["items"] = reduced(schema["items"], [item for value in seen if isinstance(value, list) for item in value])
    return found


def _type_alone(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": schema["type"]} if "type" in schema else {}


def main(crd: str, version: str) -> None:
    """Print the reduced schema."""
    definition = yaml.safe_load(Path(crd).read_text())
    (served,) = (v for v in definition["spec"]["versions"] if v["name"] == "v1")
    seen = yaml.safe_load(Path("cluster/kuberay.yaml").read_text())
    schema = reduced(served["schema"]["openAPIV3Schema"], [seen])
    schema["properties"]["metadata"] = {"type": "object"}
    schema["$comment"] = f"ray-project/kuberay {version}, CRD rayjobs.ray.io v1, reduced by reduce_crd.py"
    print(json.dumps(schema, separators=(",", ":"), sort_keys=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
