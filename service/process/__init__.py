"""The processes: a supervisor that starts workers, their shared socket, and the log.

Import the module that you need: `supervisor` loads neither FastAPI nor onnxruntime, `worker` loads
both.
"""

__all__ = ["options", "supervisor"]
