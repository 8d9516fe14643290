"""A schema that a person has reviewed and committed, as a step's output.

TFX's ImportSchemaGen is keyed by the file's path, so that an edited schema meets a stale cache, and
the path is the compiling machine's; here the text itself is the step's parameter.
"""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts


@component
def ReviewedSchema(
    schema_text: Parameter[str],
    schema: OutputArtifact[standard_artifacts.Schema],
) -> None:
    """Writes the text proto `schema_text` as ``schema.pbtxt``."""
    (Path(schema.uri) / "schema.pbtxt").write_text(schema_text)
