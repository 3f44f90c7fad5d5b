"""Writes the reference pages under ``docs/`` from the code that they describe.

Layer: sharpedge; reads models and tables, writes the folder that it is given.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from edge.config import PREFIX, Config
from edge.contract.examples import example_result
from edge.contract.ids import RESULT_NAMESPACE
from edge.contract.payloads import DeliveryMode, absent_keys
from edge.contract.schemas import write_contract
from edge.contract.topics import CHANNELS
from edge.errors import NULL_REASONS, REASONS, SPACE_REASONS
from edge.model import DISCLAIMER
from edge.outputs import dicom_codes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edge.contract.topics import Channel

_HEAD = f"""{DISCLAIMER.capitalize()}. Written by `make docs` from the code: do not edit."""


def write_docs(out_dir: Path) -> list[Path]:
    """Write every generated page and the contract's schemas; returns the files."""
    out_dir.mkdir(parents=True, exist_ok=True)
    pages = {
        "reasons.md": reasons_page(),
        "mqtt.md": mqtt_page(),
        "configuration.md": configuration_page(),
        "dicom_codes.md": dicom_codes_page(),
    }
    for name, text in pages.items():
        (out_dir / name).write_text(text, encoding="utf-8")
    return [*(out_dir / name for name in pages), *write_contract(out_dir / "contract")]


def reasons_page() -> str:
    """Every reason code, what it means and what to do."""
    films = [
        (f"`{code}`", text.status, text.meaning, text.advice) for code, text in REASONS.items()
    ]
    joints = [(f"`{code}`", meaning) for code, meaning in NULL_REASONS.items()]
    spaces = [(f"`{code}`", meaning) for code, meaning in SPACE_REASONS.items()]
    return f"""# Reasons

{_HEAD}

## Why a film or limb was not scored

Field `reason` of `sharpedge score --json` and of the MQTT topic `reject`. A *rejected* film cannot
be used; a *held* one waits for a person and still shows the joints that were found. A limb that is
*not_graded* was found with its joints, but no joint could be graded: it is sent on `result`, its
subtotals are `null`, and its reason is the commonest one of the second table.

{_table(("code", "status", "what it means", "what to do"), films)}

## Why one joint has no grade

Fields `erosion_reason` and `narrowing_reason` of a joint. A joint without a grade is `null`, never
a zero, and the subtotals say how many joints they sum.

{_table(("code", "what it means"), joints)}

## Why a joint space has no width

Field `space.reason` of a joint ([joint_space.md](joint_space.md)).

{_table(("code", "what it means"), spaces)}
"""


def dicom_codes_page() -> str:
    """The private codes of DICOM and FHIR documents."""
    rows = [
        (f"`{code.value}`", code.meaning, use, meaning)
        for use, code, meaning in dicom_codes.private_codes()
    ]
    head = ("code value", "code meaning", "what it is", "at length")
    return f"""# Codes of DICOM and FHIR documents

{_HEAD}

PS3.16 has no code for each joint, for erosion and narrowing grades of Sharp/van der Heijde, nor for
why a grade is missing. [The documents](dicom_outputs.md) use a private scheme for them:

{
        _table(
            ("", ""),
            (
                ("Coding Scheme Designator", f"`{dicom_codes.SCHEME}`"),
                ("Coding Scheme UID", f"`{dicom_codes.SCHEME_UID}`"),
                ("Coding Scheme Name", dicom_codes.SCHEME_NAME),
                ("Coding Scheme Version", dicom_codes.SCHEME_VERSION),
                ("system in FHIR", f"`urn:oid:{dicom_codes.SCHEME_UID}`"),
            ),
        )
    }

A code keeps its meaning; one that is no longer used is not given to anything else.

{_table(head, rows)}
"""


def mqtt_page() -> str:
    """The MQTT contract for whoever writes a dashboard."""
    topics = [_channel_row(channel) for channel in CHANNELS]
    shown = example_result()
    example = json.dumps(shown.model_dump(mode="json", exclude=absent_keys(shown)), indent=1)
    return f"""# MQTT

{_HEAD}

Topics lie under `sharpedge/<site>/<room>/<device>/`; no patient data stands in a topic. Every
payload but the picture is JSON. Its JSON Schema lies in `contract/`, with an AsyncAPI 3 document of
the whole ([asyncapi.json](contract/asyncapi.json)).

{_table(("topic", "QoS", "retained", "from", "payload", "what"), topics)}

## What a subscriber can rely on

- **Same film, same id.** `id` is a UUIDv5 in the namespace `{RESULT_NAMESPACE}` of
  `site/room/device|film_sha256|limb_index|engines|operator_limb|operator_side`, and `|r1` and so on
  where the same film and engines gave another outcome than before. Retries, reconnects and restarts
  repeat a message under its id: keep the first, drop the others. New engines give a new id;
  `supersedes` names the result that it replaces.
- **Order.** `sequence` ascends per device. Order by it, not by arrival.
- **Nothing is lost on the way.** A result is sent again until a dashboard answers on `receipt` with
  its `id`. Where a site has set `delivery.mode = "puback"` the broker's word is enough, which is
  weaker: a broker can lose what it has acknowledged. `state` says which is in force. What the
  broker refuses waits and is tried again, at least every 30 s, results and rejects in the order of
  `sequence`; `state.alerts` says `message_refused` meanwhile. Only a message larger than the
  broker's limit, or one that cannot be made, is set aside (`message_set_aside`).
- **Presence.** `state` is retained: `starting` (the engines are being loaded, films wait),
  `online`, `degraded` (it works, but not as it should: a lesser engine serves, the folder is away,
  the disk is nearly full, messages are refused; `alerts` say which), `unfit` (no engine gives
  grades that may be used: films wait, no score is published), or `offline` (the will).
- **Pseudonyms.** `study` and `patient` are keyed hashes; the key stays on the device.
- **Identifiers.** `identifiers` is absent unless the site has switched one on for this message
  ([joining.md](joining.md)) and the film is a DICOM object that states it. It never stands in a
  topic.
- **Pictures.** `image` is a JPEG whose comment starts with `sharpedge result <id>`. It has no
  receipt: the broker's word ends it. A result that is sent again takes its picture along, so that a
  dashboard that was away gets both. One that lost a picture asks for it with the command `picture`;
  it is kept for `retention.pictures_days`. A second comment, "sharpedge placed" and six numbers,
  says where the film lies in the picture.
- **Names.** A result keeps the site and room at the time of its scoring, in its topic too: after a
  room was renamed, what still waits comes below the old name, and its receipt goes there. Retained
  topics of the old name are cleared.
- **MQTT 3.1.1.** Where the broker answers that it knows no MQTT 5, message expiry, content type and
  user properties are left out; `state.protocol` says so. A refusal is not shown there: what has no
  receipt is sent again, and the first receipt releases the rest.
- **New keys.** A release may add optional keys to a message; `CHANGELOG.md` names them. Keys that
  are removed, renamed or mean something else come only with a new `schema_version`. The schemas of
  a release refuse keys that it does not know: update dashboards that validate strictly before the
  boxes.

A receipt is published to `.../receipt`, once the result is stored. Correlation data may come with
it and is then the result's own, as MQTT 5 hands it over. A receipt that is malformed, retained, for
what was never sent, of a dashboard that `delivery.receivers` does not name, or with another
result's correlation data closes nothing; `health.messages_dropped` counts it.

```json
{{"id": "{example_result().id}", "receiver": "dashboard-1"}}
```

A dashboard may also publish to `.../command`: `{{"command": "pause"}}`, `resume`, `rescan` (list
the watched folder now), `rebirth` (state, health and studies again), or with an `id` `replay` (the
message and its picture again) or `picture` (the picture alone). What became of it comes on MQTT 5's
response topic with its correlation data, where that lies below `sharpedge/` and is no topic of the
table above, else on `.../answer`. What is no command is answered with `done` false and the reason.

An operator publishes to `.../operator/<account>`, where `<account>` is its user at the broker, what
a person has decided about a film: `release` (with `limb`, `side` or both), `dismiss` or `retry`,
with the `id` of the film's message and the person's name in `operator`. The device's journal keeps
person, account and time. It is answered as a command is: `done`, or false with the reason in
`detail`. Let the broker allow each account its own topic only, as `systemd/mosquitto.acl` does, and
dashboards none: the device cannot see who published a message.

```json
{{"command": "release", "id": "{example_result().id}",
 "operator": "Anna", "side": "L", "limb": "hand"}}
```

## Which messages need an answer

{_table(("topic", "answer", "what happens without it"), _answer_rows())}

## What each command answers

{_table(("command", "on", "done is true when", "detail"), _COMMAND_ROWS)}

## Where a joint lies

Three systems of coordinates, all in pixels with x to the right and y down; the centre of the first
pixel is (0, 0).

- **Film as stored**: `box` (x, y of the upper left corner, width, height) and `centre` of a joint.
  For DICOM the pixel matrix as it is in the file; for other files the pixels as stored, EXIF
  orientation ignored.
- **Canvas**: the upright, framed limb that the engines saw. `transform` is the 3 x 3 matrix from
  film to canvas: (x', y', 1) = transform (x, y, 1).
- **Labelled picture** (`image`): drawn on the canvas, with a strip below it, and perhaps at a
  smaller size. Draw boxes over the film itself with `box`; over this picture where the six
  numbers a b c d e f of its comment lead: the film's (x, y) is at (a x + b y + c, d x + e y + f).

A grade belongs to a joint of the patient: `laterality` is the patient's side, whatever way the film
hangs.

## Other programs

**Home Assistant** finds the appliance with `delivery.home_assistant = "homeassistant"`: state,
films held, messages not delivered, latency and disk appear as one device. The access list needs
`pattern write homeassistant/device/+/config` for it. **Node-RED**: import
`examples/node-red-flow.json`; it shows results and answers their receipts once they are in the
flow's file.

`sharpedge listen --receipt dashboard-1` does all of this. `examples/subscriber` holds a subscriber
in Python and one in JavaScript, each in one file, which store before they answer.
[reasons.md](reasons.md) lists every
code of `reason`.

## A result, shortened to one joint

```json
{example}
```
"""


_COMMAND_ROWS = (
    ("`pause`", "`command`", "no further film is taken", ""),
    ("`resume`", "`command`", "films are taken again", ""),
    ("`rescan`", "`command`", "the folder is listed", ""),
    ("`rebirth`", "`command`", "state, health and studies are published again", ""),
    ("`replay`", "`command`", "the message `id` is sent again with its picture",
     "else: why not, for example an unknown id"),
    ("`picture`", "`command`", "the picture of the message `id` is sent again",
     "else: why not, for example no longer kept"),
    ("`release`", "`operator/<account>`", "the held film is scored as stated",
     "the job, and the one that goes on; else why not"),
    ("`dismiss`", "`operator/<account>`", "the film ends without a score", "as above"),
    ("`retry`", "`operator/<account>`", "the film is worked on again", "as above"),
    ("anything else", "either", "never: `done` is false, `command` null",
     "what is wrong with the message"),
)  # fmt: skip


def _answer_rows() -> list[tuple[str, str, str]]:
    rows = [
        (f"`{it.topic.replace('{', '<').replace('}', '>')}`",
         "`receipt` with its `id`" if it.receipt else "none",
         "it is sent again under the same id" if it.receipt else _unanswered(it))
        for it in CHANNELS if it.sent_by_device
    ]  # fmt: skip
    return [*rows, ("`command`, `operator/<account>`", "`answer`", "send it again")]


def _unanswered(channel: Channel) -> str:
    return "the broker keeps the latest one" if channel.retained else "nothing"


def _channel_row(channel: Channel) -> tuple[str, ...]:
    name = channel.topic.split("/")[0]
    schema = "JPEG" if channel.model is None else f"[{name}](contract/{name}.schema.json)"
    return (
        f"`{channel.topic.replace('{', '<').replace('}', '>')}`",
        str(channel.qos),
        "yes" if channel.retained else "no",
        "device" if channel.sent_by_device else "dashboard",
        schema,
        channel.what,
    )


def configuration_page() -> str:
    """Every setting with its type, its default and its meaning."""
    sections = "\n".join(_sections(Config, ()))
    modes = " or ".join(f"`{mode}`" for mode in DeliveryMode)
    return f"""# Configuration

{_HEAD}

One TOML file: `sharpedge run --config sharpedge.toml`; `systemd/sharpedge.toml` is an example.
`{PREFIX}<SECTION>_<KEY>` in the environment replaces one key, for example
`{PREFIX}BROKER_HOST=10.0.0.5`. Only `folders.watch` must be set. An unknown key, or a value out of
range, ends the start with exit status 2 and a line that names file, line and key.

`delivery.mode` is {modes}: see [mqtt.md](mqtt.md).
{sections}
"""


def _sections(model: type[BaseModel], place: tuple[str, ...]) -> Iterator[str]:
    """A heading and a table for each section, tables inside it after it."""
    nested: list[tuple[str, type[BaseModel]]] = []
    rows = []
    properties = model.model_json_schema()["properties"]
    # Defaults that differ between hands and feet come from the section that holds them.
    defaults = _defaults(place)
    for key, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            nested.append((key, kind))
            continue
        default = "required" if key not in defaults else _toml(defaults[key])
        schema = _resolved(model, properties[key])
        rows.append((f"`{key}`", schema, default, (field.description or "").replace("<", "&lt;")))
    if place:
        table = _table(("key", "value", "default", "meaning"), rows)
        yield f"\n## [{'.'.join(place)}]\n\n{table}"
    for key, kind in nested:
        yield from _sections(kind, (*place, key))


def _defaults(place: tuple[str, ...]) -> dict[str, Any]:
    values: Any = Config.model_validate({"folders": {"watch": "/"}}).model_dump(mode="json")
    for part in place:
        values = values[part]
    if place == ("folders",):
        del values["watch"]
    return dict(values)


def _toml(value: Any) -> str:
    """A default as it would stand in the file; nothing for what is not set."""
    return "" if value is None else f"`{json.dumps(value)}`"


def _resolved(model: type[BaseModel], schema: dict[str, Any]) -> str:
    """A value's kind and range in a few words."""
    if "$ref" in schema:
        schema = model.model_json_schema()["$defs"][schema["$ref"].rpartition("/")[2]]
    if "allOf" in schema:
        return _resolved(model, schema["allOf"][0])
    if "anyOf" in schema:
        return _resolved(model, schema["anyOf"][0])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema["type"] == "array":
        items = schema.get("prefixItems")
        if items:
            return f"{len(items)} {_resolved(model, items[0])}s"
        return f"list of {_resolved(model, schema['items'])}s"
    names = {"integer": "whole number", "boolean": "`true`, `false`"}
    if schema.get("format") == "path":
        return "path"
    limits = {
        "minimum": "from",
        "maximum": "to",
        "exclusiveMinimum": "over",
        "exclusiveMaximum": "under",
    }
    words = [f"{word} {schema[key]:g}" for key, word in limits.items() if key in schema]
    return " ".join([names.get(schema["type"], schema["type"]), *words])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    write_docs(Path(sys.argv[1]))
