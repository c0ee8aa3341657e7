//! JSON values as the interpreter sees them. Lists and objects are shared, so that passing one to a
//! loop variable copies nothing, and objects are sorted by key.

use std::sync::Arc;

use cel::ExecutionError;
use cel::common::traits::{self, Adder, Container, Indexer, Iterable, Sizer, Zeroer};
use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelNull, CelString, CelUInt, LIST_TYPE, MAP_TYPE, Type,
};
use cel::common::value::{CowVal, Val};

use super::number::{Big, Double};

static LIST: Type = LIST_TYPE;
static MAP: Type = MAP_TYPE;

/// One JSON value.
#[derive(Clone, Debug)]
pub enum Node<'v> {
    /// `null`.
    Null(CelNull),
    /// `true` or `false`.
    Bool(CelBool),
    /// An integer within i64.
    Int(CelInt),
    /// An integer beyond i64.
    Big(Big),
    /// Any other number.
    Double(Double<'v>),
    /// A string.
    Text(CelString<'v>),
    /// An array.
    List(List<'v>),
    /// An object.
    Object(Object<'v>),
}

/// An array.
#[derive(Clone, Debug)]
pub struct List<'v>(pub(super) Arc<Vec<Node<'v>>>);

/// An object, sorted by key.
#[derive(Clone, Debug)]
pub struct Object<'v>(pub(super) Arc<Vec<(CelString<'v>, Node<'v>)>>);

impl<'v> Node<'v> {
    /// Creates an array.
    pub(crate) fn list(items: Vec<Self>) -> Self {
        Self::List(List(Arc::new(items)))
    }

    /// Creates a double that was not parsed from JSON.
    pub(crate) fn double(value: CelDouble) -> Self {
        Self::Double(Double { value, text: "" })
    }

    /// Copies the value out of the text that it was parsed from.
    #[must_use]
    pub fn to_static(&self) -> Node<'static> {
        let text = |text: &CelString<'_>| CelString::from(text.inner().to_owned());
        match self {
            Self::Null(null) => Node::Null(*null),
            Self::Bool(bool) => Node::Bool(*bool),
            Self::Int(int) => Node::Int(*int),
            Self::Big(big) => Node::Big(big.clone()),
            Self::Double(double) => Node::double(double.value),
            Self::Text(it) => Node::Text(text(it)),
            Self::List(list) => Node::list(list.0.iter().map(Node::to_static).collect()),
            Self::Object(object) => {
                let members = object.0.iter().map(|(key, node)| (text(key), node.to_static()));
                Node::Object(Object(Arc::new(members.collect())))
            }
        }
    }

    /// Returns whether the value is an integer beyond 64 bits or contains one.
    #[must_use]
    pub fn has_big(&self) -> bool {
        match self {
            Self::Big(_) => true,
            Self::List(list) => list.0.iter().any(Node::has_big),
            Self::Object(object) => object.0.iter().any(|(_, node)| node.has_big()),
            _ => false,
        }
    }

    /// Returns what the value is, in the words of TOML and JSON.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null(_) => "null",
            Self::Bool(_) => "a bool",
            Self::Int(_) => "an integer",
            Self::Big(_) => "an integer beyond 64 bits",
            Self::Double(_) => "a number with a fraction",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "a table",
        }
    }

    /// Returns the names of the members; none if this is no object.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let members = match self {
            Self::Object(object) => object.0.as_slice(),
            _ => &[],
        };
        members.iter().map(|(key, _)| key.inner())
    }

    /// Returns the items; none if this is no array.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        match self {
            Self::List(list) => &list.0,
            _ => &[],
        }
    }

    /// Returns the value as the interpreter's type.
    #[must_use]
    pub fn val(&self) -> &(dyn Val + 'v) {
        match self {
            Self::Null(null) => null,
            Self::Bool(bool) => bool,
            Self::Int(int) => int,
            Self::Big(big) => big,
            Self::Double(double) => &double.value,
            Self::Text(text) => text,
            Self::List(list) => list,
            Self::Object(object) => object,
        }
    }

    /// Returns the member with this name if this is an object that has it.
    #[must_use]
    pub fn member(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(object) => object.find(key),
            _ => None,
        }
    }

    /// Returns the item at this index if this is an array that is long enough.
    #[must_use]
    pub fn item(&self, at: usize) -> Option<&Self> {
        match self {
            Self::List(list) => list.0.get(at),
            _ => None,
        }
    }
}

impl<'v> Object<'v> {
    fn find(&self, key: &str) -> Option<&Node<'v>> {
        let at = self.0.binary_search_by(|(name, _)| name.inner().cmp(key)).ok()?;
        self.0.get(at).map(|(_, node)| node)
    }
}

impl<'v> Val for List<'v> {
    fn get_type(&self) -> &Type {
        &LIST
    }

    fn cel_type() -> &'static Type {
        &LIST
    }

    fn as_adder<'b, 'w>(&'b self) -> Option<&'b (dyn Adder + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_indexer<'b, 'w>(&'b self) -> Option<&'b (dyn Indexer + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_iterable<'b, 'w>(&'b self) -> Option<&'b (dyn Iterable + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn as_zeroer(&self) -> Option<&dyn Zeroer> {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        crate::condition::equal(self, other).unwrap_or(false)
    }

    fn clone_as_boxed<'w>(&self) -> Box<dyn Val + 'w>
    where
        Self: 'w,
    {
        Box::new(self.clone())
    }
}

impl Adder for List<'_> {
    fn add<'b, 'w>(&'b self, rhs: &(dyn Val + 'w)) -> Result<CowVal<'b, 'w>, ExecutionError>
    where
        Self: 'w,
    {
        let both = rhs.get_type().kind() == MAP.kind();
        let rhs = rhs.as_iterable().filter(|_| !both).ok_or_else(|| unexpected(rhs, "list"))?;
        let mut items: Vec<Box<dyn Val + 'w>> =
            self.0.iter().map(|item| item.val().clone_as_boxed()).collect();
        let mut rhs = rhs.iter();
        while let Some(item) = rhs.next() {
            items.push(item.clone_as_boxed());
        }
        Ok(CowVal::owned(CelList::from(items)))
    }
}

impl Container for List<'_> {
    fn contains(&self, value: &dyn Val) -> Result<bool, ExecutionError> {
        crate::condition::contains(self, value)
    }
}

impl<'v> Indexer for List<'v> {
    fn get<'b, 'w>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'w>, ExecutionError>
    where
        Self: 'w,
    {
        let at = place(index)?;
        let item = at.and_then(|at| self.0.get(at));
        item.map(|item| CowVal::Borrowed(item.val())).ok_or_else(|| {
            ExecutionError::IndexOutOfBounds(index.try_into().unwrap_or(cel::Value::Null))
        })
    }

    fn steal<'w>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'w>, ExecutionError>
    where
        Self: 'w,
    {
        self.get(index).map(CowVal::into_owned)
    }
}

/// Returns the position that an index names; `None` if no list can have it.
fn place(index: &dyn Val) -> Result<Option<usize>, ExecutionError> {
    if let Some(int) = index.downcast_ref::<CelInt>() {
        return Ok(usize::try_from(*int.inner()).ok());
    }
    if let Some(uint) = index.downcast_ref::<CelUInt>() {
        return Ok(usize::try_from(*uint.inner()).ok());
    }
    if let Some(double) = index.downcast_ref::<CelDouble>() {
        let double = *double.inner();
        // A list is far shorter than 2^32, and all whole doubles up to there are exact.
        if double.fract() == 0.0 {
            let exact = (0.0..4_294_967_296.0).contains(&double);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "in range"
            )]
            return Ok(exact.then_some(double as usize));
        }
    }
    Err(unexpected(index, "int"))
}

impl Iterable for List<'_> {
    fn iter<'b, 'w>(&'b self) -> Box<dyn traits::Iterator<'b, 'w> + 'b>
    where
        Self: 'w,
    {
        Box::new(Items(self.0.iter()))
    }
}

struct Items<'b, 'v>(std::slice::Iter<'b, Node<'v>>);

impl<'b, 'v: 'w, 'w> traits::Iterator<'b, 'w> for Items<'b, 'v> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'w)> {
        self.0.next().map(|node| node.val() as &(dyn Val + 'w))
    }
}

impl Sizer for List<'_> {
    fn size(&self) -> CelInt {
        CelInt::from(i64::try_from(self.0.len()).unwrap_or(i64::MAX))
    }
}

impl Zeroer for List<'_> {
    fn is_zero_value(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'v> Val for Object<'v> {
    fn get_type(&self) -> &Type {
        &MAP
    }

    fn cel_type() -> &'static Type {
        &MAP
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_indexer<'b, 'w>(&'b self) -> Option<&'b (dyn Indexer + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_iterable<'b, 'w>(&'b self) -> Option<&'b (dyn Iterable + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn as_zeroer(&self) -> Option<&dyn Zeroer> {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        crate::condition::equal(self, other).unwrap_or(false)
    }

    fn clone_as_boxed<'w>(&self) -> Box<dyn Val + 'w>
    where
        Self: 'w,
    {
        Box::new(self.clone())
    }
}

impl Container for Object<'_> {
    fn contains(&self, key: &dyn Val) -> Result<bool, ExecutionError> {
        Ok(key_text(key)?.is_some_and(|text| self.find(text).is_some()))
    }
}

impl<'v> Indexer for Object<'v> {
    fn get<'b, 'w>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'w>, ExecutionError>
    where
        Self: 'w,
    {
        let text = key_text(key)?;
        let found = text.and_then(|text| self.find(text));
        found
            .map(|node| CowVal::Borrowed(node.val()))
            .ok_or_else(|| ExecutionError::no_such_key(text.unwrap_or_default()))
    }

    fn steal<'w>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'w>, ExecutionError>
    where
        Self: 'w,
    {
        self.get(key).map(CowVal::into_owned)
    }
}

/// Returns the text of a key; `None` for a key type that maps allow but JSON objects lack.
fn key_text(key: &dyn Val) -> Result<Option<&str>, ExecutionError> {
    if let Some(text) = key.downcast_ref::<CelString<'_>>() {
        return Ok(Some(text.inner()));
    }
    let other = key.downcast_ref::<CelInt>().is_some()
        || key.downcast_ref::<CelUInt>().is_some()
        || key.downcast_ref::<CelDouble>().is_some()
        || key.downcast_ref::<CelBool>().is_some();
    if other { Ok(None) } else { Err(unexpected(key, "map key")) }
}

impl Iterable for Object<'_> {
    fn iter<'b, 'w>(&'b self) -> Box<dyn traits::Iterator<'b, 'w> + 'b>
    where
        Self: 'w,
    {
        Box::new(Keys(self.0.iter()))
    }
}

struct Keys<'b, 'v>(std::slice::Iter<'b, (CelString<'v>, Node<'v>)>);

impl<'b, 'v: 'w, 'w> traits::Iterator<'b, 'w> for Keys<'b, 'v> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'w)> {
        self.0.next().map(|(key, _)| key as &(dyn Val + 'w))
    }
}

impl Sizer for Object<'_> {
    fn size(&self) -> CelInt {
        CelInt::from(i64::try_from(self.0.len()).unwrap_or(i64::MAX))
    }
}

impl Zeroer for Object<'_> {
    fn is_zero_value(&self) -> bool {
        self.0.is_empty()
    }
}

fn unexpected(got: &dyn Val, want: &str) -> ExecutionError {
    ExecutionError::UnexpectedType { got: got.get_type().name().to_owned(), want: want.to_owned() }
}
