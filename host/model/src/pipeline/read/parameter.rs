//! Parameters and partitions.

use std::collections::HashSet;

use serde_json::Value as Json;

use super::super::expression::Word;
use super::super::file::Declaration;
use super::super::given::Given;
use super::super::partition::{Every, MAX_PARTITIONS, Partition, VALUE_RULES, is_value};
use super::super::type_syntax;
use super::super::yaml::{Key, Kind, Node};
use super::{MAX_PARAMETERS, Reader};
use crate::signature::ParameterType;

/// The keys of a parameter.
pub(crate) const DECLARATION_KEYS: [&str; 3] = ["type", "default", "description"];

/// The keys of a partition.
pub(crate) const PARTITION_KEYS: [&str; 2] = ["every", "values"];

impl Reader<'_> {
    pub(super) fn parameters(&mut self, node: &Node) -> Vec<Declaration> {
        let entries = self
            .map("`parameters`", node)
            .filter(|entries| self.at_most(MAX_PARAMETERS, "parameters", entries, &node.span));
        let Some(entries) = entries else {
            self.unread.any_parameter = true;
            return Vec::new();
        };
        let declarations = entries.iter().filter_map(|(key, value)| {
            let declaration = self.declaration(key, value);
            if declaration.is_none() {
                self.unread.parameters.insert(key.text.clone());
            }
            declaration
        });
        declarations.collect()
    }

    fn declaration(&mut self, key: &Key, node: &Node) -> Option<Declaration> {
        let name = self.name("parameter", key);
        if let Kind::Text(_) = node.kind {
            return self.short_declaration(name, node);
        }
        let what = format!("parameter `{}`", name.text);
        let fields = self.fields(&what, node, &DECLARATION_KEYS)?;
        let Some(ty) = fields.get("type") else {
            let message = format!("{what} needs a `type`");
            self.wrong(
                &name.span,
                message,
                Some("write `type: string`, for example"),
            );
            return None;
        };
        let ty = self.parameter_type(ty);
        let default = fields.get("default").and_then(|node| self.constant(node));
        let description = fields
            .get("description")
            .and_then(|node| self.text("`description`", node));
        Some(Declaration {
            name,
            ty: ty?,
            default,
            description,
        })
    }

    fn short_declaration(&mut self, name: Word, node: &Node) -> Option<Declaration> {
        let ty = self.parameter_type(node)?;
        Some(Declaration {
            name,
            ty,
            default: None,
            description: None,
        })
    }

    fn parameter_type(&mut self, node: &Node) -> Option<ParameterType> {
        let text = self.fixed_text("`type`", node)?;
        match type_syntax::parse(&text) {
            Ok(ty) => Some(ty),
            Err((message, hint)) => {
                self.wrong(&node.span, message, hint.as_deref());
                None
            }
        }
    }

    /// A value without expressions.
    fn constant(&mut self, node: &Node) -> Option<Given> {
        let given = Given::read(self.text, node, self.found)?;
        if given.constant().is_none() {
            let message = "a default cannot have expressions";
            self.wrong(&node.span, message, None);
            return None;
        }
        Some(given)
    }

    pub(super) fn partition(&mut self, node: &Node) -> Option<Partition> {
        let fields = self.fields("`partition`", node, &PARTITION_KEYS)?;
        match (fields.get("every"), fields.get("values")) {
            (Some(every), None) => self.every(every).map(Partition::Every),
            (None, Some(values)) => self.values(values).map(Partition::Values),
            _ => {
                let message = "`partition` needs one of `every` and `values`";
                let hint = "write `{ every: month }`, for example";
                self.missing(&fields, &node.span, message, Some(hint));
                None
            }
        }
    }

    fn every(&mut self, node: &Node) -> Option<Every> {
        let text = self.fixed_text("`every`", node)?;
        match &*text {
            "month" => Some(Every::Month),
            "day" => Some(Every::Day),
            _ => {
                let message = format!("there are no partitions for every `{text}`");
                self.wrong(&node.span, message, Some("write `month` or `day`"));
                None
            }
        }
    }

    fn values(&mut self, node: &Node) -> Option<Vec<String>> {
        let items = self.list("`values`", node)?;
        if !self.at_most(MAX_PARTITIONS, "partitions", items, &node.span) {
            return None;
        }
        if items.is_empty() {
            self.wrong(&node.span, "`values` has no partition", None);
        }
        let mut seen = HashSet::new();
        let values: Vec<_> = items
            .iter()
            .map(|item| self.partition_value(item, &mut seen))
            .collect();
        values.into_iter().collect()
    }

    fn partition_value(&mut self, node: &Node, seen: &mut HashSet<String>) -> Option<String> {
        let text = match &node.kind {
            // `[2013, 2014]` means what it shows.
            Kind::Literal(Json::Number(_)) => self.text[node.span.clone()].to_owned(),
            _ => self.fixed_text("the name of a partition", node)?,
        };
        if !is_value(&text) {
            let message = format!("`{}` cannot name a partition", super::shortened(&text));
            self.wrong(
                &node.span,
                message,
                Some(&format!("names are {VALUE_RULES}")),
            );
            return None;
        }
        if !seen.insert(text.clone()) {
            let message = format!("the partition `{text}` is given twice");
            self.wrong(&node.span, message, Some("remove one of them"));
        }
        Some(text)
    }
}
