//! The strict encoder: a value as JSON text, or a refusal with the path of what JSON would change.

mod compound;
mod key;

use std::fmt::{self, Display};

use serde::de::IgnoredAny;
use serde::ser::{self, Serialize, Serializer};

use compound::Compound;

/// The largest text and the deepest nesting of a context, as the verifier has them. Checked here too,
/// so that a value without end needs neither memory nor stack.
const BYTES_MAX: usize = 1 << 20;
const DEPTH_MAX: usize = 64;

/// How `serde_json` passes a text, and a number of any size, through a serializer.
const RAW_TEXT: &str = "$serde_json::private::RawValue";
const RAW_NUMBER: &str = "$serde_json::private::Number";

/// Serializes a value.
pub(crate) fn text<T: Serialize + ?Sized>(value: &T) -> Result<String, Refusal> {
    let mut encoder = Encoder::default();
    value.serialize(&mut encoder).map_err(|e| e.at(&encoder.path))?;
    Ok(encoder.out)
}

/// Why a value is refused, and where it is.
#[derive(Debug)]
pub(crate) struct Refusal {
    why: String,
    path: Option<String>,
}

impl Refusal {
    fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), path: None }
    }

    /// Sets the path, unless the refusal has that of an inner value.
    fn at(mut self, path: &[String]) -> Self {
        self.path.get_or_insert_with(|| {
            let escaped = path.iter().map(|part| part.replace('~', "~0").replace('/', "~1"));
            escaped.map(|part| format!("/{part}")).collect()
        });
        self
    }

    /// The JSON pointer of the value; empty for the whole.
    pub(crate) fn path(&self) -> String {
        self.path.clone().unwrap_or_default()
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_deref() {
            None | Some("") => write!(f, "the value: {}", self.why),
            Some(path) => write!(f, "the value at `{path}`: {}", self.why),
        }
    }
}

impl std::error::Error for Refusal {}

impl ser::Error for Refusal {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(message.to_string())
    }
}

/// Writes a value as text.
#[derive(Default)]
struct Encoder {
    out: String,
    path: Vec<String>,
    depth: usize,
}

impl Encoder {
    fn push(&mut self, text: &str) -> Result<(), Refusal> {
        if self.out.len() + text.len() > BYTES_MAX {
            return Err(Refusal::new("longer than 1 MiB"));
        }
        self.out.push_str(text);
        Ok(())
    }

    /// Writes a text that is JSON already.
    fn push_raw(&mut self, text: &str) -> Result<(), Refusal> {
        serde_json::from_str::<IgnoredAny>(text)
            .map_err(|e| Refusal::new(format!("the raw text is not one JSON value: {e}")))?;
        self.push(text)
    }

    fn push_str(&mut self, text: &str) -> Result<(), Refusal> {
        let quoted = serde_json::to_string(text).map_err(|e| Refusal::new(e.to_string()))?;
        self.push(&quoted)
    }

    fn push_float<F: Serialize>(&mut self, value: &F, is_finite: bool) -> Result<(), Refusal> {
        if !is_finite {
            return Err(Refusal::new("JSON has no number for NaN and Infinity"));
        }
        let written = serde_json::to_string(value).map_err(|e| Refusal::new(e.to_string()))?;
        self.push(&written)
    }

    /// Begins a list or a map.
    fn open(&mut self, bracket: &str) -> Result<(), Refusal> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Refusal::new(format!("deeper than {DEPTH_MAX}")));
        }
        self.push(bracket)
    }

    fn close(&mut self, bracket: &str) -> Result<(), Refusal> {
        self.depth -= 1;
        self.push(bracket)
    }

    /// Writes a value in the list or map that is open, under its index or key.
    fn element<T: Serialize + ?Sized>(&mut self, name: String, value: &T) -> Result<(), Refusal> {
        self.path.push(name);
        value.serialize(&mut *self).map_err(|e| e.at(&self.path))?;
        self.path.pop();
        Ok(())
    }

    /// Begins the object `{"Variant": …}`.
    fn open_variant(&mut self, variant: &str) -> Result<(), Refusal> {
        self.open("{")?;
        self.push_str(variant)?;
        self.push(":")
    }
}

macro_rules! integers {
    ($($name:ident $type:ty,)*) => {
        $(fn $name(self, value: $type) -> Result<(), Refusal> {
            self.push(&value.to_string())
        })*
    };
}

impl<'a> Serializer for &'a mut Encoder {
    type Ok = ();
    type Error = Refusal;
    type SerializeSeq = Compound<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Compound<'a>;
    type SerializeTupleVariant = Compound<'a>;
    type SerializeMap = Compound<'a>;
    type SerializeStruct = Compound<'a>;
    type SerializeStructVariant = Compound<'a>;

    integers! {
        serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64, serialize_i128 i128,
        serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64, serialize_u128 u128,
        serialize_bool bool,
    }

    fn serialize_f32(self, value: f32) -> Result<(), Refusal> {
        self.push_float(&value, value.is_finite())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Refusal> {
        self.push_float(&value, value.is_finite())
    }

    fn serialize_char(self, value: char) -> Result<(), Refusal> {
        self.push_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Refusal> {
        self.push_str(value)
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), Refusal> {
        Err(Refusal::new("JSON has no bytes: encode them as text"))
    }

    fn serialize_none(self) -> Result<(), Refusal> {
        self.push("null")
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Refusal> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Refusal> {
        self.push("null")
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Refusal> {
        self.push("null")
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Refusal> {
        self.push_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Refusal> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Refusal> {
        self.open_variant(variant)?;
        self.element(variant.to_owned(), value)?;
        self.close("}")
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Compound<'a>, Refusal> {
        self.open("[")?;
        Ok(Compound::list(self))
    }

    fn serialize_tuple(self, _: usize) -> Result<Compound<'a>, Refusal> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Compound<'a>, Refusal> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'a>, Refusal> {
        self.open_variant(variant)?;
        self.open("[")?;
        Ok(Compound::list(self).in_variant(variant))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Compound<'a>, Refusal> {
        self.open("{")?;
        Ok(Compound::map(self))
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Compound<'a>, Refusal> {
        match name {
            RAW_TEXT | RAW_NUMBER => Ok(Compound::raw(self)),
            _ => self.serialize_map(None),
        }
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'a>, Refusal> {
        self.open_variant(variant)?;
        self.open("{")?;
        Ok(Compound::map(self).in_variant(variant))
    }
}
