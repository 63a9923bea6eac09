//! A backend of nnspec; harness.rs speaks the protocol, the operations are here.
//!
//! An operation is written once for `R`, which is f32 or f64, and asks the call for its inputs and
//! attributes by name. `unsupported("…")` is the answer where a case cannot be expressed, `error("…")`
//! where something is wrong.

// the spec's names: W_z, h_T
#![allow(non_snake_case)]

mod harness;
mod json;

// The first operation: take the "//| " away, here and in `operations`.
//
//| use harness::{operation, unsupported, Array, Attribute, Call, Outputs, Problem, Real};
//|
//| fn softmax<R: Real>(call: &Call) -> Result<Outputs, Problem> {
//|     let x: &Array<R> = call.array("x");
//|     let axis = call.integer("axis")?;
//|     if axis != -1 && axis != x.shape.len() as i64 - 1 {
//|         return unsupported("softmax is along the last axis only");
//|     }
//|     let size = x.shape.last().copied().unwrap_or(1);
//|     let mut y = x.clone();
//|     for n in 0..y.data.len().checked_div(size).unwrap_or(0) {
//|         let row = y.row_mut(n);
//|         let m = row.iter().copied().fold(row[0], |a, b| if b > a { b } else { a });
//|         let mut sum = R::ZERO;
//|         for v in row.iter_mut() {
//|             *v = (*v - m).exp();
//|             sum += *v;
//|         }
//|         row.iter_mut().for_each(|v| *v = *v / sum);
//|     }
//|     Ok(vec![("y", R::pack(y))])
//| }

fn main() {
    // `operation!(name, function, inputs, …)`, then optional:, integers:, booleans: and attributes:
    // as in the operation's block in the spec
    let operations = [
        //| operation!("softmax", softmax, &[("x", "...")], attributes: &[("axis", Attribute::Integer(-1))]),
    ];
    // the last argument tells why an operation, a topic, or "vjp" is not here: shown with the verdict
    harness::serve("my-backend", &operations, &[]);
}
