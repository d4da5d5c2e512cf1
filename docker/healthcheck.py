"""Exit with 0 if the service in this container is ready, else print why and exit with 1."""

import os
import sys
from http.client import HTTPConnection, HTTPException

port = int(os.environ.get("HEED_PORT", "8000"))
try:
    connection = HTTPConnection("127.0.0.1", port, timeout=4)
    connection.request("GET", "/readyz")
    response = connection.getresponse()
except (OSError, HTTPException) as error:
    sys.exit(f"/readyz on port {port} does not answer: {error}")
if response.status != 200:
    sys.exit(f"/readyz on port {port} answers {response.status}: {response.read(500)!r}")
