// The protocol's side of a backend of nnspec (spec/protocol.md): reads requests, checks them
// against the signatures, calls the operations and writes the replies. It knows no equation; your
// operations are in backend.mjs.
//
// An array is { dtype, shape, data }: data is flat and row-major, a Float32Array, Float64Array,
// BigInt64Array (int64) or Uint8Array (bool). A Float32Array rounds what is stored in it, so an
// operation whose every single result is stored, or rounded by Math.fround, computes in float32.

const LONGEST_LINE = 256_000_000;
const MOST_ELEMENTS = 10_000_000;
const STORES = {
  float32: Float32Array,
  float64: Float64Array,
  int64: BigInt64Array,
  bool: Uint8Array,
};

/** Thrown by an operation that cannot express a case: a verdict, not an error. */
export class Unsupported extends Error {}

/** An array of zeros. */
export function zeros(dtype, shape) {
  return { dtype, shape, data: new STORES[dtype](elements(shape)) };
}

/**
 * Says hello and answers requests until they end.
 *
 * `operations` maps a name to { inputs, optional, integers, booleans, attributes, call }, written as
 * on the operation's page in spec/; `call` takes one object with arrays and attributes by name, and
 * gives one with the output arrays.
 */
export async function serve({ backend, version, operations, unsupported = {} }) {
  process.stdout.on("error", () => process.exit(0)); // nobody reads any more
  console.log = console.info = console.debug = console.error; // stdout carries messages only
  send(
    JSON.stringify({
      hello: "nnspec",
      protocol: 1,
      backend,
      version,
      operations: Object.keys(operations),
      dtypes: ["float32", "float64"],
      unsupported,
    }),
  );
  for await (const line of lines(process.stdin)) answer(line, operations);
}

function answer(line, operations) {
  let request;
  try {
    request = JSON.parse(exactIntegers(line));
  } catch (error) {
    leave(`a request is no JSON: ${error.message}`);
  }
  if (!isObject(request) || typeof request.id !== "string") leave("a request has no id");
  const id = JSON.stringify(request.id);
  try {
    send(`{"id":${id},"outputs":${written(outputsOf(request, operations))}}`);
  } catch (error) {
    const kind = error instanceof Unsupported ? "unsupported" : "error";
    send(`{"id":${id},"${kind}":${JSON.stringify(String(error.message ?? error))}}`);
  }
}

/** The outputs by name; throws what the reply shall say. */
function outputsOf(request, operations) {
  const { operation: name, inputs = {}, attributes = {} } = request;
  if (typeof name !== "string") throw new Error("the operation is no string");
  if (!isObject(inputs)) throw new Error("the inputs are no object");
  if (!isObject(attributes)) throw new Error("the attributes are no object");
  const arrays = Object.entries(inputs).map(([key, sent]) => [key, readArray(key, sent)]);
  if (name === "echo") return arrays;
  if (!Object.hasOwn(operations, name)) throw new Unsupported(`there is no ${name} here`);
  const operation = operations[name];
  const given = new Map(arrays);
  checkInputs(name, operation, given);
  const values = chosen(name, operation.attributes ?? {}, attributes);
  return Object.entries(operation.call({ ...Object.fromEntries(given), ...values }));
}

function checkInputs(name, { inputs, optional = {}, integers = [], booleans = [] }, given) {
  const declared = { ...inputs, ...optional };
  for (const key of given.keys())
    if (!Object.hasOwn(declared, key)) throw new Unsupported(`${name} has no input '${key}'`);
  const sizes = new Map();
  let floating;
  for (const [key, shape] of Object.entries(declared)) {
    const array = given.get(key);
    if (array === undefined) {
      if (Object.hasOwn(inputs, key)) throw new Error(`the input '${key}' is missing`);
      continue;
    }
    const fixed = integers.includes(key) ? "int64" : booleans.includes(key) ? "bool" : undefined;
    const wanted = fixed ?? (floating ??= array.dtype);
    if (array.dtype !== wanted || (fixed === undefined && !wanted.startsWith("float")))
      throw new Error(`${key} has dtype ${array.dtype}`);
    if (!fits(array.shape, shape, sizes))
      throw new Error(`${key} has shape (${array.shape.join(", ")}), wanted (${shape})`);
  }
}

/** Whether a shape is, say, "B H+I"; a symbol alone takes its size where it first stands. */
function fits(shape, wanted, sizes) {
  if (wanted === "...") return true;
  const axes = wanted.split(" ").filter(Boolean);
  return (
    axes.length === shape.length &&
    axes.every((axis, i) => {
      if (/^[A-Z]$/.test(axis) && !sizes.has(axis)) sizes.set(axis, shape[i]);
      const value = (word) => (/^\d+$/.test(word) ? Number(word) : sizes.get(word));
      const product = (term) => term.split("*").reduce((all, word) => all * value(word), 1);
      return shape[i] === axis.split("+").reduce((all, term) => all + product(term), 0);
    })
  );
}

/** The attributes with their defaults: the declared value, or the first of the declared choices. */
function chosen(name, declared, sent) {
  for (const key of Object.keys(sent))
    if (!Object.hasOwn(declared, key)) throw new Unsupported(`${name} has no attribute '${key}'`);
  return Object.fromEntries(
    Object.entries(declared).map(([key, usual]) => {
      const choices = Array.isArray(usual) ? usual : [usual];
      const value = Object.hasOwn(sent, key) ? sent[key] : choices[0];
      if (typeof value !== typeof choices[0]) throw new Error(`${key} is no ${typeof choices[0]}`);
      if (Array.isArray(usual) && !usual.includes(value))
        throw new Unsupported(`${key} '${value}' is not there`);
      return [key, value];
    }),
  );
}

function readArray(name, sent) {
  if (!isObject(sent)) throw new Error(`${name} is no array`);
  const { dtype, shape, data } = sent;
  if (!Object.hasOwn(STORES, dtype)) throw new Error(`${name} has an unknown dtype`);
  if (!Array.isArray(shape) || !shape.every((size) => Number.isInteger(size) && size >= 0))
    throw new Error(`the shape of ${name} is no list of sizes`);
  const array = zeros(dtype, shape);
  if (!Array.isArray(data) || data.length !== array.data.length)
    throw new Error(`the data of ${name} do not fill the shape (${shape.join(", ")})`);
  data.forEach((element, i) => {
    const value = elementOf(dtype, element);
    if (value === undefined) throw new Error(`${name}, element ${i}, is no ${dtype}`);
    array.data[i] = value;
  });
  return array;
}

/** The number that an element of a message stands for, or undefined. */
function elementOf(dtype, element) {
  if (dtype === "bool") return typeof element === "boolean" ? Number(element) : undefined;
  const digits = typeof element === "string" && /^-?\d+$/.test(element);
  if (dtype === "int64") {
    if (!digits && !Number.isSafeInteger(element)) return undefined;
    const value = BigInt(element);
    return BigInt.asIntN(64, value) === value ? value : undefined;
  }
  if (["NaN", "Infinity", "-Infinity"].includes(element)) return Number(element);
  if (!digits && typeof element !== "number") return undefined;
  const value = dtype === "float32" ? Math.fround(Number(element)) : Number(element);
  return Number.isFinite(value) ? value : undefined;
}

/** The line with every whole number that a JavaScript number may not hold as a string of digits. */
function exactIntegers(line) {
  let inString = false;
  return line.replace(/\\.|"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g, (token) => {
    if (token === '"') inString = !inString;
    return !inString && /^-?[1-9]\d{15,}$/.test(token) ? `"${token}"` : token;
  });
}

/** Outputs as JSON; numbers read back exactly. */
function written(outputs) {
  const parts = outputs.map(([name, { dtype, shape, data }]) => {
    if (elements(shape) !== data.length)
      throw new Error(`${data.length} elements do not fill ${name} (${shape.join(", ")})`);
    const numbers = Array.from(data, (value) => decimal(dtype, value)).join(",");
    return `${JSON.stringify(name)}:{"dtype":"${dtype}","shape":[${shape}],"data":[${numbers}]}`;
  });
  return `{${parts.join(",")}}`;
}

function decimal(dtype, value) {
  if (dtype === "bool") return String(value !== 0);
  if (dtype === "int64") return String(value);
  if (!Number.isFinite(value)) return `"${value}"`;
  if (Object.is(value, -0)) return "-0.0"; // String(-0) is "0"
  return String(dtype === "float32" ? Number(value.toPrecision(9)) : value);
}

/** The number of elements, bounded: a size of 0 does not excuse the others. */
function elements(shape) {
  const bound = shape.reduce((all, size) => all * Math.max(size, 1), 1);
  if (shape.length > 32 || bound > MOST_ELEMENTS)
    throw new Error(`the shape (${shape.join(", ").slice(0, 80)}) is too large`);
  return shape.reduce((all, size) => all * size, 1);
}

async function* lines(stream) {
  let parts = [];
  let held = 0;
  for await (let chunk of stream) {
    for (let end; (end = chunk.indexOf(10)) >= 0; chunk = chunk.subarray(end + 1)) {
      yield Buffer.concat([...parts, chunk.subarray(0, end)]).toString();
      parts = [];
      held = 0;
    }
    parts.push(chunk);
    held += chunk.length;
    if (held > LONGEST_LINE) leave(`a request has more than ${LONGEST_LINE} bytes`);
  }
  if (held > 0) leave("the requests end within a line");
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function send(line) {
  process.stdout.write(`${line}\n`);
}

function leave(why) {
  console.error(why);
  process.exit(2);
}
