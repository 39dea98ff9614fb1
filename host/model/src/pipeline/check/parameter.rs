//! Checks the defaults of parameters.

use std::path::PathBuf;

use serde_json::Value as Json;

use super::super::checked::{CheckedParameter, ParameterDefault};
use super::super::file::Declaration;
use super::super::given::{Given, GivenKind};
use super::Checker;
use crate::signature::{Arity, ParameterType};
use crate::value;
use crate::value_type::ValueType;

impl Checker<'_> {
    /// The parameters of the pipeline. `None` where one is wrong.
    pub(super) fn declarations(&mut self) -> Option<Vec<CheckedParameter>> {
        let pipeline = self.pipeline;
        let parameters: Vec<_> = pipeline
            .parameters
            .iter()
            .map(|declaration| self.declaration(declaration))
            .collect();
        parameters.into_iter().collect()
    }

    fn declaration(&mut self, declaration: &Declaration) -> Option<CheckedParameter> {
        let default = match &declaration.default {
            Some(given) => Some(self.default(declaration, given)?),
            None => default_of(&declaration.ty),
        };
        Some(CheckedParameter {
            name: declaration.name.text.clone(),
            ty: declaration.ty.clone(),
            default,
            description: declaration.description.clone(),
            span: declaration.name.span.clone(),
        })
    }

    fn default(&mut self, declaration: &Declaration, given: &Given) -> Option<ParameterDefault> {
        let what = format!("the default of `{}`", declaration.name.text);
        let ty = &declaration.ty;
        match (ty, &given.kind) {
            (ParameterType::Value { value }, _) => {
                let json = given.constant()?;
                match value::check_json(value, &json) {
                    Ok(json) => Some(ParameterDefault::Json(json)),
                    Err(error) => self.refuse(&given.span, format!("{what}: {error}"), None),
                }
            }
            (_, GivenKind::Text(path)) => {
                self.path(&what, path, &given.span)?;
                Some(ParameterDefault::Paths(vec![PathBuf::from(path)]))
            }
            (
                ParameterType::Input {
                    arity: Arity::Many, ..
                },
                GivenKind::List(items),
            ) => {
                let paths: Vec<_> = items
                    .iter()
                    .map(|item| self.default_path(&what, item))
                    .collect();
                Some(ParameterDefault::Paths(
                    paths.into_iter().collect::<Option<_>>()?,
                ))
            }
            _ => {
                let message = format!("{what}: wanted {ty}, got {}", given.what());
                let hint = "write a path, relative to this file";
                self.refuse(&given.span, message, Some(hint))
            }
        }
    }

    fn default_path(&mut self, what: &str, given: &Given) -> Option<PathBuf> {
        match &given.kind {
            GivenKind::Text(path) => {
                self.path(what, path, &given.span)?;
                Some(PathBuf::from(path))
            }
            _ => {
                let message = format!("{what}: wanted a path, got {}", given.what());
                self.refuse(&given.span, message, None)
            }
        }
    }
}

/// What a parameter without a default is: nothing, where its type has that.
fn default_of(ty: &ParameterType) -> Option<ParameterDefault> {
    match ty {
        ParameterType::Value {
            value: ValueType::Option { .. },
        } => Some(ParameterDefault::Json(Json::Null)),
        _ => None,
    }
}
