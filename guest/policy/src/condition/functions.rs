//! The functions that a condition may call: one table for the checks, the language reference and
//! the tests. The `cel` crate implements them.

/// The static type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Unknown before evaluation.
    Dyn,
    /// `bool`
    Bool,
    /// `int`
    Int,
    /// `uint`
    Uint,
    /// `double`
    Double,
    /// An int or a double, as a schema says.
    Number,
    /// `string`
    String,
    /// `bytes`
    Bytes,
    /// `list`
    List,
    /// `map`
    Map,
    /// `null`
    Null,
    /// `timestamp`
    Timestamp,
    /// `duration`
    Duration,
    /// `type`
    Type,
    /// `optional`
    Optional,
}

impl Type {
    /// Returns the type's name as shown in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dyn => "dyn",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::Number => "number",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::List => "list",
            Self::Map => "map",
            Self::Null => "null",
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
            Self::Type => "type",
            Self::Optional => "optional",
        }
    }

    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double | Self::Number)
    }

    /// Returns whether a value of this type may be one of the other type.
    pub(super) fn may_be(self, other: Self) -> bool {
        let is_either = |one: Self, other: Self| {
            one == Self::Number && matches!(other, Self::Int | Self::Double)
        };
        self == other
            || self == Self::Dyn
            || other == Self::Dyn
            || is_either(self, other)
            || is_either(other, self)
    }
}

/// One overload of a function. The first argument of a method is the value that it is called on.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// The name in a call: `size`, `math.abs`.
    pub name: &'static str,
    /// Whether it is called on a value: `x.size()`.
    pub method: bool,
    /// The argument types.
    pub takes: &'static [Type],
    /// The result type.
    pub gives: Type,
}

macro_rules! functions {
    ($($name:literal $kind:ident ($($takes:ident),*) -> $gives:ident;)*) => {
        &[$(Function {
            name: $name,
            method: functions!(@ $kind),
            takes: &[$(Type::$takes),*],
            gives: Type::$gives,
        }),*]
    };
    (@ function) => { false };
    (@ method) => { true };
}

static FUNCTIONS: &[Function] = functions! {
    "bool" function (Bool) -> Bool;
    "bool" function (String) -> Bool;
    "bytes" function (String) -> Bytes;
    "bytes" function (Bytes) -> Bytes;
    "double" function (Double) -> Double;
    "double" function (Int) -> Double;
    "double" function (Uint) -> Double;
    "double" function (String) -> Double;
    "duration" function (String) -> Duration;
    "duration" function (Duration) -> Duration;
    "dyn" function (Dyn) -> Dyn;
    "int" function (Int) -> Int;
    "int" function (Uint) -> Int;
    "int" function (Double) -> Int;
    "int" function (String) -> Int;
    "int" function (Timestamp) -> Int;
    "matches" function (String, String) -> Bool;
    "size" function (String) -> Int;
    "size" function (Bytes) -> Int;
    "size" function (List) -> Int;
    "size" function (Map) -> Int;
    "string" function (String) -> String;
    "string" function (Bool) -> String;
    "string" function (Int) -> String;
    "string" function (Uint) -> String;
    "string" function (Double) -> String;
    "string" function (Bytes) -> String;
    "string" function (Timestamp) -> String;
    "string" function (Duration) -> String;
    "timestamp" function (String) -> Timestamp;
    "timestamp" function (Timestamp) -> Timestamp;
    "timestamp" function (Int) -> Timestamp;
    "type" function (Dyn) -> Type;
    "uint" function (Uint) -> Uint;
    "uint" function (Int) -> Uint;
    "uint" function (Double) -> Uint;
    "uint" function (String) -> Uint;

    "contains" method (String, String) -> Bool;
    "endsWith" method (String, String) -> Bool;
    "matches" method (String, String) -> Bool;
    "size" method (String) -> Int;
    "size" method (Bytes) -> Int;
    "size" method (List) -> Int;
    "size" method (Map) -> Int;
    "startsWith" method (String, String) -> Bool;

    "charAt" method (String, Int) -> String;
    "format" method (String, List) -> String;
    "indexOf" method (String, String) -> Int;
    "indexOf" method (String, String, Int) -> Int;
    "join" method (List) -> String;
    "join" method (List, String) -> String;
    "lastIndexOf" method (String, String) -> Int;
    "lastIndexOf" method (String, String, Int) -> Int;
    "lowerAscii" method (String) -> String;
    "replace" method (String, String, String) -> String;
    "replace" method (String, String, String, Int) -> String;
    "reverse" method (String) -> String;
    "split" method (String, String) -> List;
    "split" method (String, String, Int) -> List;
    "strings.quote" function (String) -> String;
    "substring" method (String, Int) -> String;
    "substring" method (String, Int, Int) -> String;
    "trim" method (String) -> String;
    "upperAscii" method (String) -> String;

    "distinct" method (List) -> List;
    "flatten" method (List) -> List;
    "flatten" method (List, Int) -> List;
    "lists.range" function (Int) -> List;
    "reverse" method (List) -> List;
    "slice" method (List, Int, Int) -> List;
    "sort" method (List) -> List;

    "math.abs" function (Double) -> Double;
    "math.abs" function (Int) -> Int;
    "math.abs" function (Uint) -> Uint;
    "math.bitAnd" function (Int, Int) -> Int;
    "math.bitAnd" function (Uint, Uint) -> Uint;
    "math.bitNot" function (Int) -> Int;
    "math.bitNot" function (Uint) -> Uint;
    "math.bitOr" function (Int, Int) -> Int;
    "math.bitOr" function (Uint, Uint) -> Uint;
    "math.bitShiftLeft" function (Int, Int) -> Int;
    "math.bitShiftLeft" function (Uint, Int) -> Uint;
    "math.bitShiftRight" function (Int, Int) -> Int;
    "math.bitShiftRight" function (Uint, Int) -> Uint;
    "math.bitXor" function (Int, Int) -> Int;
    "math.bitXor" function (Uint, Uint) -> Uint;
    "math.ceil" function (Double) -> Double;
    "math.floor" function (Double) -> Double;
    "math.isFinite" function (Double) -> Bool;
    "math.isInf" function (Double) -> Bool;
    "math.isNaN" function (Double) -> Bool;
    "math.round" function (Double) -> Double;
    "math.sign" function (Double) -> Double;
    "math.sign" function (Int) -> Int;
    "math.sign" function (Uint) -> Uint;
    "math.sqrt" function (Double) -> Double;
    "math.sqrt" function (Int) -> Double;
    "math.sqrt" function (Uint) -> Double;
    "math.trunc" function (Double) -> Double;

    "optional.none" function () -> Optional;
    "optional.of" function (Dyn) -> Optional;
    "optional.ofNonZeroValue" function (Dyn) -> Optional;
    "hasValue" method (Optional) -> Bool;
    "or" method (Optional, Optional) -> Optional;
    "orValue" method (Optional, Dyn) -> Dyn;
    "value" method (Optional) -> Dyn;

    "getDate" method (Timestamp) -> Int;
    "getDate" method (Timestamp, String) -> Int;
    "getDayOfMonth" method (Timestamp) -> Int;
    "getDayOfMonth" method (Timestamp, String) -> Int;
    "getDayOfWeek" method (Timestamp) -> Int;
    "getDayOfWeek" method (Timestamp, String) -> Int;
    "getDayOfYear" method (Timestamp) -> Int;
    "getDayOfYear" method (Timestamp, String) -> Int;
    "getFullYear" method (Timestamp) -> Int;
    "getFullYear" method (Timestamp, String) -> Int;
    "getHours" method (Duration) -> Int;
    "getHours" method (Timestamp) -> Int;
    "getHours" method (Timestamp, String) -> Int;
    "getMilliseconds" method (Duration) -> Int;
    "getMilliseconds" method (Timestamp) -> Int;
    "getMilliseconds" method (Timestamp, String) -> Int;
    "getMinutes" method (Duration) -> Int;
    "getMinutes" method (Timestamp) -> Int;
    "getMinutes" method (Timestamp, String) -> Int;
    "getMonth" method (Timestamp) -> Int;
    "getMonth" method (Timestamp, String) -> Int;
    "getSeconds" method (Duration) -> Int;
    "getSeconds" method (Timestamp) -> Int;
    "getSeconds" method (Timestamp, String) -> Int;
};

/// Returns every function. Macros are not included: `has`, `all`, `exists`, `exists_one`, `map`,
/// `filter`, `transformList`, `transformMap`, `optMap`, `optFlatMap`, `sortBy`, `math.greatest`,
/// `math.least` and `cel.bind`.
#[must_use]
pub fn functions() -> &'static [Function] {
    FUNCTIONS
}

/// Returns whether a name is a namespace of functions, like `math` in `math.abs`.
pub(super) fn is_namespace(name: &str) -> bool {
    matches!(name, "lists" | "math" | "optional" | "strings")
}
