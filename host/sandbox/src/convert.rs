//! Between JSON and the values of the component model.

use serde_json::{Map, Value as Json};
use wasmtime::component::Val;
use wharf_model::Fault;
use wharf_model::value_type::{IntegerType, ValueType};

/// A JSON value as a value of its type. The value was checked before
/// (`wharf_model::value`), so that a mismatch is a bug.
pub(crate) fn to_val(ty: &ValueType, json: &Json) -> Result<Val, Fault> {
    convert(ty, json).ok_or_else(|| Fault::internal(format!("a checked value is not a {ty}")))
}

fn convert(ty: &ValueType, json: &Json) -> Option<Val> {
    Some(match ty {
        ValueType::Bool => Val::Bool(json.as_bool()?),
        ValueType::Integer { integer } => to_integer(*integer, json)?,
        ValueType::F32 => Val::Float32(json.as_f64()? as f32),
        ValueType::F64 => Val::Float64(json.as_f64()?),
        ValueType::Char => Val::Char(json.as_str()?.chars().next()?),
        ValueType::String => Val::String(json.as_str()?.to_owned()),
        ValueType::List { item } => {
            let items = json.as_array()?.iter().map(|given| convert(item, given));
            Val::List(items.collect::<Option<_>>()?)
        }
        ValueType::Option { .. } if json.is_null() => Val::Option(None),
        ValueType::Option { some } => Val::Option(Some(Box::new(convert(some, json)?))),
        ValueType::Result { ok, err } => {
            let (name, payload) = json.as_object()?.iter().next()?;
            let payload = |ty: &Option<Box<ValueType>>| match ty {
                Some(ty) => Some(Some(Box::new(convert(ty, payload)?))),
                None => Some(None),
            };
            Val::Result(match &**name {
                "ok" => Ok(payload(ok)?),
                _ => Err(payload(err)?),
            })
        }
        ValueType::Tuple { items } => {
            let pairs = items.iter().zip(json.as_array()?);
            Val::Tuple(
                pairs
                    .map(|(ty, given)| convert(ty, given))
                    .collect::<Option<_>>()?,
            )
        }
        ValueType::Record { fields, .. } => {
            let object = json.as_object()?;
            let field = |field: &wharf_model::value_type::Field| {
                Some((
                    field.name.clone(),
                    convert(&field.ty, object.get(&field.name)?)?,
                ))
            };
            Val::Record(fields.iter().map(field).collect::<Option<_>>()?)
        }
        ValueType::Variant { cases, .. } => {
            let (name, payload) = match json {
                Json::String(name) => (name, None),
                json => json
                    .as_object()?
                    .iter()
                    .next()
                    .map(|(name, payload)| (name, Some(payload)))?,
            };
            let case = cases.iter().find(|case| case.name == *name)?;
            let payload = match (&case.ty, payload) {
                (Some(ty), Some(payload)) => Some(Box::new(convert(ty, payload)?)),
                _ => None,
            };
            Val::Variant(name.clone(), payload)
        }
        ValueType::Enum { .. } => Val::Enum(json.as_str()?.to_owned()),
        ValueType::Flags { .. } => {
            let names = json
                .as_array()?
                .iter()
                .map(|name| name.as_str().map(str::to_owned));
            Val::Flags(names.collect::<Option<_>>()?)
        }
    })
}

fn to_integer(ty: IntegerType, json: &Json) -> Option<Val> {
    let signed = || json.as_i64();
    let unsigned = || json.as_u64();
    Some(match ty {
        IntegerType::S8 => Val::S8(signed()?.try_into().ok()?),
        IntegerType::U8 => Val::U8(unsigned()?.try_into().ok()?),
        IntegerType::S16 => Val::S16(signed()?.try_into().ok()?),
        IntegerType::U16 => Val::U16(unsigned()?.try_into().ok()?),
        IntegerType::S32 => Val::S32(signed()?.try_into().ok()?),
        IntegerType::U32 => Val::U32(unsigned()?.try_into().ok()?),
        IntegerType::S64 => Val::S64(signed()?),
        IntegerType::U64 => Val::U64(unsigned()?),
    })
}

/// A value as JSON. Numbers that JSON cannot hold become the strings `NaN`,
/// `inf` and `-inf`.
pub(crate) fn to_json(val: &Val) -> Result<Json, Fault> {
    let list = |items: &[Val]| items.iter().map(to_json).collect::<Result<Vec<_>, _>>();
    let payload = |val: &Option<Box<Val>>| val.as_ref().map_or(Ok(Json::Null), |val| to_json(val));
    Ok(match val {
        Val::Bool(value) => (*value).into(),
        Val::S8(value) => (*value).into(),
        Val::U8(value) => (*value).into(),
        Val::S16(value) => (*value).into(),
        Val::U16(value) => (*value).into(),
        Val::S32(value) => (*value).into(),
        Val::U32(value) => (*value).into(),
        Val::S64(value) => (*value).into(),
        Val::U64(value) => (*value).into(),
        // The shortest digits that give the same f32, not those of its f64.
        Val::Float32(value) => value.to_string().parse::<f64>().map_or(Json::Null, float),
        Val::Float64(value) => float(*value),
        Val::Char(value) => value.to_string().into(),
        Val::String(value) | Val::Enum(value) => value.clone().into(),
        Val::List(items) | Val::Tuple(items) => list(items)?.into(),
        Val::Option(value) => payload(value)?,
        Val::Record(fields) => {
            let fields = fields
                .iter()
                .map(|(name, val)| Ok((name.clone(), to_json(val)?)));
            Json::Object(fields.collect::<Result<Map<_, _>, Fault>>()?)
        }
        Val::Variant(name, None) => name.clone().into(),
        Val::Variant(name, Some(value)) => single(name, to_json(value)?),
        Val::Result(Ok(value)) => single("ok", payload(value)?),
        Val::Result(Err(value)) => single("err", payload(value)?),
        Val::Flags(names) => names.clone().into(),
        Val::Map(_)
        | Val::Resource(_)
        | Val::Future(_)
        | Val::Stream(_)
        | Val::ErrorContext(_)
        | Val::FixedLengthList(_) => {
            return Err(Fault::internal(
                "a result has a type that signatures refuse",
            ));
        }
    })
}

fn single(name: &str, value: Json) -> Json {
    Json::Object(Map::from_iter([(name.to_owned(), value)]))
}

fn float(value: f64) -> Json {
    serde_json::Number::from_f64(value).map_or_else(|| value.to_string().into(), Json::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_survive_the_round_trip() {
        let list = |item| ValueType::List {
            item: Box::new(item),
        };
        let integer = |integer| ValueType::Integer { integer };
        let cases = [
            (ValueType::Bool, json!(true)),
            (integer(IntegerType::U64), json!(u64::MAX)),
            (integer(IntegerType::S64), json!(i64::MIN)),
            (integer(IntegerType::S8), json!(-128)),
            (ValueType::F32, json!(0.1)),
            (ValueType::F64, json!(0.1)),
            (ValueType::Char, json!("é")),
            (list(list(ValueType::String)), json!([["a"], []])),
            (
                ValueType::Option {
                    some: Box::new(ValueType::Bool),
                },
                Json::Null,
            ),
            (
                ValueType::Result {
                    ok: None,
                    err: Some(Box::new(ValueType::Bool)),
                },
                json!({"err": false}),
            ),
            (
                ValueType::Result {
                    ok: None,
                    err: None,
                },
                json!({"ok": null}),
            ),
            (
                ValueType::Tuple {
                    items: vec![ValueType::Bool, ValueType::F64],
                },
                json!([true, 2.5]),
            ),
        ];
        for (ty, json) in cases {
            let val = to_val(&ty, &json).unwrap();
            assert_eq!(to_json(&val).unwrap(), json, "{ty}");
        }
    }

    #[test]
    fn numbers_that_json_lacks_become_strings() {
        assert_eq!(to_json(&Val::Float64(f64::NAN)).unwrap(), json!("NaN"));
        assert_eq!(
            to_json(&Val::Float32(f32::NEG_INFINITY)).unwrap(),
            json!("-inf")
        );
    }
}
