//! Events of a run as lines.

use wharf_model::event::{Event, Level};

use super::plain;

/// An event as one line of text; `None` for those that are not for reading.
pub(crate) fn line(event: &Event) -> Option<String> {
    text(event).map(|text| plain(&text).into_owned())
}

fn text(event: &Event) -> Option<String> {
    match event {
        Event::Log {
            level,
            message,
            fields,
        } => {
            let fields: String = fields
                .iter()
                .map(|(name, value)| format!(" {name}={value}"))
                .collect();
            Some(format!("{:5} {message}{fields}", level_name(*level)))
        }
        Event::Print { line, .. } => Some(line.clone()),
        Event::Metric { name, value, step } => {
            let step = step
                .map(|step| format!(" (step {step})"))
                .unwrap_or_default();
            Some(format!("metric {name} = {value}{step}"))
        }
        Event::Compiling { .. }
        | Event::Started { .. }
        | Event::Progress { .. }
        | Event::Publishing => None,
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}
