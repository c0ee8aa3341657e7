//! Lists and maps.

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};

use super::key::Text;
use super::{Encoder, Refusal};

/// A list or a map that is being written.
pub(super) struct Compound<'a> {
    encoder: &'a mut Encoder,
    form: Form,
    count: usize,
    /// The key whose value comes next.
    key: String,
    /// Whether it is the value of `{"Variant": …}`.
    in_variant: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    List,
    Map,
    /// A text that `serde_json` passes as it is.
    Raw,
}

impl<'a> Compound<'a> {
    pub(super) fn list(encoder: &'a mut Encoder) -> Self {
        Self::new(encoder, Form::List)
    }

    pub(super) fn map(encoder: &'a mut Encoder) -> Self {
        Self::new(encoder, Form::Map)
    }

    pub(super) fn raw(encoder: &'a mut Encoder) -> Self {
        Self::new(encoder, Form::Raw)
    }

    pub(super) fn in_variant(mut self, variant: &str) -> Self {
        self.encoder.path.push(variant.to_owned());
        self.in_variant = true;
        self
    }

    fn new(encoder: &'a mut Encoder, form: Form) -> Self {
        Self { encoder, form, count: 0, key: String::new(), in_variant: false }
    }

    fn comma(&mut self) -> Result<(), Refusal> {
        self.count += 1;
        if self.count > 1 { self.encoder.push(",") } else { Ok(()) }
    }

    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        let index = self.count.to_string();
        self.comma()?;
        self.encoder.element(index, value)
    }

    fn member<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), Refusal> {
        if self.form == Form::Raw {
            let text = value.serialize(Text)?;
            return self.encoder.push_raw(&text);
        }
        self.comma()?;
        self.encoder.push_str(key)?;
        self.encoder.push(":")?;
        self.encoder.element(key.to_owned(), value)
    }

    fn finish(self) -> Result<(), Refusal> {
        match self.form {
            Form::List => self.encoder.close("]")?,
            Form::Map => self.encoder.close("}")?,
            Form::Raw => {}
        }
        if self.in_variant {
            self.encoder.path.pop();
            self.encoder.close("}")?;
        }
        Ok(())
    }
}

macro_rules! lists {
    ($($trait:ident $method:ident,)*) => {
        $(impl $trait for Compound<'_> {
            type Ok = ();
            type Error = Refusal;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
                self.item(value)
            }

            fn end(self) -> Result<(), Refusal> {
                self.finish()
            }
        })*
    };
}

lists! {
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field,
}

macro_rules! structs {
    ($($trait:ident,)*) => {
        $(impl $trait for Compound<'_> {
            type Ok = ();
            type Error = Refusal;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), Refusal> {
                self.member(key, value)
            }

            fn end(self) -> Result<(), Refusal> {
                self.finish()
            }
        })*
    };
}

structs! { SerializeStruct, SerializeStructVariant, }

impl SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = Refusal;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Refusal> {
        self.key = key.serialize(Text)?;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refusal> {
        let key = std::mem::take(&mut self.key);
        self.member(&key, value)
    }

    fn end(self) -> Result<(), Refusal> {
        self.finish()
    }
}
