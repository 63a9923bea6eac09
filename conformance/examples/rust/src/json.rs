//! JSON as the protocol needs it: numbers stay as they were written, for their array's dtype decides
//! what they are. `serde_json` with `arbitrary_precision` does the same; this needs no crate.

const MOST_NESTING: usize = 32;

#[derive(Debug)]
pub enum Value {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Value>),
    Object(Vec<(String, Value)>),
}

impl Value {
    /// Of a field that stands twice, the last one counts.
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Value::Object(members) => members.iter().rfind(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// The value of a whole message.
pub fn read(message: &str) -> Result<Value, String> {
    let mut reader = Reader { text: message, at: 0 };
    let value = reader.value(0)?;
    reader.skip_spaces();
    match reader.peek() {
        None => Ok(value),
        Some(_) => reader.refuse("nothing more is due"),
    }
}

/// A string with its quotes.
pub fn quoted(text: &str) -> String {
    let mut result = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => result.push_str("\\\""),
            '\\' => result.push_str("\\\\"),
            c if c < ' ' => result.push_str(&format!("\\u{:04x}", c as u32)),
            c => result.push(c),
        }
    }
    result.push('"');
    result
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn refuse<T>(&self, why: &str) -> Result<T, String> {
        Err(format!("{why} at byte {}", self.at))
    }

    fn skip_spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > MOST_NESTING {
            return self.refuse("nested too deeply");
        }
        self.skip_spaces();
        match self.peek() {
            Some(b'{') => {
                let mut members = Vec::new();
                self.items(b'}', |reader| {
                    if reader.peek() != Some(b'"') {
                        return reader.refuse("a key is no string");
                    }
                    let key = reader.string()?;
                    reader.skip_spaces();
                    if !reader.take(b':') {
                        return reader.refuse("a key without a value");
                    }
                    members.push((key, reader.value(depth + 1)?));
                    Ok(())
                })?;
                Ok(Value::Object(members))
            }
            Some(b'[') => {
                let mut values = Vec::new();
                self.items(b']', |reader| {
                    values.push(reader.value(depth + 1)?);
                    Ok(())
                })?;
                Ok(Value::List(values))
            }
            Some(b'"') => self.string().map(Value::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                for (word, value) in [
                    ("null", Value::Null),
                    ("true", Value::Bool(true)),
                    ("false", Value::Bool(false)),
                ] {
                    if self.text[self.at..].starts_with(word) {
                        self.at += word.len();
                        return Ok(value);
                    }
                }
                self.refuse("no value where one is due")
            }
        }
    }

    fn items(
        &mut self,
        close: u8,
        mut read_item: impl FnMut(&mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        self.at += 1;
        self.skip_spaces();
        if self.take(close) {
            return Ok(());
        }
        loop {
            self.skip_spaces();
            read_item(self)?;
            self.skip_spaces();
            if self.take(close) {
                return Ok(());
            }
            if !self.take(b',') {
                return self.refuse("a comma or an end is missing");
            }
        }
    }

    fn digits(&mut self) -> Result<(), String> {
        let begin = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == begin {
            return self.refuse("a bad number");
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Value, String> {
        let begin = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(Value::Number(self.text[begin..self.at].to_owned()))
    }

    fn string(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut result = String::new();
        loop {
            let rest = &self.text[self.at..];
            let Some(c) = rest.chars().next().filter(|c| *c >= ' ') else {
                return self.refuse("a string does not end");
            };
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(result),
                '\\' => result.push(self.escape()?),
                c => result.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        let escape = self.peek();
        self.at += 1;
        Ok(match escape {
            Some(c @ (b'"' | b'\\' | b'/')) => c as char,
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let mut code = self.hex()?;
                if code >> 10 == 0x36 && self.text.as_bytes()[self.at..].starts_with(b"\\u") {
                    self.at += 2;
                    let low = self.hex()?;
                    if low >> 10 == 0x37 {
                        code = 0x10000 + ((code & 0x3FF) << 10) + (low & 0x3FF);
                    }
                }
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER) // half of a pair
            }
            _ => {
                self.at -= 1;
                return self.refuse("an unknown escape");
            }
        })
    }

    fn hex(&mut self) -> Result<u32, String> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| (byte as char).to_digit(16));
            let Some(digit) = digit else {
                return self.refuse("a bad \\u");
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }
}
