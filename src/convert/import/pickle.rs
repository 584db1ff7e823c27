//! Python's pickles, read as data: nothing in them is ever called.
//!
//! A pickle is a program for a small stack machine that may call anything; what it calls is kept
//! here as a name with arguments. That is enough for what APScheduler leaves in an export: dates,
//! spans, zones and the fields of a cron trigger. Bounded, because files come from anywhere.

use std::rc::Rc;

/// More steps than this has no value of a trigger, and no nesting that could hurt.
const MAX_STEPS: usize = 4096;

/// A value, as far as it is known without running anything.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Pickled {
    None,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
    /// A list, a tuple or a set.
    List(Vec<Rc<Pickled>>),
    Dict(Vec<(Rc<Pickled>, Rc<Pickled>)>),
    /// `module.name`.
    Global(String),
    /// What is called, and with what.
    Call(Rc<Pickled>, Vec<Rc<Pickled>>),
    /// An object of a class, and its state.
    Object(Rc<Pickled>, Rc<Pickled>),
    /// Something that is not needed here, such as a float.
    Other,
    Mark,
}

impl Pickled {
    /// The value of a key of a dict, or of the state of an object.
    pub(super) fn get(&self, name: &str) -> Option<&Pickled> {
        let entries = match self {
            Pickled::Dict(entries) => entries,
            Pickled::Object(_, state) => return state.get(name),
            _ => return None,
        };
        let found = entries.iter().find(|(key, _)| matches!(&**key, Pickled::Text(k) if k == name));
        found.map(|(_, value)| &**value)
    }

    pub(super) fn integer(&self) -> Option<i64> {
        match self {
            Pickled::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The name of what was called, or of the object's class.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Pickled::Global(name) => Some(name),
            Pickled::Call(what, _) | Pickled::Object(what, _) => what.name(),
            _ => None,
        }
    }
}

/// Reads a pickle.
pub(super) fn read(bytes: &[u8]) -> Option<Rc<Pickled>> {
    let mut machine = Machine { rest: bytes, stack: Vec::new(), memo: Vec::new() };
    for _ in 0..MAX_STEPS {
        if let Some(value) = machine.step()? {
            return Some(value);
        }
    }
    None
}

struct Machine<'a> {
    rest: &'a [u8],
    stack: Vec<Rc<Pickled>>,
    memo: Vec<Rc<Pickled>>,
}

impl Machine<'_> {
    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    /// A little-endian number of so many bytes.
    fn number(&mut self, count: usize) -> Option<usize> {
        let bytes = self.take(count)?;
        let number = bytes.iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        usize::try_from(number).ok()
    }

    fn push(&mut self, value: Pickled) {
        self.stack.push(Rc::new(value));
    }

    fn text(&mut self, count: usize) -> Option<()> {
        let text = String::from_utf8(self.take(count)?.to_vec()).ok()?;
        self.push(Pickled::Text(text));
        Some(())
    }

    fn tuple(&mut self, count: usize) -> Option<()> {
        let items = self.stack.split_off(self.stack.len().checked_sub(count)?);
        self.push(Pickled::List(items));
        Some(())
    }

    /// What lies above the last mark.
    fn above_mark(&mut self) -> Option<Vec<Rc<Pickled>>> {
        let mark = self.stack.iter().rposition(|value| **value == Pickled::Mark)?;
        let above = self.stack.split_off(mark + 1);
        self.stack.pop();
        Some(above)
    }

    fn line(&mut self) -> Option<String> {
        let end = self.rest.iter().position(|byte| *byte == b'\n')?;
        let line = String::from_utf8(self.take(end)?.to_vec()).ok()?;
        self.take(1)?;
        Some(line)
    }

    fn items(value: &Rc<Pickled>) -> Option<Vec<Rc<Pickled>>> {
        match &**value {
            Pickled::List(items) => Some(items.clone()),
            _ => None,
        }
    }

    /// Adds to the list or the dict on top.
    fn extend(&mut self, values: Vec<Rc<Pickled>>) -> Option<()> {
        let mut top = self.stack.pop()?;
        match Rc::make_mut(&mut top) {
            Pickled::List(items) => items.extend(values),
            Pickled::Dict(entries) => {
                let pairs = values.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone()));
                entries.extend(pairs);
            }
            _ => return None,
        }
        self.stack.push(top);
        Some(())
    }

    /// One step; a value when the program is over, `None` when it is not understood.
    fn step(&mut self) -> Option<Option<Rc<Pickled>>> {
        let code = *self.take(1)?.first()?;
        match code {
            b'.' => return Some(Some(self.stack.pop()?)),
            // The protocol, and how long a frame is.
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'(' => self.push(Pickled::Mark),
            b'0' => drop(self.stack.pop()?),
            b'1' => drop(self.above_mark()?),
            b'N' | 0x88 | 0x89 | b'J' | b'K' | b'M' | 0x8a | b'G' => self.scalar(code)?,
            0x8c | b'X' | 0x8d | b'C' | b'B' | 0x8e => self.string(code)?,
            b']' | b')' | 0x8f => self.push(Pickled::List(Vec::new())),
            b'}' => self.push(Pickled::Dict(Vec::new())),
            0x85..=0x87 => self.tuple(usize::from(code) - 0x84)?,
            b't' | b'l' | 0x91 | b'd' | b'a' | b's' | b'e' | b'u' | 0x90 => self.gather(code)?,
            0x94 | b'q' | b'r' | b'h' | b'j' => self.remember(code)?,
            b'c' | 0x93 | b'R' | 0x81 | b'b' => self.object(code)?,
            _ => return None,
        }
        Some(None)
    }

    /// Numbers, and what is as small.
    fn scalar(&mut self, code: u8) -> Option<()> {
        let value = match code {
            b'N' => Pickled::None,
            0x88 => Pickled::Integer(1),
            0x89 => Pickled::Integer(0),
            b'J' => Pickled::Integer((self.number(4)? as u32 as i32).into()),
            b'K' => Pickled::Integer(self.number(1)? as i64),
            b'M' => Pickled::Integer(self.number(2)? as i64),
            0x8a => {
                let count = self.number(1)?;
                Pickled::Integer(signed(self.take(count)?)?)
            }
            b'G' => {
                self.take(8)?;
                Pickled::Other
            }
            _ => return None,
        };
        self.push(value);
        Some(())
    }

    /// Text and bytes, behind a length of one, four or eight bytes.
    fn string(&mut self, code: u8) -> Option<()> {
        let count = self.number(match code {
            0x8c | b'C' => 1,
            b'X' | b'B' => 4,
            _ => 8,
        })?;
        if matches!(code, 0x8c | b'X' | 0x8d) {
            return self.text(count);
        }
        let bytes = self.take(count)?.to_vec();
        self.push(Pickled::Bytes(bytes));
        Some(())
    }

    /// What makes a list or a dict of values on the stack, or adds them to one.
    fn gather(&mut self, code: u8) -> Option<()> {
        match code {
            b't' | b'l' | 0x91 => {
                let items = self.above_mark()?;
                self.push(Pickled::List(items));
                Some(())
            }
            b'd' => {
                let items = self.above_mark()?;
                self.push(Pickled::Dict(Vec::new()));
                self.extend(items)
            }
            b'a' => {
                let item = self.stack.pop()?;
                self.extend(vec![item])
            }
            b's' => {
                let value = self.stack.pop()?;
                let key = self.stack.pop()?;
                self.extend(vec![key, value])
            }
            _ => {
                let items = self.above_mark()?;
                self.extend(items)
            }
        }
    }

    /// Puts a value into the memo, or gets it back.
    fn remember(&mut self, code: u8) -> Option<()> {
        match code {
            0x94 => self.memo.push(self.stack.last()?.clone()),
            b'q' | b'r' => {
                // Numbered in order, as every pickler does.
                let index = self.number(if code == b'q' { 1 } else { 4 })?;
                (index == self.memo.len()).then_some(())?;
                self.memo.push(self.stack.last()?.clone());
            }
            _ => {
                let index = self.number(if code == b'h' { 1 } else { 4 })?;
                let value = self.memo.get(index)?.clone();
                self.stack.push(value);
            }
        }
        Some(())
    }

    /// Names, what is called, and objects.
    fn object(&mut self, code: u8) -> Option<()> {
        let value = match code {
            b'c' => Pickled::Global(format!("{}.{}", self.line()?, self.line()?)),
            0x93 => {
                let (name, module) = (self.stack.pop()?, self.stack.pop()?);
                let (Pickled::Text(module), Pickled::Text(name)) = (&*module, &*name) else {
                    return None;
                };
                Pickled::Global(format!("{module}.{name}"))
            }
            b'R' | 0x81 => {
                let arguments = self.stack.pop()?;
                let what = self.stack.pop()?;
                Pickled::Call(what, Self::items(&arguments)?)
            }
            _ => {
                let state = self.stack.pop()?;
                let object = self.stack.pop()?;
                let class = match &*object {
                    Pickled::Call(class, _) => class.clone(),
                    _ => object,
                };
                Pickled::Object(class, state)
            }
        };
        self.push(value);
        Some(())
    }
}

/// A little-endian number of up to eight bytes, in two's complement.
fn signed(bytes: &[u8]) -> Option<i64> {
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let sign = if negative { -1 } else { 0 };
    let number = bytes.iter().rev().fold(sign, |number, byte| number << 8 | i64::from(*byte));
    (bytes.len() <= 8).then_some(number)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_a_span_and_a_field() {
        // datetime.timedelta(days=2)
        let span = "gAWVJAAAAAAAAACMCGRhdGV0aW1llIwJdGltZWRlbHRhlJOUSwJLAEsAh5RSlC4=";
        let span = read(&STANDARD.decode(span).unwrap()).unwrap();
        assert_eq!(span.name(), Some("datetime.timedelta"));
        let Pickled::Call(_, arguments) = &*span else { panic!("{span:?}") };
        let numbers: Vec<Option<i64>> = arguments.iter().map(|number| number.integer()).collect();
        assert_eq!(numbers, [Some(2), Some(0), Some(0)]);
        // BaseField("hour", "0-3")
        let field = "gAWVxgAAAAAAAACMIGFwc2NoZWR1bGVyLnRyaWdnZXJzLmNyb24uZmllbGRzlIwJQmFzZUZpZWxklJOUKYGU\
                     fZQojARuYW1llIwEaG91cpSMCmlzX2RlZmF1bHSUiYwLZXhwcmVzc2lvbnOUXZSMJWFwc2NoZWR1bGVyLnRy\
                     aWdnZXJzLmNyb24uZXhwcmVzc2lvbnOUjA9SYW5nZUV4cHJlc3Npb26Uk5QpgZR9lCiMBHN0ZXCUTowFZmly\
                     c3SUSwCMBGxhc3SUSwN1YmF1Yi4=";
        let field = read(&STANDARD.decode(field).unwrap()).unwrap();
        assert_eq!(field.name(), Some("apscheduler.triggers.cron.fields.BaseField"));
        assert_eq!(field.get("name"), Some(&Pickled::Text("hour".to_owned())));
        let Some(Pickled::List(items)) = field.get("expressions") else { panic!("{field:?}") };
        assert_eq!(items[0].get("last"), Some(&Pickled::Integer(3)));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn anything_can_be_read(bytes in any::<Vec<u8>>()) {
            read(&bytes);
        }
    }
}
