// Compiles JSON Schemas (draft 2020-12) in strict mode, given as SCHEMA or SCHEMA=INSTANCE; prints
// each error of a schema or of an instance as a JSON line.
import { readFileSync } from "node:fs";
import Ajv from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

const read = (file) => JSON.parse(readFileSync(file, "utf8"));
for (const word of process.argv.slice(2)) {
  const [file, instance] = word.split("=");
  const print = (message) => console.log(JSON.stringify({ file: instance ?? file, message }));
  const ajv = new Ajv({ strict: true, allErrors: true, allowUnionTypes: true });
  addFormats(ajv);
  try {
    const validate = ajv.compile(read(file));
    if (instance && !validate(read(instance))) {
      for (const { instancePath, message } of validate.errors) print(`${instancePath} ${message}`);
    }
  } catch (error) {
    print(error.message);
  }
}
