// The deck's GRU and softmax in plain JavaScript, from spec/gru.md and spec/primitives.md.
//
// Every line that a clause of the spec states ends in that clause's id. Each operation on arrays
// stores its result in an array of the inputs' dtype, so float32 is rounded after every single one
// of them, as it is on hardware.

import { serve, zeros } from "./harness.mjs";

// ---------------------------------------------------------------------------------- equations

function sigmoid({ x }) {
  return {
    y: each(x, (v, round) => {
      const e = round(Math.exp(-Math.abs(v))); // at most 1: nothing overflows, the tail is e^x
      return (v < 0 ? e : 1) / round(1 + e); // primitives.sigmoid
    }),
  };
}

function tanh({ x }) {
  return { y: each(x, Math.tanh) }; // primitives.tanh
}

function affine({ x, W, b }) {
  const y = multiply(x, transpose(W)); // primitives.affine
  return { y: b ? eachRow(y, b) : y };
}

function softmax({ x, axis }) {
  const y = zeros(x.dtype, x.shape);
  const round = rounding(x);
  for (const row of rows(x.shape, axis)) {
    let m = -Infinity;
    for (const i of row) m = Math.max(m, x.data[i]);
    let sum = 0;
    for (const i of row) {
      y.data[i] = Math.exp(round(x.data[i] - m));
      sum = round(sum + y.data[i]);
    }
    for (const i of row) y.data[i] /= sum; // primitives.softmax
  }
  return { y };
}

function softmax_vjp({ x, dy, axis }) {
  const { y } = softmax({ x, axis });
  const dx = times(dy, y); // checks that dy has the shape of x
  const round = rounding(x);
  for (const row of rows(x.shape, axis)) {
    let sum = 0;
    for (const k of row) sum = round(sum + dx.data[k]);
    for (const i of row) dx.data[i] = y.data[i] * round(dy.data[i] - sum); // primitives.softmax
  }
  return { dx };
}

/** The quantities of one step, by their names in the spec. */
function gates({ x, h_prev, W_z, W_r, W, b_z, b_r, b }) {
  const c_t = concatenate(h_prev, x);
  const z_t = sigmoid({ x: affine({ x: c_t, W: W_z, b: b_z }).y }).y; // gru.update_gate
  const r_t = sigmoid({ x: affine({ x: c_t, W: W_r, b: b_r }).y }).y; // gru.reset_gate
  const reset = concatenate(times(r_t, h_prev), x);
  const h_new = tanh({ x: affine({ x: reset, W, b }).y }).y; // gru.candidate
  return { c_t, z_t, r_t, reset, h_new };
}

function gru_step(inputs) {
  const { z_t, h_new } = gates(inputs);
  const h = plus(times(oneMinus(z_t), inputs.h_prev), times(z_t, h_new)); // gru.state
  return { h };
}

function gru_step_vjp({ dh, ...inputs }) {
  const { h_prev, W_z, W_r, W, b_z, b_r, b } = inputs;
  const { c_t, z_t, r_t, reset, h_new } = gates(inputs);
  const H = h_prev.shape[1];

  const da_z = times(dh, minus(h_new, h_prev), z_t, oneMinus(z_t)); // gru.update_gate
  const da_n = times(dh, z_t, oneMinus(times(h_new, h_new))); // gru.candidate
  const dreset = multiply(da_n, W);
  const da_r = times(left(dreset, H), h_prev, r_t, oneMinus(r_t)); // gru.reset_gate
  const dc = plus(multiply(da_z, W_z), multiply(da_r, W_r));

  return {
    dh_prev: plus(times(dh, oneMinus(z_t)), times(left(dreset, H), r_t), left(dc, H)), // gru.step
    dx: plus(right(dreset, H), right(dc, H)),
    dW_z: multiply(transpose(da_z), c_t),
    dW_r: multiply(transpose(da_r), c_t),
    dW: multiply(transpose(da_n), reset),
    ...(b_z && { db_z: sumOverBatch(da_z) }), // gru.bias
    ...(b_r && { db_r: sumOverBatch(da_r) }),
    ...(b && { db: sumOverBatch(da_n) }),
  };
}

function gru_sequence({ X, h_0, lengths, ...weights }) {
  const [T, B, I] = X.shape;
  const H = weights.W.shape[0];
  const h = zeros(X.dtype, [T, B, H]);
  const h_T = zeros(X.dtype, [B, H]);
  if (h_0) h_T.data.set(h_0.data); // gru.initial_state
  for (let t = 0; t < T; t++) {
    const x = { dtype: X.dtype, shape: [B, I], data: X.data.subarray(t * B * I, (t + 1) * B * I) };
    const next = gru_step({ x, h_prev: h_T, ...weights }).h; // gru.sequence
    for (let n = 0; n < B; n++) {
      if (lengths && t >= lengths.data[n]) continue; // gru.lengths: h stays 0, h_T stays
      const state = next.data.subarray(n * H, (n + 1) * H);
      h.data.set(state, (t * B + n) * H);
      h_T.data.set(state, n * H);
    }
  }
  return { h, h_T };
}

// ------------------------------------------------------------------- signatures, as in the spec

const step = { x: "B I", h_prev: "B H", W_z: "H H+I", W_r: "H H+I", W: "H H+I" };
const biases = { b_z: "H", b_r: "H", b: "H" };

const operations = {
  sigmoid: { inputs: { x: "..." }, call: sigmoid },
  tanh: { inputs: { x: "..." }, call: tanh },
  affine: { inputs: { x: "B I", W: "O I" }, optional: { b: "O" }, call: affine },
  softmax: { inputs: { x: "..." }, attributes: { axis: -1 }, call: softmax },
  "softmax.vjp": { inputs: { x: "...", dy: "..." }, attributes: { axis: -1 }, call: softmax_vjp },
  gru_step: { inputs: step, optional: biases, call: gru_step },
  "gru_step.vjp": { inputs: { ...step, dh: "B H" }, optional: biases, call: gru_step_vjp },
  gru_sequence: {
    inputs: { X: "T B I", W_z: "H H+I", W_r: "H H+I", W: "H H+I" },
    optional: { h_0: "B H", ...biases, lengths: "B" },
    integers: ["lengths"],
    call: gru_sequence,
  },
};

// ----------------------------------------------------------------------------- array arithmetic

/** What rounds a number to the array's dtype. */
function rounding({ dtype }) {
  return dtype === "float32" ? Math.fround : (v) => v;
}

function each(a, f) {
  const result = zeros(a.dtype, a.shape);
  const round = rounding(a);
  for (let i = 0; i < a.data.length; i++) result.data[i] = f(a.data[i], round);
  return result;
}

function pairs(f) {
  return (...arrays) =>
    arrays.reduce((a, b) => {
      if (String(a.shape) !== String(b.shape))
        throw new Error(`shapes (${a.shape}) and (${b.shape}) differ`);
      const result = zeros(a.dtype, a.shape);
      for (let i = 0; i < a.data.length; i++) result.data[i] = f(a.data[i], b.data[i]);
      return result;
    });
}

const plus = pairs((a, b) => a + b);
const minus = pairs((a, b) => a - b);
const times = pairs((a, b) => a * b);
const oneMinus = (a) => each(a, (v) => 1 - v);

function eachRow(a, b) {
  const result = zeros(a.dtype, a.shape);
  const width = b.data.length;
  for (let i = 0; i < a.data.length; i++) result.data[i] = a.data[i] + b.data[i % width];
  return result;
}

/** The matrix product; each product and each sum is rounded. */
function multiply(a, b) {
  const [N, K] = a.shape;
  const M = b.shape[1];
  const result = zeros(a.dtype, [N, M]);
  const round = rounding(a);
  for (let n = 0; n < N; n++)
    for (let m = 0; m < M; m++) {
      let sum = 0;
      for (let k = 0; k < K; k++) sum = round(sum + round(a.data[n * K + k] * b.data[k * M + m]));
      result.data[n * M + m] = sum;
    }
  return result;
}

function transpose(a) {
  const [N, M] = a.shape;
  const result = zeros(a.dtype, [M, N]);
  for (let n = 0; n < N; n++)
    for (let m = 0; m < M; m++) result.data[m * N + n] = a.data[n * M + m];
  return result;
}

function concatenate(a, b) {
  const [N, K] = a.shape;
  const M = b.shape[1];
  const result = zeros(a.dtype, [N, K + M]);
  for (let n = 0; n < N; n++) {
    result.data.set(a.data.subarray(n * K, (n + 1) * K), n * (K + M));
    result.data.set(b.data.subarray(n * M, (n + 1) * M), n * (K + M) + K);
  }
  return result;
}

function columns(a, from, to) {
  const [N, M] = a.shape;
  const result = zeros(a.dtype, [N, to - from]);
  for (let n = 0; n < N; n++)
    result.data.set(a.data.subarray(n * M + from, n * M + to), n * (to - from));
  return result;
}

const left = (a, H) => columns(a, 0, H); // what acts on the state
const right = (a, H) => columns(a, H, a.shape[1]); // what acts on the input

function sumOverBatch(a) {
  const [N, M] = a.shape;
  const result = zeros(a.dtype, [M]);
  for (let n = 0; n < N; n++)
    for (let m = 0; m < M; m++) result.data[m] += a.data[n * M + m];
  return result;
}

/** The flat indices of each row along an axis. */
function* rows(shape, axis) {
  const at = axis < 0 ? axis + shape.length : axis;
  if (!Number.isInteger(at) || !(at in shape))
    throw new Error(`axis ${axis} is none of an array with ${shape.length} axes`);
  const size = shape[at];
  if (size === 0) throw new Error(`axis ${axis} has no element`);
  const inner = shape.slice(at + 1).reduce((all, n) => all * n, 1);
  const outer = shape.slice(0, at).reduce((all, n) => all * n, 1);
  for (let o = 0; o < outer; o++)
    for (let i = 0; i < inner; i++)
      yield Array.from({ length: size }, (_, k) => (o * size + k) * inner + i);
}

await serve({
  backend: "example-js",
  version: "1",
  operations,
  unsupported: {
    vjp: "the example has gru_step.vjp and softmax.vjp only",
    gru_reset_after_step: "the example has the deck's form only",
    gru_reset_after_sequence: "the example has the deck's form only",
  },
});
