//! Evaluates formulas.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::{Number, Value as Json};

use super::super::checked::{Formula, FormulaKind};
use super::super::diagnostic::Span;
use super::super::expression::Comparison;
use super::super::partition::DatePart;
use super::{Evaluated, EvaluationError, Scope, Value, wrong};

/// A value that is looked at where it is: results can be large, and an expression
/// often takes one field of them.
pub(super) enum View<'a, A: Clone> {
    Json(Cow<'a, Json>),
    Artifact(A),
    Artifacts(Cow<'a, [A]>),
    Absent,
}

impl<'a, A: Clone> View<'a, A> {
    fn of(value: &'a Value<A>) -> Self {
        match value {
            Value::Json(json) => Self::Json(Cow::Borrowed(json)),
            Value::Artifact(artifact) => Self::Artifact(artifact.clone()),
            Value::Artifacts(artifacts) => Self::Artifacts(Cow::Borrowed(artifacts)),
            Value::Absent => Self::Absent,
        }
    }

    pub(super) fn into_value(self) -> Value<A> {
        match self {
            Self::Json(json) => Value::Json(json.into_owned()),
            Self::Artifact(artifact) => Value::Artifact(artifact),
            Self::Artifacts(artifacts) => Value::Artifacts(artifacts.into_owned()),
            Self::Absent => Value::Absent,
        }
    }
}

type Viewed<'a, S> = Evaluated<View<'a, <S as Scope>::Artifact>>;

impl Formula {
    /// The value of the formula.
    pub(super) fn evaluate<'a, S: Scope>(&'a self, scope: &'a S) -> Viewed<'a, S> {
        match &self.kind {
            FormulaKind::Literal(json) => Ok(View::Json(Cow::Borrowed(json))),
            FormulaKind::Parameter(name) => self.there(scope.parameter(name).map(View::of)),
            FormulaKind::Item => self.there(scope.item().map(View::of)),
            FormulaKind::Results(step) => match scope.results(*step) {
                Some(results) => Ok(View::Json(Cow::Borrowed(results))),
                None => Err(EvaluationError::Skipped { step: *step }),
            },
            FormulaKind::Output { step, output, many } => match scope.outputs(*step, output) {
                Some(artifacts) => self.made(artifacts, *many),
                None => Err(EvaluationError::Skipped { step: *step }),
            },
            FormulaKind::OwnOutput { output, many } => match scope.own_outputs(output) {
                Some(artifacts) => self.made(artifacts, *many),
                None => self.there(None),
            },
            FormulaKind::Partition => {
                let name = scope.partition().map(|slice| slice.name.clone());
                self.there(name.map(owned))
            }
            FormulaKind::PartitionPart(part) => self.there(part_of(*part, scope).map(owned)),
            FormulaKind::Artifact(reference) => Ok(View::Artifact(scope.artifact(reference)?)),
            FormulaKind::Field(of, name) => self.field(of.evaluate(scope)?, name),
            FormulaKind::Index(of, index) => self.item(of.evaluate(scope)?, *index),
            FormulaKind::Not(of) => Ok(owned(!of.is_true(scope)?)),
            FormulaKind::Compare(how, left, right) => {
                let (left, right) = (left.json(scope)?, right.json(scope)?);
                Ok(owned(compare(*how, &left, &right)))
            }
            // What decides ends it: what comes after is not looked at.
            FormulaKind::All(parts) => Ok(owned(!has(parts, false, scope)?)),
            FormulaKind::Any(parts) => Ok(owned(has(parts, true, scope)?)),
        }
    }

    /// The value as JSON.
    pub(super) fn json<'a, S: Scope>(&'a self, scope: &'a S) -> Evaluated<Cow<'a, Json>> {
        match self.evaluate(scope)? {
            View::Json(json) => Ok(json),
            View::Absent => Ok(Cow::Owned(Json::Null)),
            View::Artifact(_) | View::Artifacts(_) => {
                wrong(&self.span, "wanted a value, got an artifact")
            }
        }
    }

    fn is_true<S: Scope>(&self, scope: &S) -> Evaluated<bool> {
        match &*self.json(scope)? {
            Json::Bool(value) => Ok(*value),
            other => wrong(&self.span, format!("wanted true or false, got {other}")),
        }
    }

    /// What the scope has, which is a bug where it has not.
    fn there<T>(&self, found: Option<T>) -> Evaluated<T> {
        match found {
            Some(found) => Ok(found),
            None => wrong(&self.span, "this has no value in this run"),
        }
    }

    /// What a step wrote: one artifact, or as many as it had items.
    fn made<'a, A: Clone>(&self, artifacts: &'a [A], many: bool) -> Evaluated<View<'a, A>> {
        match (many, artifacts) {
            (true, artifacts) => Ok(View::Artifacts(Cow::Borrowed(artifacts))),
            (false, [only]) => Ok(View::Artifact(only.clone())),
            (false, _) => self.there(None),
        }
    }

    fn field<'a, A: Clone>(&self, of: View<'a, A>, name: &str) -> Evaluated<View<'a, A>> {
        let field = match of {
            View::Json(Cow::Borrowed(json)) => json.get(name).map(Cow::Borrowed),
            View::Json(Cow::Owned(mut json)) => json.get_mut(name).map(Json::take).map(Cow::Owned),
            _ => None,
        };
        match field {
            Some(field) => Ok(View::Json(field)),
            None => wrong(&self.span, format!("there is no field `{name}` here")),
        }
    }

    fn item<'a, A: Clone>(&self, of: View<'a, A>, index: usize) -> Evaluated<View<'a, A>> {
        let (item, length) = match of {
            View::Json(Cow::Borrowed(json)) => {
                let length = json.as_array().map_or(0, Vec::len);
                let item = json.get(index).map(Cow::Borrowed);
                (item.map(View::Json), length)
            }
            View::Json(Cow::Owned(mut json)) => {
                let length = json.as_array().map_or(0, Vec::len);
                let item = json.get_mut(index).map(Json::take).map(Cow::Owned);
                (item.map(View::Json), length)
            }
            View::Artifacts(artifacts) => {
                let item = artifacts.get(index).cloned();
                (item.map(View::Artifact), artifacts.len())
            }
            View::Artifact(_) | View::Absent => (None, 0),
        };
        match item {
            Some(item) => Ok(item),
            None => {
                let message = format!("there is no item [{index}]: the list has {length}");
                wrong(&self.span, message)
            }
        }
    }
}

/// Whether one of several conditions is what is looked for.
fn has<S: Scope>(parts: &[Formula], wanted: bool, scope: &S) -> Evaluated<bool> {
    for part in parts {
        if part.is_true(scope)? == wanted {
            return Ok(true);
        }
    }
    Ok(false)
}

fn owned<'a, A: Clone>(json: impl Into<Json>) -> View<'a, A> {
    View::Json(Cow::Owned(json.into()))
}

fn part_of<S: Scope>(part: DatePart, scope: &S) -> Option<u32> {
    scope.partition()?.date.map(|date| part.of(date))
}

/// A scalar as a part of a text.
pub(super) fn text_of(json: &Json, span: &Span) -> Evaluated<String> {
    match json {
        Json::String(text) => Ok(text.clone()),
        Json::Bool(_) | Json::Number(_) => Ok(json.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => {
            wrong(span, format!("{json} cannot be a part of a text"))
        }
    }
}

fn compare(how: Comparison, left: &Json, right: &Json) -> bool {
    let order = order(left, right);
    match how {
        Comparison::Equal => is_equal(left, right, order),
        Comparison::NotEqual => !is_equal(left, right, order),
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::LessOrEqual => order.is_some_and(Ordering::is_le),
        Comparison::Greater => order == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
    }
}

fn is_equal(left: &Json, right: &Json, order: Option<Ordering>) -> bool {
    order.map_or_else(|| left == right, Ordering::is_eq)
}

/// The order of numbers, and of texts by their characters.
fn order(left: &Json, right: &Json) -> Option<Ordering> {
    match (left, right) {
        (Json::Number(left), Json::Number(right)) => order_of_numbers(left, right),
        (Json::String(left), Json::String(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

/// The order of numbers, exactly: no integer is rounded.
fn order_of_numbers(left: &Number, right: &Number) -> Option<Ordering> {
    match (left.as_i128(), right.as_i128()) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        (Some(left), None) => order_of_mixed(left, right.as_f64()?),
        (None, Some(right)) => order_of_mixed(right, left.as_f64()?).map(Ordering::reverse),
        (None, None) => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

fn order_of_mixed(whole: i128, float: f64) -> Option<Ordering> {
    let rest = 0.0_f64.partial_cmp(&float.fract())?;
    Some(whole.cmp(&(float.trunc() as i128)).then(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_compare_exactly() {
        let big = 9_007_199_254_740_993_u64;
        assert!(!compare(
            Comparison::Equal,
            &json!(big),
            &json!(9_007_199_254_740_992.0)
        ));
        assert!(compare(
            Comparison::Greater,
            &json!(big),
            &json!(9_007_199_254_740_992.0)
        ));
        assert!(compare(Comparison::Equal, &json!(5), &json!(5.0)));
        assert!(compare(Comparison::Greater, &json!(-1), &json!(-1.5)));
        assert!(compare(Comparison::Less, &json!(0.5), &json!(1)));
        assert!(compare(Comparison::Less, &json!(7), &json!(1e300)));
        assert!(compare(Comparison::LessOrEqual, &json!("a"), &json!("b")));
        assert!(compare(Comparison::NotEqual, &json!(null), &json!(1)));
    }
}
