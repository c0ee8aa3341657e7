//! What has no members of its own: any JSON object, and bytes.

use std::borrow::Cow;

use serde::Deserialize;
use utoipa::openapi::schema::{
    AdditionalProperties, KnownFormat, Object, ObjectBuilder, SchemaFormat, Type,
};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Any JSON object.
#[derive(Clone, Debug, Deserialize)]
pub struct JsonObject(pub serde_json::Map<String, serde_json::Value>);

impl PartialSchema for JsonObject {
    fn schema() -> RefOr<Schema> {
        let object: Object = ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some("Any JSON object."))
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .build();
        object.into()
    }
}

impl ToSchema for JsonObject {
    fn name() -> Cow<'static, str> {
        "JsonObject".into()
    }
}

/// Bytes: a component, or the file of a store.
pub(in crate::api) struct Binary;

impl PartialSchema for Binary {
    fn schema() -> RefOr<Schema> {
        // `format: binary` is of OpenAPI 3.0; generators know it, and not `contentMediaType`.
        let bytes: Object = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
            .build();
        bytes.into()
    }
}

impl ToSchema for Binary {
    fn name() -> Cow<'static, str> {
        "Binary".into()
    }
}
