"""Examples that the help of a command shows.

Layer: sharpedge; a table of command lines.
"""

from __future__ import annotations

EXAMPLES = {
    "init": (
        "sharpedge init",
        "sharpedge init --yes --site clinic --room xray1 --device box1 --out sharpedge.toml",
        "sharpedge init --host broker.clinic --ca-file /etc/sharpedge/ca.pem",
        "sharpedge init --tls trial",
    ),
    "doctor": (
        "sharpedge doctor --config /etc/sharpedge/sharpedge.toml",
        "sharpedge doctor --json",
    ),
    "run": ("sharpedge run --config /etc/sharpedge/sharpedge.toml",),
    "receive": ("sharpedge receive --config /etc/sharpedge/sharpedge.toml",),
    "score": (
        "sharpedge score film.dcm --out scored",
        "sharpedge score --json films",
        "sharpedge score films --csv grades.csv --xlsx grades.xlsx --no-recursive",
        "sharpedge score IMG0001234.jpg --limb hand --side r --out scored --overlay",
    ),
    "archive": (
        "sharpedge archive films --out results.parquet",
        "sharpedge archive list.txt --out results.parquet --workers 4",
        "sharpedge archive films --out results.parquet --ray 10.0.0.5:6379 --workers 32",
    ),
    "results": (
        "sharpedge results --from 2026-03-01 --to 2026-03-31 --out march.csv",
        "sharpedge results --patient 3f2a9c0e --layout ra2 --out ra2.csv",
    ),
    "history": ("sharpedge history 3f2a9c0e --html history.html --pdf history.pdf",),
    "release": (
        "sharpedge release 12 --side R --limb hand",
        "sharpedge release 00000012-side_not_known.jpg --side L",
    ),
    "dismiss": ("sharpedge dismiss 12",),
    "retry": ("sharpedge retry", "sharpedge retry 12", "sharpedge retry --all"),
    "audit": ("sharpedge audit", "sharpedge audit --json --no-broker"),
    "pacs": ("sharpedge pacs test", "sharpedge pacs test --json"),
    "dashboard": (
        "sharpedge dashboard --config /etc/sharpedge/dashboard.toml",
        "sharpedge dashboard backup --out dashboard.sqlite",
        "sharpedge dashboard dataset --films /srv/films --out truth",
    ),
    "whois": ("sharpedge whois 3f2a9c0e5b7d4e1f8a6c2b0d9e8f7a61", "sharpedge whois --asked"),
    "backup": ("sharpedge backup --out box.tar",),
    "restore": ("sharpedge restore box.tar --config /etc/sharpedge/sharpedge.toml",),
    "listen": (
        "sharpedge listen --receipt ward",
        "sharpedge listen --config /etc/sharpedge/sharpedge.toml",
    ),
    "build": ("sharpedge build", "sharpedge build hand-score --backend openvino"),
    "tune": ("sharpedge tune",),
    "engines": ("sharpedge engines list",),
    "phantom": ("sharpedge phantom --patients 5 --seed 1 --out films",),
    "bench": ("sharpedge bench pipeline", "sharpedge bench compare before.json after.json"),
    "evaluate": ("sharpedge evaluate phantoms films",),
}
"""Command to command lines, each of which parses."""
