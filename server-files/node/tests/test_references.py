"""What one module of the node program calls in another is there. Many are imported only when a verb needs them, so nothing else
would say so before that verb is used."""

import ast
import importlib
import pathlib
import unittest

PACKAGE = pathlib.Path(__file__).parent.parent / "cloudtool_node"


def imported(tree: ast.AST) -> dict[str, str]:
    """Our own modules by the names they have in this one."""
    return {
        name.asname or name.name: name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module is None
        for name in node.names
    }


def shadowed(tree: ast.AST) -> set[str]:
    """Names that are something else somewhere in the module: an argument, a variable."""
    names = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    return names | {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


class References(unittest.TestCase):
    def test_they_lead_somewhere(self):
        looked_at = 0
        for path in sorted(PACKAGE.glob("*.py")):
            tree = ast.parse(path.read_text())
            modules = imported(tree)
            usable = modules.keys() - shadowed(tree)
            for node in ast.walk(tree):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in usable:
                    module = importlib.import_module(f"cloudtool_node.{modules[node.value.id]}")
                    looked_at += 1
                    with self.subTest(file=path.name, line=node.lineno):
                        self.assertTrue(hasattr(module, node.attr), f"{module.__name__} has no {node.attr}")
        self.assertGreater(looked_at, 500)
