"""TensorBoard beside the cells: a server in this process, which ends with it."""

import functools
import warnings
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TensorBoard:
    """A server that answers at `url`, on this machine alone; a notebook shows it, `height` CSS pixels high."""

    url: str
    height: int = 720

    def _repr_html_(self) -> str:
        return f'<iframe src="{self.url}" style="width: 100%; height: {self.height}px; border: 0"></iframe>'


# One server for a directory, however often a cell is run.
@functools.cache
def serve_logs(directory: Path) -> TensorBoard:
    """Serves TensorBoard's logs below `directory`, also those that appear later, at a free port."""
    with warnings.catch_warnings():
        # TensorBoard 2.16 is told that pkg_resources goes; that is no reader's business.
        warnings.simplefilter("ignore")
        from tensorboard import default, program

    server = program.TensorBoard(plugins=default.get_plugins())
    # Its fast loader would be a process of its own.
    server.configure(argv=("tensorboard", f"--logdir={directory}", "--port=0", "--load_fast=false"))
    return TensorBoard(server.launch())
