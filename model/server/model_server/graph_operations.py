"""Which operation of a SavedModel's graph computes a tensor."""

from collections.abc import Mapping
from mmap import mmap

from model_server.wire_format import find

# Fields of MetaGraphDef, FunctionDef and NodeDef.
NODES, FUNCTIONS = (2, 1), (2, 2, 1)
FUNCTION_NAME, RESULT_NAMES, BODY, RESULTS = (1, 1), (1, 3, 1), (3,), (4,)
NAME, OPERATION, INPUTS, ATTRIBUTES = (1,), (2,), (3,), (5,)
KEY, VALUE, CALLED = (1,), (2,), (2, 10, 1)  # of a map's entry; in that of a call's attribute
CALLS = ("PartitionedCall", "StatefulPartitionedCall")


def read_operation(data: mmap, graph: range, tensor: str) -> str:
    """The type of the operation that computes a tensor, looked up in functions, too.

    Args:
        data: a file.
        graph: the position of a MetaGraphDef in it, or of its graph alone.
        tensor: as NODE:INDEX.
    """

    def texts(message: range, path: tuple[int, ...]) -> list[str]:
        return [str(data[at.start : at.stop], "utf-8") for at in find(data, message, *path)]

    def by_name(nodes: tuple[int, ...], message: range) -> Mapping[str, range]:
        return {texts(node, NAME)[0]: node for node in find(data, message, *nodes)}

    functions = {texts(one, FUNCTION_NAME)[0]: one for one in find(data, graph, *FUNCTIONS)}
    nodes = by_name(NODES, graph)
    while True:
        name, *index = tensor.split(":")  # NODE, NODE:INDEX, or in a function NODE:NAME:INDEX
        if name not in nodes:  # it is an argument of the function
            return "Placeholder"
        operation = texts(nodes[name], OPERATION)[0]
        if operation == "Identity":
            tensor = texts(nodes[name], INPUTS)[0]
        elif operation in CALLS:
            attributes = find(data, nodes[name], *ATTRIBUTES)
            [called] = [text for attribute in attributes for text in texts(attribute, CALLED)]
            function = functions[called]
            results = {
                texts(result, KEY)[0]: texts(result, VALUE)[0]
                for result in find(data, function, *RESULTS)
            }
            tensor = results[texts(function, RESULT_NAMES)[int(index[-1]) if index else 0]]
            nodes = by_name(BODY, function)
        else:
            return operation
