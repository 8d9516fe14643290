"""The step SchemaGen where a person has reviewed the schema."""
