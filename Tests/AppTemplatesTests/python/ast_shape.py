"""Prints the syntax trees of Python files with every string constant blanked, and the values of chosen constants."""

import ast
import json
import sys


class Blank(ast.NodeTransformer):
    """Replaces string constants, and what joins them, by one blank."""

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        """Blanks a string."""
        return ast.Constant("") if isinstance(node.value, str) else node


for path in sys.argv[1:]:
    with open(path, encoding="utf-8", newline="") as file:
        tree = ast.parse(file.read())
    values = {}
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and isinstance(node.value.value, str):
                values[target.id] = node.value.value
    print(json.dumps({"shape": ast.dump(Blank().visit(tree)), "values": values}))
