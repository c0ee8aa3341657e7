//! Keys of maps, which must be text.

use serde::ser::{Impossible, Serialize, Serializer};

use super::Refusal;

/// Takes a text, and nothing else: JSON would turn a number into one, so that two keys become equal.
pub(super) struct Text;

type Never = Impossible<String, Refusal>;

fn refused<T>() -> Result<T, Refusal> {
    Err(Refusal::new("a key is not text"))
}

macro_rules! no {
    ($($name:ident $type:ty,)*) => {
        $(fn $name(self, _: $type) -> Result<String, Refusal> {
            refused()
        })*
    };
}

impl Serializer for Text {
    type Ok = String;
    type Error = Refusal;
    type SerializeSeq = Never;
    type SerializeTuple = Never;
    type SerializeTupleStruct = Never;
    type SerializeTupleVariant = Never;
    type SerializeMap = Never;
    type SerializeStruct = Never;
    type SerializeStructVariant = Never;

    no! {
        serialize_bool bool,
        serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64, serialize_i128 i128,
        serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64, serialize_u128 u128,
        serialize_f32 f32, serialize_f64 f64, serialize_bytes &[u8], serialize_unit_struct &'static str,
    }

    fn serialize_char(self, value: char) -> Result<String, Refusal> {
        Ok(value.to_string())
    }

    fn serialize_str(self, value: &str) -> Result<String, Refusal> {
        Ok(value.to_owned())
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<String, Refusal> {
        Ok(variant.to_owned())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<String, Refusal> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<String, Refusal> {
        value.serialize(self)
    }

    fn serialize_none(self) -> Result<String, Refusal> {
        refused()
    }

    fn serialize_unit(self) -> Result<String, Refusal> {
        refused()
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<String, Refusal> {
        refused()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Never, Refusal> {
        refused()
    }

    fn serialize_tuple(self, _: usize) -> Result<Never, Refusal> {
        refused()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Never, Refusal> {
        refused()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Never, Refusal> {
        refused()
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Never, Refusal> {
        refused()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Never, Refusal> {
        refused()
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Never, Refusal> {
        refused()
    }
}
