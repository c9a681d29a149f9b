"""Keeps of Harbor's description the operations that operations.txt names, with what they refer to.

    restrict.py harbor-api-v2.0.yaml > ../harbor-api-part-1.yaml
"""

import pathlib
import sys

import yaml

NOTICE = """\
# Part of Harbor's API description: goharbor/harbor, api/v2.0/swagger.yaml at commit c50c7ddd6e of 2026-08-21.
# Copyright Project Harbor Authors. Licensed under the Apache License, Version 2.0:
# http://www.apache.org/licenses/LICENSE-2.0
# Changed: made by python/restrict.py, which leaves out the operations that python/operations.txt does not name and what
# nothing refers to then. Nothing is edited by hand.
"""
METHODS = {"get", "put", "post", "delete", "options", "head", "patch"}


def references(node):
    """Every `$ref` in a tree."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref" and isinstance(value, str):
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def restrict(whole, names):
    """The part of the description with the named operations."""
    paths, found = {}, set()
    for path, item in whole["paths"].items():
        kept = {
            key: value
            for key, value in item.items()
            if key not in METHODS or value["operationId"] in names
        }
        here = {value["operationId"] for key, value in kept.items() if key in METHODS}
        if here:
            paths[path] = kept
            found |= here
    if names - found:
        sys.exit(f"not in the description: {', '.join(sorted(names - found))}")
    part = {key: value for key, value in whole.items() if key not in ("paths", "parameters", "responses", "definitions")}
    part["paths"] = paths
    wanted, known = list(references(paths)), set()
    while wanted:
        reference = wanted.pop()
        if reference in known:
            continue
        known.add(reference)
        _, section, name = reference.split("/")
        wanted += references(whole[section][name])
    for section in ("parameters", "responses", "definitions"):
        part[section] = {name: value for name, value in whole[section].items() if f"#/{section}/{name}" in known}
    return part


def main():
    lines = pathlib.Path(__file__).with_name("operations.txt").read_text().splitlines()
    names = {line for line in lines if line and not line.startswith("#")}
    whole = yaml.safe_load(pathlib.Path(sys.argv[1]).read_text())
    sys.stdout.write(NOTICE)
    yaml.safe_dump(restrict(whole, names), sys.stdout, sort_keys=False, allow_unicode=True, width=120)


if __name__ == "__main__":
    main()
