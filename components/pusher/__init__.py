"""The step Pusher, and the versions that it pushes."""
