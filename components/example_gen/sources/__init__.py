"""The formats of a table's files, one file each; what else they need lies a folder up.

A file here is a format, its name is what `[source] format` says, and its class `Format` answers
`components.example_gen.source_format.SourceFormat`.
"""

from foundation import project

__path__ = project.extended(__path__, __name__)
