// A dashboard's subscriber in one file: stores each result once, then answers its receipt.
//
// Research use only, not a medical device. Written from docs/contract/asyncapi.json; needs the
// package mqtt alone (npm install mqtt).
//
//     node subscriber.mjs results.jsonl mqtt://127.0.0.1:1883 dashboard-2
//
// Rules of the contract that it keeps: store first and answer then; a message that arrives twice
// has the same id; order by `sequence` per device, not by arrival.
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import mqtt from "mqtt";

const [path, url, name] = process.argv.slice(2);
const KINDS = ["result", "reject"];
const stored = new Set(
  existsSync(path)
    ? readFileSync(path, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line).id)
    : [],
);
const file = openSync(path, "a");

function store(body) {
  if (stored.has(body.id)) return;
  writeSync(file, JSON.stringify(body) + "\n");
  fsyncSync(file);
  stored.add(body.id);
}

const client = mqtt.connect(url, {
  protocolVersion: 5,
  clientId: `${name}-subscriber`,
  clean: false,
  // The broker keeps what is sent while we are away.
  properties: { sessionExpiryInterval: 7 * 86400 },
});

client.on("connect", () => {
  client.subscribe(KINDS.map((kind) => `sharpedge/+/+/+/${kind}`), { qos: 1 });
});

client.on("message", (topic, payload) => {
  let body;
  try {
    body = JSON.parse(payload.toString("utf8"));
  } catch {
    return;
  }
  if (typeof body.id !== "string" || typeof body.sequence !== "number") return;
  store(body);
  console.log(JSON.stringify({ kind: topic.split("/").at(-1), id: body.id }));
  const receipt = JSON.stringify({ id: body.id, receiver: name });
  client.publish(topic.replace(/[^/]+$/, "receipt"), receipt, { qos: 1 });
});

process.on("SIGTERM", () => {
  client.end(false, () => {
    closeSync(file);
    process.exit(0);
  });
});
