"""What a skops file claims, held against what it has, before skops reads it.

A checksum tells damage from what was written, not a friend from a foe. After `check`
all that is made is bounded by the size of the file: nothing is compressed, no array is
larger than its bytes, each node and array is there once, and only the kinds of node
that `pack` leaves are there. `compact` brings what skops writes into this form.
"""

import io
import json
import math
import zipfile

import numpy as np

SCHEMA = "schema.json"

# Of skops. A file of an older one is read by nodes that are not those below.
MIN_PROTOCOL = 2

# The nodes that name a class or function, which the table of trusted types judges; of
# the others the class is fixed.
NAMED = {"FunctionNode", "TypeNode", "ObjectNode", "TupleNode", "LossNode"}
FIXED = {
    "DictNode": ("builtins", "dict"),
    "ListNode": ("builtins", "list"),
    "JsonNode": ("builtins", "str"),
}

# What is written out in full once, and by its number wherever else it stands.
REFERENCE = "CachedNode"

# A model holds the same part a few times; parts that hold the same parts that hold
# the same parts make a small file endless.
MAX_REPEATS = 1000


class Refused(ValueError):
    """A file is not what `save` writes."""


def compact(payload):
    """The same skops file with each node once, numbered in order: the same bytes.

    skops writes a node out wherever it stands, numbers it by its place in memory, and
    puts the time of day beside each array.
    """
    made = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(payload)) as old,
        zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as new,
    ):
        schema = json.loads(old.read(SCHEMA))
        numbers, left = {}, [schema]
        while left:  # in the order in which skops reads
            node = left.pop()
            text = node["__loader__"] == "JsonNode"  # of which equal ones are one
            identity = node["content"] if text else node["__id__"]
            if identity in numbers:
                names = {key: node[key] for key in ("__class__", "__module__")}
                node.clear()
                node.update(names, __loader__=REFERENCE, __id__=numbers[identity])
                continue
            number = node["__id__"] = numbers[identity] = len(numbers) + 1
            if "file" in node:
                array, node["file"] = old.read(node["file"]), f"{number}.npy"
                new.writestr(zipfile.ZipInfo(node["file"]), array)
            left += reversed(_children(node))
        text = json.dumps(schema, separators=(",", ":"))
        new.writestr(zipfile.ZipInfo(SCHEMA), text)
    return made.getvalue()


def check(payload):
    """Names of the types in a skops file whose kind of node is none of ours.

    Raises
    ------
    Refused, or whatever reading a file of another form raises.
    """
    with zipfile.ZipFile(io.BytesIO(payload)) as members:
        sizes = {}
        for info in members.infolist():
            if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
                raise Refused(f"member {info.filename!r} is compressed or encrypted")
            if info.file_size != info.compress_size or info.filename in sizes:
                raise Refused(f"member {info.filename!r} lies about itself")
            sizes[info.filename] = info.file_size
        if sum(sizes.values()) > len(payload):
            raise Refused("the members claim more bytes than there are")
        schema = json.loads(members.read(SCHEMA))
        if schema["protocol"] < MIN_PROTOCOL:
            raise Refused(f"its protocol is {schema['protocol']}")
        refused, files = _check_schema(schema)
        if refused:
            return refused
        if files != set(sizes) - {SCHEMA}:
            raise Refused("the members are not those of the schema")
        for name in files:
            with members.open(name) as file:
                _check_array(file, sizes[name], name)
    return refused


def _check_schema(schema):
    """Refused types and the files of arrays."""
    refused, files, nodes, counts = set(), set(), {}, {}

    def resolve(node):
        return nodes[node["__id__"]] if node["__loader__"] == REFERENCE else node

    def walk(node):
        """Check a node and what it holds; the number of them, repeats included."""
        loader, number = node["__loader__"], node["__id__"]
        names = node["__module__"], node["__class__"]
        if not all(isinstance(part, str) for part in (loader, *names)):
            raise Refused("a node's class is no text")
        if loader == REFERENCE:
            return counts[number]
        if type(number) is not int or number < 1 or number in nodes:
            raise Refused(f"a node has the number {number!r}")
        nodes[number], counts[number] = node, 0
        if loader == "NdArrayNode":
            if names[0] != "numpy" or names[1] == "void":
                refused.add(".".join(names))
            if node["type"] != "numpy" or node["file"] != f"{number}.npy":
                raise Refused("an array is not where it should be")
            files.add(node["file"])
        elif loader == "JsonNode" and not isinstance(node["content"], str):
            raise Refused("a value is no text")
        elif loader not in NAMED and names != FIXED.get(loader):
            refused.add(".".join(names))
            return 1
        counts[number] = 1 + sum(map(walk, _children(node)))
        if loader == "DictNode":
            types = map(resolve, resolve(node["key_types"])["content"])
            found = {(t["__loader__"], t["__module__"], t["__class__"]) for t in types}
            if not found <= {("TypeNode", "builtins", "str")}:
                raise Refused("a key is no text")
        return counts[number]

    if walk(schema) > MAX_REPEATS * len(nodes):
        raise Refused("its parts repeat each other without end")
    return refused, files


def _children(node):
    """The nodes in a node, in the order in which skops reads them."""
    match node["__loader__"]:
        case "DictNode":
            return [node["key_types"], *node["content"].values()]
        case "ListNode" | "TupleNode":
            return list(node["content"])
        case "ObjectNode":
            return [node["content"]] if "content" in node else []
        case "LossNode":
            return [node["content"], node["__reduce__"]["args"]]
    return []


def _check_array(file, size, name):
    """An npy file has as many bytes as its header says, and no objects."""
    version = np.lib.format.read_magic(file)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise Refused(f"{name} has a header of an unknown version")
    shape, _, dtype = readers[version](file)
    claimed = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or min(shape, default=0) < 0 or (shape and not dtype.itemsize):
        raise Refused(f"{name} claims what has no bytes")
    if file.tell() + claimed != size:
        raise Refused(f"{name} claims {claimed} bytes of the {size} there are")
