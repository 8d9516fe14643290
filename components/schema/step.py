"""The step's declaration."""

from components.step import Step

STEP = Step("SchemaGen", after="StatisticsGen", code=("components.schema.reviewed_schema",))
