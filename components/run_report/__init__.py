"""A run as one HTML file: readers of artifacts, charts, and the rendering of what was read.

The readers (`statistics`, `anomalies`, `training`, `evaluation`) turn one artifact each into plain
data; `rendering` turns that data into HTML and needs none of the libraries that the readers need. The
local runner and the report's step on Kubeflow Pipelines share all of it, so it lies below `components`.
"""

FORMAT = 1
"""Of the plain data beside a page; another number means that this program cannot draw from it."""
