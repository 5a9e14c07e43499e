"""Small helpers that the reference scripts share: where fixtures lie, and how numbers are written."""

import json
import pathlib

FIXTURES = pathlib.Path(__file__).resolve().parents[1] / "fixtures"
MODELS = FIXTURES / "models"
GOLDEN = FIXTURES / "golden"


def rounded(values, digits=7):
    """Nested lists of floats with so many significant digits."""
    if hasattr(values, "tolist"):
        values = values.tolist()
    if isinstance(values, list):
        return [rounded(value, digits) for value in values]
    return float(f"{values:.{digits}g}")


def write_json(path, value):
    """One line per top-level key: readable in a diff without one line per number."""
    body = ",\n".join(f" {json.dumps(key)}: {json.dumps(item, ensure_ascii=False)}" for key, item in value.items())
    path.write_text("{\n" + body + "\n}\n")
