"""An admission webhook of this machine that denies pods."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from .kube import Kube


@contextmanager
def denying(kube: Kube, component: str, message: str, directory: Path) -> Iterator[None]:
    """While it is open, Kubernetes takes no new pod of this component in the namespace."""
    host = kube.host()
    key, certificate = directory / "webhook.key", directory / "webhook.crt"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=webhook"]
    where = ["-addext", f"subjectAltName=IP:{host}", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*make, *where], check=True, capture_output=True, timeout=60)

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
            mine = asked["namespace"] == kube.namespace
            response: dict[str, Any] = {"uid": asked["uid"], "allowed": not mine, "status": {"message": message}}
            review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
            body = json.dumps(review).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer((host, 0), Answer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    bundle = base64.b64encode(certificate.read_bytes()).decode()
    webhook = {
        "name": "pods.rules.example.org",
        "clientConfig": {"url": f"https://{host}:{server.server_port}/", "caBundle": bundle},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        "objectSelector": {"matchLabels": {"app.kubernetes.io/component": component}},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "timeoutSeconds": 5,
    }
    kind = "ValidatingWebhookConfiguration"
    metadata = {"name": kube.namespace}
    try:
        kube.apply(
            {
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": kind,
                "metadata": metadata,
                "webhooks": [webhook],
            }
        )
        yield
    finally:
        kube.run("delete", kind, kube.namespace, "--ignore-not-found")
        server.shutdown()
        server.server_close()
        thread.join(10)
