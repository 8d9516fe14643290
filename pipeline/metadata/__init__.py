"""Where ML Metadata is: a file of the workspace, or a database that several pipelines share."""
