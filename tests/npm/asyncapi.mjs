// Parses AsyncAPI documents; prints each diagnostic as a JSON line with its file.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

for (const file of process.argv.slice(2)) {
  const { document, diagnostics } = await new Parser().parse(readFileSync(file, "utf8"));
  const print = (line) => console.log(JSON.stringify({ file, ...line }));
  for (const { severity, code, path, message } of diagnostics) {
    print({ severity, code, path: path.join("."), message });
  }
  if (!document && !diagnostics.some(({ severity }) => severity === 0)) {
    print({ severity: 0, code: "no-document", path: "", message: "gave no document" });
  }
}
