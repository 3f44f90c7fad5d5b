"""Keys and certificates made by openssl, for tests of TLS."""

from __future__ import annotations

import subprocess


def certificate(folder, name, *, days, ca=None):
    """A key and a certificate, signed by ``ca`` or by itself."""
    key, pem = folder / f"{name}.key", folder / f"{name}.pem"
    run = lambda *words: subprocess.run(["openssl", *map(str, words)], check=True,  # noqa: E731
                                        capture_output=True)  # fmt: skip
    if ca is None:
        run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", pem,
            "-days", days, "-subj", f"/CN={name}")  # fmt: skip
        return pem
    request = folder / f"{name}.csr"
    extension = folder / "san.cnf"
    extension.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    run("req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request,
        "-subj", f"/CN={name}")  # fmt: skip
    issuer = ca.with_suffix(".key")
    run("x509", "-req", "-in", request, "-CA", ca, "-CAkey", issuer, "-CAcreateserial", "-out", pem,
        "-days", days, "-extfile", extension)  # fmt: skip
    return pem
