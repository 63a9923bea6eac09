// A backend of nnspec; harness.mjs speaks the protocol, the operations are here.
//
// An array is { dtype, shape, data }: data is flat and row-major, a Float32Array or Float64Array
// (BigInt64Array for int64, Uint8Array for bool). Throw Unsupported where a case cannot be
// expressed, and any other Error where something is wrong.

// The first operation: take the "//| " away, here and in `operations`.
//
//| import { Unsupported, zeros } from "./harness.mjs";
//|
//| function softmax({ x, axis }) {
//|   const size = x.shape.at(-1);
//|   if (axis !== -1 && axis !== x.shape.length - 1)
//|     throw new Unsupported("softmax is along the last axis only");
//|   const y = zeros(x.dtype, x.shape);
//|   for (let row = 0; row < x.data.length; row += size) {
//|     const e = x.data.slice(row, row + size);
//|     const m = e.reduce((a, b) => Math.max(a, b));
//|     e.forEach((v, k) => (e[k] = Math.exp(v - m)));
//|     const sum = e.reduce((a, b) => a + b);
//|     e.forEach((v, k) => (y.data[row + k] = v / sum));
//|   }
//|   return { y };
//| }

import { serve } from "./harness.mjs";

await serve({
  backend: "my-backend",
  version: "0.1",
  // inputs, optional, integers, booleans and attributes as in the operation's block in the spec
  operations: {
    //| softmax: { inputs: { x: "..." }, attributes: { axis: -1 }, call: softmax },
  },
  // why an operation, a topic, or "vjp" is not here: shown with the verdict
  unsupported: {},
});
