"""How many lines of a Python file are code: neither blank nor comment nor docstring."""

import ast
import io
import tokenize
from pathlib import Path

_LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def count_code(file: Path) -> int:
    """Lines that hold at least a part of a statement."""
    source = file.read_text(encoding="utf-8")
    words = list[int]()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            words += range(node.lineno, (node.end_lineno or node.lineno) + 1)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {line for one in tokens if one.type not in _LAYOUT for line in range(one.start[0], one.end[0] + 1)}
    return len(lines - set(words))
