"""Makes the bucket that tests use: buckets.py s3|azure PORT BUCKET [CERTIFICATE].

Waits until the service answers. The Azure emulator wants requests that are signed
with its well-known key. A service that has a certificate is reached by TLS.
"""

import base64
import email.utils
import hashlib
import hmac
import http.client
import ssl
import sys
import time

AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
READY_WITHIN_SECONDS = 60


def s3(bucket):
    return "PUT", f"/{bucket}", {}


def azure(bucket):
    path = f"/{AZURE_ACCOUNT}/{bucket}"
    date = email.utils.formatdate(usegmt=True)
    version = "2021-12-02"
    canonical_headers = f"x-ms-date:{date}\nx-ms-version:{version}\n"
    canonical_resource = f"/{AZURE_ACCOUNT}{path}\nrestype:container"
    text = "PUT" + "\n" * 12 + canonical_headers + canonical_resource
    mac = hmac.new(base64.b64decode(AZURE_KEY), text.encode(), hashlib.sha256).digest()
    signature = base64.b64encode(mac).decode()
    headers = {
        "x-ms-date": date,
        "x-ms-version": version,
        "Authorization": f"SharedKey {AZURE_ACCOUNT}:{signature}",
    }
    return "PUT", f"{path}?restype=container", headers


def connect(port, certificate):
    if certificate is None:
        return http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    context = ssl.create_default_context(cafile=certificate)
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)


def make(connection, request):
    method, path, headers = request
    connection.request(method, path, b"", headers)
    response = connection.getresponse()
    answer = response.read()
    if response.status not in (200, 201, 409):
        sys.exit(f"{method} {path}: {response.status} {answer[:300]}")


def main():
    service, port, bucket = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    certificate = sys.argv[4] if len(sys.argv) > 4 else None
    kind = {"s3": s3, "azure": azure}[service]
    started = time.monotonic()
    while True:
        try:
            return make(connect(port, certificate), kind(bucket))
        except OSError as error:
            if time.monotonic() - started > READY_WITHIN_SECONDS:
                sys.exit(f"{service} does not answer at port {port}: {error}")
            time.sleep(0.05)


main()
