//! The deck's GRU and softmax in Rust, from spec/gru.md and spec/primitives.md.
//!
//! Every line that a clause of the spec states ends in that clause's id. `R` is f32 or f64: float32
//! is computed in f32 throughout. harness.rs speaks the protocol.

// the spec's names: W_z, h_T
#![allow(non_snake_case)]

mod harness;
mod json;

use harness::{error, operation, serve, Array, Attribute, Call, Outputs, Problem, Real};

// ------------------------------------------------------------------------------------ equations

fn logistic<R: Real>(x: R) -> R {
    let e = (R::ZERO - x.abs()).exp(); // at most 1: nothing overflows, and the tail is e^x
    (if x < R::ZERO { e } else { R::ONE }) / (R::ONE + e) // primitives.sigmoid
}

fn sigmoid<R: Real>(call: &Call) -> Result<Outputs, Problem> {
    let mut y = call.array::<R>("x").clone();
    y.data.iter_mut().for_each(|v| *v = logistic(*v));
    Ok(vec![("y", R::pack(y))])
}

fn tanh<R: Real>(call: &Call) -> Result<Outputs, Problem> {
    let mut y = call.array::<R>("x").clone();
    y.data.iter_mut().for_each(|v| *v = v.tanh()); // primitives.tanh
    Ok(vec![("y", R::pack(y))])
}

/// W c + b for one example.
fn product<R: Real>(W: &Array<R>, c: &[R], b: Option<&Array<R>>) -> Vec<R> {
    (0..W.shape[0])
        .map(|k| {
            let mut sum = R::ZERO;
            for (w, v) in W.row(k).iter().zip(c) {
                sum += *w * *v;
            }
            b.map_or(sum, |b| sum + b.data[k])
        })
        .collect()
}

fn affine<R: Real>(call: &Call) -> Result<Outputs, Problem> {
    let (x, W, b) = (call.array::<R>("x"), call.array("W"), call.optional("b"));
    let mut y = Array::zeros(&[call.size('B'), call.size('O')])?;
    for n in 0..call.size('B') {
        y.row_mut(n).copy_from_slice(&product(W, x.row(n), b)); // primitives.affine
    }
    Ok(vec![("y", R::pack(y))])
}

/// The flat indices of each row along an axis.
fn rows(shape: &[usize], axis: i64) -> Result<Vec<Vec<usize>>, Problem> {
    let at = if axis < 0 { axis.saturating_add(shape.len() as i64) } else { axis };
    let Some(size) = usize::try_from(at).ok().and_then(|at| shape.get(at).copied()) else {
        return error(format!("axis {axis} is none of an array with {} axes", shape.len()));
    };
    if size == 0 {
        return error(format!("axis {axis} has no element"));
    }
    let inner: usize = shape[at as usize + 1..].iter().product();
    let outer: usize = shape[..at as usize].iter().product();
    let row = |o, i| (0..size).map(|k| (o * size + k) * inner + i).collect();
    Ok((0..outer).flat_map(|o| (0..inner).map(move |i| row(o, i))).collect())
}

fn softmax_of<R: Real>(x: &Array<R>, axis: i64) -> Result<Array<R>, Problem> {
    let mut y = x.clone();
    for row in rows(&x.shape, axis)? {
        let mut m = x.data[row[0]];
        for &k in &row {
            if x.data[k] > m {
                m = x.data[k];
            }
        }
        let mut sum = R::ZERO;
        for &k in &row {
            y.data[k] = (x.data[k] - m).exp();
            sum += y.data[k];
        }
        for &i in &row {
            y.data[i] = y.data[i] / sum; // primitives.softmax
        }
    }
    Ok(y)
}

fn softmax<R: Real>(call: &Call) -> Result<Outputs, Problem> {
    let y = softmax_of::<R>(call.array("x"), call.integer("axis")?)?;
    Ok(vec![("y", R::pack(y))])
}

fn softmax_vjp<R: Real>(call: &Call) -> Result<Outputs, Problem> {
    let (x, dy, axis) = (call.array::<R>("x"), call.array::<R>("dy"), call.integer("axis")?);
    if x.shape != dy.shape {
        return error(format!("dy has shape {:?}, x has {:?}", dy.shape, x.shape));
    }
    let y = softmax_of(x, axis)?;
    let mut dx = y.clone();
    for row in rows(&x.shape, axis)? {
        let mut sum = R::ZERO;
        for &k in &row {
            sum += dy.data[k] * y.data[k];
        }
        for &i in &row {
            dx.data[i] = y.data[i] * (dy.data[i] - sum); // primitives.softmax
        }
    }
    Ok(vec![("dx", R::pack(dx))])
}

struct Gru<'a, R> {
    W_z: &'a Array<R>,
    W_r: &'a Array<R>,
    W: &'a Array<R>,
    b_z: Option<&'a Array<R>>,
    b_r: Option<&'a Array<R>>,
    b: Option<&'a Array<R>>,
}

/// The quantities of one step of one example, by their names in the spec.
struct Step<R> {
    c_t: Vec<R>,
    z_t: Vec<R>,
    r_t: Vec<R>,
    reset: Vec<R>,
    h_new: Vec<R>,
}

impl<'a, R: Real> Gru<'a, R> {
    fn of(call: &'a Call) -> Self {
        Gru {
            W_z: call.array("W_z"),
            W_r: call.array("W_r"),
            W: call.array("W"),
            b_z: call.optional("b_z"),
            b_r: call.optional("b_r"),
            b: call.optional("b"),
        }
    }

    fn gates(&self, x: &[R], h_prev: &[R]) -> Step<R> {
        let c_t = [h_prev, x].concat();
        let z_t = each(product(self.W_z, &c_t, self.b_z), logistic); // gru.update_gate
        let r_t = each(product(self.W_r, &c_t, self.b_r), logistic); // gru.reset_gate
        let mut reset = c_t.clone();
        for (j, r) in r_t.iter().enumerate() {
            reset[j] = *r * h_prev[j];
        }
        let h_new = each(product(self.W, &reset, self.b), R::tanh); // gru.candidate
        Step { c_t, z_t, r_t, reset, h_new }
    }

    fn step(&self, x: &[R], h_prev: &[R]) -> Vec<R> {
        let Step { z_t, h_new, .. } = self.gates(x, h_prev);
        (0..h_prev.len())
            .map(|k| (R::ONE - z_t[k]) * h_prev[k] + z_t[k] * h_new[k]) // gru.state
            .collect()
    }
}

fn each<R: Real>(values: Vec<R>, f: fn(R) -> R) -> Vec<R> {
    values.into_iter().map(f).collect()
}

fn gru_step<R: Real>(call: &Call) -> Result<Outputs, Problem> {
    let gru = Gru::<R>::of(call);
    let (x, h_prev) = (call.array("x"), call.array("h_prev"));
    let mut h = Array::zeros(&h_prev.shape)?;
    for n in 0..call.size('B') {
        h.row_mut(n).copy_from_slice(&gru.step(x.row(n), h_prev.row(n)));
    }
    Ok(vec![("h", R::pack(h))])
}

/// da W for one example.
fn back<R: Real>(da: &[R], W: &Array<R>) -> Vec<R> {
    let mut sums = vec![R::ZERO; W.shape[1]];
    for (k, d) in da.iter().enumerate() {
        for (sum, w) in sums.iter_mut().zip(W.row(k)) {
            *sum += *d * *w;
        }
    }
    sums
}

/// dW += daᵀ c, and db += da where the bias is given.
fn gather<R: Real>(da: &[R], c: &[R], dW: &mut Array<R>, db: &mut Option<Array<R>>) {
    for (k, d) in da.iter().enumerate() {
        for (sum, v) in dW.row_mut(k).iter_mut().zip(c) {
            *sum += *d * *v;
        }
        if let Some(db) = db {
            db.data[k] += *d;
        }
    }
}

fn gru_step_vjp<R: Real>(call: &Call) -> Result<Outputs, Problem> {
    let gru = Gru::<R>::of(call);
    let (x, h_prev, dh) = (call.array("x"), call.array("h_prev"), call.array("dh"));
    let H = call.size('H');
    let mut dx = Array::zeros(&x.shape)?;
    let mut dh_prev = Array::zeros(&h_prev.shape)?;
    let zeros = || Array::zeros(&gru.W.shape);
    let (mut dW_z, mut dW_r, mut dW) = (zeros()?, zeros()?, zeros()?);
    let like = |b: Option<&Array<R>>| b.map(|b| Array::zeros(&b.shape)).transpose();
    let (mut db_z, mut db_r, mut db) = (like(gru.b_z)?, like(gru.b_r)?, like(gru.b)?);

    for n in 0..call.size('B') {
        let (x, h_prev, dh): (&[R], &[R], &[R]) = (x.row(n), h_prev.row(n), dh.row(n));
        let Step { c_t, z_t: z, r_t: r, reset, h_new } = gru.gates(x, h_prev);
        let one = R::ONE;
        let da_z: Vec<R> = (0..H)
            .map(|k| dh[k] * (h_new[k] - h_prev[k]) * z[k] * (one - z[k])) // gru.update_gate
            .collect();
        let da_n: Vec<R> = (0..H)
            .map(|k| dh[k] * z[k] * (one - h_new[k] * h_new[k])) // gru.candidate
            .collect();
        let dreset = back(&da_n, gru.W);
        let da_r: Vec<R> = (0..H)
            .map(|j| dreset[j] * h_prev[j] * r[j] * (one - r[j])) // gru.reset_gate
            .collect();
        let (dc_z, dc_r) = (back(&da_z, gru.W_z), back(&da_r, gru.W_r));
        for (j, d) in dh_prev.row_mut(n).iter_mut().enumerate() {
            *d = dh[j] * (one - z[j]) + dreset[j] * r[j] + (dc_z[j] + dc_r[j]); // gru.step
        }
        for (i, d) in dx.row_mut(n).iter_mut().enumerate() {
            *d = dreset[H + i] + dc_z[H + i] + dc_r[H + i];
        }
        gather(&da_z, &c_t, &mut dW_z, &mut db_z);
        gather(&da_r, &c_t, &mut dW_r, &mut db_r);
        gather(&da_n, &reset, &mut dW, &mut db);
    }
    let always = [("dx", dx), ("dh_prev", dh_prev), ("dW_z", dW_z), ("dW_r", dW_r), ("dW", dW)];
    let given = [("db_z", db_z), ("db_r", db_r), ("db", db)]; // gru.bias
    let given = given.into_iter().filter_map(|(name, array)| array.map(|array| (name, array)));
    Ok(always.into_iter().chain(given).map(|(name, array)| (name, R::pack(array))).collect())
}

fn gru_sequence<R: Real>(call: &Call) -> Result<Outputs, Problem> {
    let gru = Gru::<R>::of(call);
    let X = call.array("X");
    let (T, B, H) = (call.size('T'), call.size('B'), call.size('H'));
    let mut h = Array::zeros(&[T, B, H])?;
    let mut h_T = match call.optional::<R>("h_0") {
        Some(h_0) => h_0.clone(),
        None => Array::zeros(&[B, H])?, // gru.initial_state
    };
    for t in 0..T {
        for n in 0..B {
            if call.integers("lengths").is_some_and(|lengths| t as i64 >= lengths.data[n]) {
                continue; // gru.lengths: h stays 0, h_T stays
            }
            let state = gru.step(X.row(t * B + n), h_T.row(n)); // gru.sequence
            h.row_mut(t * B + n).copy_from_slice(&state);
            h_T.row_mut(n).copy_from_slice(&state);
        }
    }
    Ok(vec![("h", R::pack(h)), ("h_T", R::pack(h_T))])
}

// --------------------------------------------------------------------- signatures, as in the spec

fn main() {
    const BIASES: &[(&str, &str)] = &[("b_z", "H"), ("b_r", "H"), ("b", "H")];
    let operations = [
        operation!("sigmoid", sigmoid, &[("x", "...")]),
        operation!("tanh", tanh, &[("x", "...")]),
        operation!("affine", affine, &[("x", "B I"), ("W", "O I")], optional: &[("b", "O")]),
        operation!("softmax", softmax, &[("x", "...")],
            attributes: &[("axis", Attribute::Integer(-1))]),
        operation!("softmax.vjp", softmax_vjp, &[("x", "..."), ("dy", "...")],
            attributes: &[("axis", Attribute::Integer(-1))]),
        operation!("gru_step", gru_step,
            &[("x", "B I"), ("h_prev", "B H"), ("W_z", "H H+I"), ("W_r", "H H+I"), ("W", "H H+I")],
            optional: BIASES),
        operation!("gru_step.vjp", gru_step_vjp,
            &[("x", "B I"), ("h_prev", "B H"), ("W_z", "H H+I"), ("W_r", "H H+I"), ("W", "H H+I"),
              ("dh", "B H")],
            optional: BIASES),
        operation!("gru_sequence", gru_sequence,
            &[("X", "T B I"), ("W_z", "H H+I"), ("W_r", "H H+I"), ("W", "H H+I")],
            optional: &[("h_0", "B H"), ("b_z", "H"), ("b_r", "H"), ("b", "H"), ("lengths", "B")],
            integers: &["lengths"]),
    ];
    serve(
        "example-rust",
        &operations,
        &[
            ("vjp", "the example has gru_step.vjp and softmax.vjp only"),
            ("gru_reset_after_step", "the example has the deck's form only"),
            ("gru_reset_after_sequence", "the example has the deck's form only"),
        ],
    );
}
