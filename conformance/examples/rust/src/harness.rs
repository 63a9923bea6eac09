//! The protocol's side of a backend of nnspec (spec/protocol.md): reads requests, checks them
//! against the signatures, calls the operations and writes the replies. It knows no equation; your
//! operations are in main.rs.

// a backend need not use everything that is here
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read, Write};
use std::ops::{Add, AddAssign, Div, Mul, Sub};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::str::FromStr;

use crate::json::{self, quoted, Value};

const LONGEST_LINE: u64 = 256_000_000;
const MOST_ELEMENTS: usize = 10_000_000;
const MOST_AXES: usize = 32;

/// Why there is no result.
pub enum Problem {
    /// The request cannot be answered.
    Error(String),
    /// The operation cannot express this case: a verdict, not an error.
    Unsupported(String),
}

pub fn error<T>(why: impl Into<String>) -> Result<T, Problem> {
    Err(Problem::Error(why.into()))
}

pub fn unsupported<T>(why: impl Into<String>) -> Result<T, Problem> {
    Err(Problem::Unsupported(why.into()))
}

/// f32 or f64: the equations are written once and computed in either.
pub trait Real:
    Copy
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + AddAssign
{
    const ZERO: Self;
    const ONE: Self;
    fn exp(self) -> Self;
    fn tanh(self) -> Self;
    fn abs(self) -> Self;
    fn unpack(array: &AnyArray) -> Option<&Array<Self>>;
    fn pack(array: Array<Self>) -> AnyArray;
}

macro_rules! real {
    ($type:ident, $variant:ident) => {
        impl Real for $type {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            fn exp(self) -> Self {
                $type::exp(self)
            }
            fn tanh(self) -> Self {
                $type::tanh(self)
            }
            fn abs(self) -> Self {
                $type::abs(self)
            }
            fn unpack(array: &AnyArray) -> Option<&Array<Self>> {
                match array {
                    AnyArray::$variant(found) => Some(found),
                    _ => None,
                }
            }
            fn pack(array: Array<Self>) -> AnyArray {
                AnyArray::$variant(array)
            }
        }
    };
}
real!(f32, Float32);
real!(f64, Float64);

/// Row-major; all data lie in one piece.
#[derive(Clone)]
pub struct Array<T> {
    pub shape: Vec<usize>,
    pub data: Vec<T>,
}

impl<R: Real> Array<R> {
    pub fn zeros(shape: &[usize]) -> Result<Self, Problem> {
        let data = vec![R::ZERO; elements(shape)?];
        Ok(Array { shape: shape.to_vec(), data })
    }
}

impl<T> Array<T> {
    fn width(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// Row n of a matrix, or of all leading axes taken as one.
    pub fn row(&self, n: usize) -> &[T] {
        &self.data[n * self.width()..(n + 1) * self.width()]
    }

    pub fn row_mut(&mut self, n: usize) -> &mut [T] {
        let width = self.width();
        &mut self.data[n * width..(n + 1) * width]
    }
}

#[derive(Clone)]
pub enum AnyArray {
    Float32(Array<f32>),
    Float64(Array<f64>),
    Int64(Array<i64>),
    Bool(Array<bool>),
}

pub type Outputs = Vec<(&'static str, AnyArray)>;
pub type Run = fn(&Call) -> Result<Outputs, Problem>;

/// What an attribute may be, with the spec's default: the first of the words, or this value.
pub enum Attribute {
    Words(&'static [&'static str]),
    Integer(i64),
    Number(f64),
    Truth(bool),
}

/// Written as the operation's block in spec/: a shape is "B H+I", or "..." for any.
pub struct Operation {
    pub name: &'static str,
    pub inputs: &'static [(&'static str, &'static str)],
    pub optional: &'static [(&'static str, &'static str)],
    pub integers: &'static [&'static str],
    pub booleans: &'static [&'static str],
    pub attributes: &'static [(&'static str, Attribute)],
    pub float32: Run,
    pub float64: Run,
}

/// `operation!(name, function, inputs, field: value, …)`: a signature; what is not named is empty.
#[allow(unused_macros)] // in a backend without operations
macro_rules! operation {
    ($name:literal, $function:ident, $inputs:expr $(, $field:ident: $value:expr)* $(,)?) => {{
        #[allow(unused_mut)]
        let mut operation = $crate::harness::Operation {
            name: $name,
            inputs: $inputs,
            optional: &[],
            integers: &[],
            booleans: &[],
            attributes: &[],
            float32: $function::<f32>,
            float64: $function::<f64>,
        };
        $(operation.$field = $value;)*
        operation
    }};
}
#[allow(unused_imports)] // in a backend without operations
pub(crate) use operation;

/// What an operation is called with; the request has been checked against the signature.
pub struct Call<'a> {
    operation: &'a Operation,
    inputs: BTreeMap<&'a str, AnyArray>,
    attributes: Option<&'a Value>,
    sizes: BTreeMap<char, usize>,
}

impl Call<'_> {
    /// The size that a symbol of the shapes, such as 'H', has in this request.
    pub fn size(&self, symbol: char) -> usize {
        self.sizes[&symbol]
    }

    /// A required input.
    pub fn array<R: Real>(&self, name: &str) -> &Array<R> {
        self.optional(name).expect("a required input of the request's dtype")
    }

    pub fn optional<R: Real>(&self, name: &str) -> Option<&Array<R>> {
        self.inputs.get(name).and_then(R::unpack)
    }

    pub fn integers(&self, name: &str) -> Option<&Array<i64>> {
        match self.inputs.get(name) {
            Some(AnyArray::Int64(array)) => Some(array),
            _ => None,
        }
    }

    pub fn booleans(&self, name: &str) -> Option<&Array<bool>> {
        match self.inputs.get(name) {
            Some(AnyArray::Bool(array)) => Some(array),
            _ => None,
        }
    }

    fn attribute(&self, name: &str) -> (&Attribute, Option<&Value>) {
        let mut declared = self.operation.attributes.iter();
        let (_, usual) = declared.find(|(n, _)| *n == name).expect("an attribute of the signature");
        (usual, self.attributes.and_then(|sent| sent.get(name)))
    }

    pub fn integer(&self, name: &str) -> Result<i64, Problem> {
        match self.attribute(name) {
            (Attribute::Integer(usual), None) => Ok(*usual),
            (_, Some(Value::Number(number))) if number.parse::<i64>().is_ok() => {
                Ok(number.parse().unwrap())
            }
            _ => error(format!("the attribute {name} is no integer")),
        }
    }

    pub fn number(&self, name: &str) -> Result<f64, Problem> {
        match self.attribute(name) {
            (Attribute::Number(usual), None) => Ok(*usual),
            (_, Some(Value::Number(number))) => Ok(number.parse().unwrap()),
            _ => error(format!("the attribute {name} is no number")),
        }
    }

    pub fn truth(&self, name: &str) -> Result<bool, Problem> {
        match self.attribute(name) {
            (Attribute::Truth(usual), None) => Ok(*usual),
            (_, Some(Value::Bool(truth))) => Ok(*truth),
            _ => error(format!("the attribute {name} is neither true nor false")),
        }
    }

    pub fn word(&self, name: &str) -> Result<&'static str, Problem> {
        let (Attribute::Words(words), sent) = self.attribute(name) else {
            return error(format!("the attribute {name} is no word"));
        };
        match sent {
            None => Ok(words[0]),
            Some(Value::Text(text)) => match words.iter().find(|word| *word == text) {
                Some(word) => Ok(word),
                None => unsupported(format!("{name} '{text}' is not there")),
            },
            Some(_) => error(format!("the attribute {name} is no string")),
        }
    }

    fn check(&mut self) -> Result<bool, Problem> {
        let operation = self.operation;
        let declared = || operation.inputs.iter().chain(operation.optional);
        for name in self.inputs.keys() {
            if !declared().any(|(known, _)| known == name) {
                return unsupported(format!("{} has no input '{name}'", operation.name));
            }
        }
        let mut single = None;
        for (i, (name, shape)) in declared().enumerate() {
            let Some(array) = self.inputs.get(name) else {
                if i < operation.inputs.len() {
                    return error(format!("the input '{name}' is missing"));
                }
                continue;
            };
            let right = match array {
                AnyArray::Int64(_) => operation.integers.contains(name),
                AnyArray::Bool(_) => operation.booleans.contains(name),
                floating => {
                    let narrow = matches!(floating, AnyArray::Float32(_));
                    *single.get_or_insert(narrow) == narrow
                        && !operation.integers.contains(name)
                        && !operation.booleans.contains(name)
                }
            };
            if !right {
                return error(format!("{name} has dtype {}", array.dtype()));
            }
            if !fits(array.shape(), shape, &mut self.sizes) {
                return error(format!("{name} has shape {:?}, wanted ({shape})", array.shape()));
            }
        }
        match self.attributes {
            None => {}
            Some(Value::Object(sent)) => {
                for (name, _) in sent {
                    if !operation.attributes.iter().any(|(known, _)| known == name) {
                        let why = format!("{} has no attribute '{name}'", operation.name);
                        return unsupported(why);
                    }
                }
            }
            Some(_) => return error("the attributes are no object"),
        }
        Ok(single == Some(true))
    }
}

/// Whether a shape is, say, "B H+I"; a symbol alone takes its size where it first stands.
fn fits(shape: &[usize], wanted: &str, sizes: &mut BTreeMap<char, usize>) -> bool {
    if wanted == "..." {
        return true;
    }
    let axes: Vec<&str> = wanted.split_whitespace().collect();
    if axes.len() != shape.len() {
        return false;
    }
    for (axis, size) in axes.iter().zip(shape) {
        let mut letters = axis.chars();
        if let (Some(symbol @ 'A'..='Z'), None) = (letters.next(), letters.next()) {
            sizes.entry(symbol).or_insert(*size);
        }
        let value = |word: &str| match word.parse::<usize>() {
            Ok(number) => number,
            Err(_) => sizes[&word.chars().next().expect("a symbol")],
        };
        let product = |term: &str| term.split('*').map(value).product::<usize>();
        if *size != axis.split('+').map(product).sum::<usize>() {
            return false;
        }
    }
    true
}

/// The number of elements, bounded: a size of 0 does not excuse the others.
fn elements(shape: &[usize]) -> Result<usize, Problem> {
    let mut bound = 1usize;
    for size in shape {
        bound = bound.saturating_mul((*size).max(1));
    }
    if bound > MOST_ELEMENTS || shape.len() > MOST_AXES {
        return error("a shape is too large");
    }
    Ok(shape.iter().product())
}

impl AnyArray {
    fn dtype(&self) -> &'static str {
        match self {
            AnyArray::Float32(_) => "float32",
            AnyArray::Float64(_) => "float64",
            AnyArray::Int64(_) => "int64",
            AnyArray::Bool(_) => "bool",
        }
    }

    fn shape(&self) -> &[usize] {
        match self {
            AnyArray::Float32(array) => &array.shape,
            AnyArray::Float64(array) => &array.shape,
            AnyArray::Int64(array) => &array.shape,
            AnyArray::Bool(array) => &array.shape,
        }
    }

    fn read(name: &str, sent: &Value) -> Result<Self, Problem> {
        let Some(Value::List(sizes)) = sent.get("shape") else {
            return error(format!("{name} has no shape"));
        };
        let mut shape = Vec::new();
        for size in sizes {
            match size {
                Value::Number(number) if number.parse::<usize>().is_ok() => {
                    shape.push(number.parse().unwrap());
                }
                _ => return error(format!("the shape of {name} is no list of sizes")),
            }
        }
        let count = elements(&shape)?;
        let Some(Value::List(data)) = sent.get("data") else {
            return error(format!("{name} has no list of data"));
        };
        if data.len() != count {
            let found = data.len();
            return error(format!("{found} elements do not fill {name}, of shape {shape:?}"));
        }
        match sent.get("dtype").and_then(Value::text) {
            Some("float32") => {
                collect(name, shape, data, |v| floating(v, f32::is_finite)).map(AnyArray::Float32)
            }
            Some("float64") => {
                collect(name, shape, data, |v| floating(v, f64::is_finite)).map(AnyArray::Float64)
            }
            Some("int64") => collect(name, shape, data, |v| match v {
                Value::Number(number) => number.parse().ok(),
                _ => None,
            })
            .map(AnyArray::Int64),
            Some("bool") => collect(name, shape, data, |v| match v {
                Value::Bool(truth) => Some(*truth),
                _ => None,
            })
            .map(AnyArray::Bool),
            _ => error(format!("{name} has an unknown dtype")),
        }
    }

    fn written(&self) -> String {
        let (shape, data) = match self {
            AnyArray::Float32(a) => (&a.shape, join(&a.data, |v| decimal(f64::from(*v), v))),
            AnyArray::Float64(a) => (&a.shape, join(&a.data, |v| decimal(*v, v))),
            AnyArray::Int64(a) => (&a.shape, join(&a.data, i64::to_string)),
            AnyArray::Bool(a) => (&a.shape, join(&a.data, bool::to_string)),
        };
        let shape = join(shape, usize::to_string);
        format!(r#"{{"dtype":"{}","shape":[{shape}],"data":[{data}]}}"#, self.dtype())
    }
}

fn collect<T>(
    name: &str,
    shape: Vec<usize>,
    data: &[Value],
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Array<T>, Problem> {
    let found: Option<Vec<T>> = data.iter().map(read).collect();
    match found {
        Some(data) => Ok(Array { shape, data }),
        None => error(format!("an element of {name} is none of its dtype")),
    }
}

/// A number read in its own type: a float32 by way of a float64 would be rounded twice.
fn floating<R: Copy + FromStr>(value: &Value, finite: fn(R) -> bool) -> Option<R> {
    match value {
        Value::Number(number) => number.parse().ok().filter(|v| finite(*v)),
        Value::Text(word) if matches!(word.as_str(), "NaN" | "Infinity" | "-Infinity") => {
            word.parse().ok()
        }
        _ => None,
    }
}

fn join<T>(values: &[T], written: impl Fn(&T) -> String) -> String {
    values.iter().map(written).collect::<Vec<_>>().join(",")
}

/// A number so that it reads back exactly: Rust prints the shortest digits of its type that do.
fn decimal(wide: f64, value: &impl std::fmt::Debug) -> String {
    if wide.is_nan() {
        "\"NaN\"".to_owned()
    } else if wide.is_infinite() {
        format!("\"{}Infinity\"", if wide > 0.0 { "" } else { "-" })
    } else {
        format!("{value:?}")
    }
}

/// Says hello and answers requests until they end. `reasons` tells why what is not there is not.
pub fn serve(backend: &str, operations: &[Operation], reasons: &[(&str, &str)]) {
    let names = join(operations, |operation| quoted(operation.name));
    let reasons = join(reasons, |(key, why)| format!("{}:{}", quoted(key), quoted(why)));
    send(&format!(
        "{{\"hello\":\"nnspec\",\"protocol\":1,\"backend\":{},\"version\":{},\
         \"operations\":[{names}],\"dtypes\":[\"float32\",\"float64\"],\
         \"unsupported\":{{{reasons}}}}}",
        quoted(backend),
        quoted(env!("CARGO_PKG_VERSION")),
    ));
    let mut stdin = io::stdin().lock();
    loop {
        let mut line = Vec::new();
        let mut limited = (&mut stdin).take(LONGEST_LINE);
        if let Err(why) = limited.read_until(b'\n', &mut line) {
            leave(&format!("the requests cannot be read: {why}"));
        }
        if line.is_empty() {
            return;
        }
        if line.pop() != Some(b'\n') {
            leave("a request is too long, or the requests end within a line");
        }
        answer(&line, operations);
    }
}

fn answer(line: &[u8], operations: &[Operation]) {
    let message = String::from_utf8_lossy(line);
    let request =
        json::read(&message).unwrap_or_else(|why| leave(&format!("a request is no JSON: {why}")));
    let Some(id) = request.get("id").and_then(Value::text) else {
        leave("a request has no id");
    };
    let caught = catch_unwind(AssertUnwindSafe(|| outputs_of(&request, operations)));
    let done = caught.unwrap_or_else(|_| error("it panicked; standard error says where"));
    let rest = match done {
        Ok(outputs) => format!("\"outputs\":{{{outputs}}}"),
        Err(Problem::Error(why)) => format!("\"error\":{}", quoted(&why)),
        Err(Problem::Unsupported(why)) => format!("\"unsupported\":{}", quoted(&why)),
    };
    send(&format!("{{\"id\":{},{rest}}}", quoted(id)));
}

fn outputs_of(request: &Value, operations: &[Operation]) -> Result<String, Problem> {
    let Some(name) = request.get("operation").and_then(Value::text) else {
        return error("the operation is no string");
    };
    let mut inputs = BTreeMap::new();
    match request.get("inputs") {
        None => {}
        Some(Value::Object(sent)) => {
            for (name, array) in sent {
                inputs.insert(name.as_str(), AnyArray::read(name, array)?);
            }
        }
        Some(_) => return error("the inputs are no object"),
    }
    let written = |name: &str, array: &AnyArray| format!("{}:{}", quoted(name), array.written());
    if name == "echo" {
        let outputs: Vec<_> = inputs.iter().map(|(name, array)| written(name, array)).collect();
        return Ok(outputs.join(","));
    }
    let Some(operation) = operations.iter().find(|operation| operation.name == name) else {
        return unsupported(format!("there is no {name} here"));
    };
    let attributes = request.get("attributes");
    let mut call = Call { operation, inputs, attributes, sizes: BTreeMap::new() };
    let run = if call.check()? { operation.float32 } else { operation.float64 };
    Ok(join(&run(&call)?, |(name, array)| written(name, array)))
}

fn send(line: &str) {
    let mut stdout = io::stdout().lock();
    if writeln!(stdout, "{line}").and_then(|()| stdout.flush()).is_err() {
        std::process::exit(0); // nobody reads any more
    }
}

fn leave(why: &str) -> ! {
    eprintln!("{why}");
    std::process::exit(2);
}
