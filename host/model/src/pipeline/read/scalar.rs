//! Texts, numbers, sizes and lengths of time.

use std::str::FromStr;
use std::time::Duration;

use serde_json::Value as Json;

use super::super::given::has_expression;
use super::super::yaml::{Kind, Node};
use super::Reader;
use crate::limits::{Bytes, Millis};
use crate::name::Name;

impl Reader<'_> {
    /// A text.
    pub(super) fn text(&mut self, what: &str, node: &Node) -> Option<String> {
        match &node.kind {
            Kind::Text(text) => Some(text.value.clone()),
            Kind::Literal(Json::Null) | Kind::List(_) | Kind::Map(_) => {
                self.mismatch(what, "a text", node, None);
                None
            }
            Kind::Literal(_) => {
                self.mismatch(what, "a text", node, Some("put it in quotes"));
                None
            }
        }
    }

    /// A text that is the same in every run.
    pub(super) fn fixed_text(&mut self, what: &str, node: &Node) -> Option<String> {
        let text = self.text(what, node)?;
        if has_expression(&text) {
            let message = format!("{what} cannot have expressions");
            self.wrong(&node.span, message, None);
            return None;
        }
        Some(text)
    }

    /// A text that is read as something.
    pub(super) fn parsed<T: FromStr<Err: ToString>>(
        &mut self,
        what: &str,
        node: &Node,
    ) -> Option<T> {
        let text = self.fixed_text(what, node)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.wrong(&node.span, format!("{what}: {}", error.to_string()), None);
                None
            }
        }
    }

    /// The name of a pipeline.
    pub(super) fn artifact_name(&mut self, node: &Node) -> Option<Name> {
        let text = self.fixed_text("`name`", node)?;
        match Name::new(&text) {
            Ok(name) => Some(name),
            Err(error) => {
                self.wrong(&node.span, format!("`name`: {error}"), None);
                None
            }
        }
    }

    /// A whole number, in a range.
    pub(super) fn whole(&mut self, what: &str, node: &Node, least: u64, most: u64) -> Option<u64> {
        let number = match &node.kind {
            Kind::Literal(Json::Number(number)) => number.as_u64(),
            _ => None,
        };
        match number {
            Some(number) if (least..=most).contains(&number) => Some(number),
            _ => {
                let message = format!("{what} must be a whole number from {least} to {most}");
                self.wrong(&node.span, message, None);
                None
            }
        }
    }

    /// A number of bytes, at least one.
    pub(super) fn size(&mut self, what: &str, node: &Node) -> Option<Bytes> {
        let size = match &node.kind {
            Kind::Literal(Json::Number(_)) => self.whole(what, node, 0, u64::MAX).map(Bytes),
            _ => self.parsed(what, node),
        };
        match size {
            Some(Bytes(0)) => {
                self.wrong(&node.span, format!("{what} cannot be nothing"), None);
                None
            }
            size => size,
        }
    }

    /// A length of time that is not nothing.
    pub(super) fn positive_time(&mut self, what: &str, node: &Node) -> Option<Millis> {
        let time = self.time(what, node)?;
        if time.duration().is_zero() {
            self.wrong(&node.span, format!("{what} cannot be nothing"), None);
            return None;
        }
        Some(time)
    }

    /// A length of time; a number is seconds.
    pub(super) fn time(&mut self, what: &str, node: &Node) -> Option<Millis> {
        /// A year, in seconds.
        const MOST: u64 = 365 * 24 * 60 * 60;
        match &node.kind {
            Kind::Literal(Json::Number(_)) => {
                let seconds = self.whole(what, node, 0, MOST)?;
                Some(Millis::of(Duration::from_secs(seconds)))
            }
            _ => self.parsed(what, node),
        }
    }
}
