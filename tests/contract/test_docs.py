"""The page of all operations is current."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from tests.support.official_spec import OPERATIONS, needs_document

DOCS = Path(__file__).parents[2] / "docs"


def test_page_of_operations_is_generated() -> None:
    """The page of operations is equal to the output of its generator."""
    spec = spec_from_file_location("generate_operations", DOCS / "generate_operations.py")
    assert spec is not None
    assert spec.loader is not None
    generator = module_from_spec(spec)
    spec.loader.exec_module(generator)
    written = generator.PAGE.read_text(encoding="utf-8")
    assert written == generator.write_page(), "run: python docs/generate_operations.py"


@needs_document
def test_page_of_operations_is_complete() -> None:
    """The page has each operation of the official document, with its reference."""
    written = (DOCS / "operations.md").read_text(encoding="utf-8")
    assert f"The {len(OPERATIONS)} operations" in written
    for operation in OPERATIONS:
        assert f"| `{operation.name}` |" in written
        assert f"[{operation.reference}](" in written
