//! The table of values that all SDKs share.

use std::collections::BTreeMap;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use serde_json::{Number, Value, json};
use signoff_client::Context;

const TABLE: &str = include_str!("../../../../values.json");

/// A native value, as the table describes it.
struct Native<'a>(&'a Value);

impl Serialize for Native<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (kind, value) = self.0.as_object().unwrap().iter().next().unwrap();
        let text = || value.as_str().unwrap();
        match kind.as_str() {
            "null" => serializer.serialize_unit(),
            "true" | "false" => serializer.serialize_bool(kind == "true"),
            "int" => match text().parse::<i64>() {
                Ok(number) => serializer.serialize_i64(number),
                Err(_) => serializer.serialize_u64(text().parse().unwrap()),
            },
            "float" => serializer.serialize_f64(text().parse().unwrap()),
            "string" => serializer.serialize_str(text()),
            "list" => serializer.collect_seq(value.as_array().unwrap().iter().map(Native)),
            "map" => {
                let pairs = value.as_array().unwrap();
                let mut map = serializer.serialize_map(Some(pairs.len()))?;
                for pair in pairs {
                    map.serialize_entry(pair[0].as_str().unwrap(), &Native(&pair[1]))?;
                }
                map.end()
            }
            "nested" => Nested(value.as_u64().unwrap()).serialize(serializer),
            other => panic!("unknown kind `{other}`"),
        }
    }
}

/// This many lists in each other.
struct Nested(u64);

impl Serialize for Nested {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let inner = (self.0 > 1).then(|| Nested(self.0 - 1));
        serializer.collect_seq(inner)
    }
}

#[test]
fn every_value_has_its_text_or_its_refusal() {
    let table: Value = serde_json::from_str(TABLE).unwrap();
    let mut rows = 0;
    for row in table["values"].as_array().unwrap() {
        let only = row["only"].as_array();
        if only.is_some_and(|only| !only.contains(&json!("rust"))) {
            continue;
        }
        let name = row["name"].as_str().unwrap();
        let own = |member: &str| row["rust"].get(member).or_else(|| row.get(member));
        let read = match row["native"]["raw"].as_str() {
            Some(raw) => raw_in_v(raw),
            None => {
                let v = BTreeMap::from([("v", Native(&row["native"]))]);
                Context::new(&v).map_err(|e| e.members().concat())
            }
        };
        match (own("canonical"), own("refused").and_then(Value::as_str)) {
            (Some(canonical), None) => {
                let read = read.unwrap_or_else(|e| panic!("{name}: refused at {e}"));
                if let Some(canonical) = canonical.as_str() {
                    assert_eq!(read.canonical(), canonical, "{name}");
                }
            }
            (None, Some(path)) => {
                let e = read.err().unwrap_or_else(|| panic!("{name} is taken"));
                assert!(e.contains(path), "{name}: refused at `{e}`, expected `{path}`");
            }
            other => panic!("{name}: {other:?}"),
        }
        rows += 1;
    }
    assert!(rows > 30, "{rows} rows");
}

/// A raw text under `v`. Serde's raw values are JSON by construction.
fn raw_in_v(raw: &str) -> Result<Context, String> {
    let raw = RawValue::from_string(raw.to_owned()).map_err(|e| e.to_string())?;
    Context::new(&BTreeMap::from([("v", raw)])).map_err(|e| e.to_string())
}

#[derive(serde::Serialize)]
struct Everything {
    i128: i128,
    u128: u128,
    f32: f32,
    char: char,
    tuple: (u8, bool),
    unit: (),
    none: Option<u8>,
    some: Option<u8>,
    enums: Vec<Enum>,
}

#[derive(serde::Serialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Enum {
    Unit,
    Newtype(u8),
    Tuple(u8, u8),
    Struct { a: u8 },
}

#[test]
fn types_of_rust_are_written_as_serde_json_writes_them() {
    let enums = vec![Enum::Unit, Enum::Newtype(1), Enum::Tuple(1, 2), Enum::Struct { a: 1 }];
    let value = Everything {
        i128: i128::MIN,
        u128: u128::MAX,
        f32: 0.1,
        char: 'é',
        tuple: (1, true),
        unit: (),
        none: None,
        some: Some(1),
        enums,
    };
    let expected = serde_json::to_string(&value).unwrap();
    let context = Context::new(&value).unwrap();
    assert_eq!(context.text(), expected);
    assert!(context.canonical().contains("-170141183460469231731687303715884105728"));
    let keys = BTreeMap::from([(Enum::Unit, 1)]);
    assert_eq!(Context::new(&keys).unwrap().text(), r#"{"Unit":1}"#);
    let number = Context::new(&json!({"n": Number::from(u64::MAX)})).unwrap();
    assert_eq!(number.text(), r#"{"n":18446744073709551615}"#);
}

#[test]
fn what_json_would_change_is_refused_with_its_path() {
    struct Bytes;
    impl Serialize for Bytes {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(b"x")
        }
    }
    struct Failing;
    impl Serialize for Failing {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("of its own"))
        }
    }
    fn at(value: impl Serialize) -> String {
        let e = Context::new(&value).unwrap_err();
        assert_eq!(e.code(), "context-invalid");
        e.members().concat()
    }
    let a = |value| BTreeMap::from([("a/b~c", vec![value])]);
    assert_eq!(at(a(f64::NAN)), "/a~1b~0c/0");
    assert_eq!(at(BTreeMap::from([("a", (0, f32::INFINITY))])), "/a/1");
    assert_eq!(at(BTreeMap::from([("a", Bytes)])), "/a");
    assert_eq!(at(BTreeMap::from([("a", Failing)])), "/a");
    assert_eq!(at(BTreeMap::from([("a", BTreeMap::from([(1, 1)]))])), "/a");
    assert_eq!(at(BTreeMap::from([("a", BTreeMap::from([(true, 1)]))])), "/a");
    assert_eq!(at(BTreeMap::from([("a", BTreeMap::from([(None::<&str>, 1)]))])), "/a");
    #[derive(serde::Serialize)]
    enum Deep {
        Variant { inner: f64 },
    }
    assert_eq!(at(Deep::Variant { inner: f64::NAN }), "/Variant/inner");
    assert_eq!(at(BTreeMap::from([("a", "x".repeat(1 << 20))])), "/a");
    assert_eq!(at(BTreeMap::from([("a", Nested(u64::from(u32::MAX)))])).len(), "/a".len() + 63 * 2);
    assert_eq!(at([1]), "", "a context is an object");
}

/// What `serde_json` passes through a serializer under names of its own is read again.
#[test]
fn raw_text_is_one_value() {
    struct Forged(&'static str, &'static str);
    impl Serialize for Forged {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeStruct;
            let mut forged = serializer.serialize_struct(self.0, 1)?;
            forged.serialize_field(self.0, self.1)?;
            forged.end()
        }
    }
    for name in ["$serde_json::private::RawValue", "$serde_json::private::Number"] {
        let v = |text| Context::new(&BTreeMap::from([("v", Forged(name, text))]));
        assert_eq!(v("100000000000000000000").unwrap().text(), r#"{"v":100000000000000000000}"#);
        for text in ["", "1, \"w\": 2", "1}", "NaN", "1 2"] {
            assert!(v(text).is_err(), "{name} {text}");
        }
    }
}
