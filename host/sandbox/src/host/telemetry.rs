//! `wharf:step/telemetry`, and the standard output and error of programs.
//!
//! All of it is text from untrusted code on its way to terminals, files and
//! log collectors: it is capped, and characters that would do something there
//! are escaped.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::AsyncWrite;
use tokio::sync::mpsc::UnboundedSender;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wharf_model::event::{Event, Level, Stream};
use wharf_model::name::is_active;

use super::State;
use super::bindings::wharf::step::telemetry::{Host, Level as WitLevel};
use crate::limiter::{Budget, Exceeded};

/// Longest message or line, in bytes.
const MAX_MESSAGE: usize = 8 << 10;
/// Most fields of a message, and longest value of one, in bytes.
const MAX_FIELDS: (usize, usize) = (32, 1 << 10);
/// Longest name of a metric or field, in bytes.
const MAX_NAME: usize = 128;
/// What a message costs beyond its text, so that a flood of empty messages ends
/// too: about what an event takes in the host.
const EVENT_BYTES: u64 = 64;
/// What is written where a text was cut.
const CUT: &str = "… [cut]";

/// How far a step has come: the latest state only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Units done.
    pub done: u64,
    /// All units, where the step knows.
    pub total: Option<u64>,
    /// What is counted.
    pub unit: String,
}

/// Where a run's telemetry goes. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Telemetry {
    pub(crate) events: UnboundedSender<Event>,
    pub(crate) progress: Arc<Mutex<Progress>>,
    pub(crate) budget: Budget,
}

impl Telemetry {
    /// Sends an event, unless the run has said too much.
    fn send(&self, event: Event, bytes: usize) -> Result<(), Exceeded> {
        self.budget.spend(bytes as u64 + EVENT_BYTES)?;
        // Nobody listens any more: the run goes on, silently.
        let _ = self.events.send(event);
        Ok(())
    }
}

impl Host for State {
    fn log(
        &mut self,
        level: WitLevel,
        message: String,
        fields: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        let size = |message: &str, fields: &[(String, String)]| {
            let fields = fields.iter().map(|(name, value)| name.len() + value.len());
            message.len() + fields.sum::<usize>()
        };
        let given = size(&message, &fields);
        let kept = fields.iter().take(MAX_FIELDS.0);
        let kept = kept.map(|(name, value)| (clean(name, MAX_NAME), clean(value, MAX_FIELDS.1)));
        let (message, fields) = (clean(&message, MAX_MESSAGE), kept.collect::<Vec<_>>());
        // What is escaped is longer than what was given; what is cut is shorter.
        let bytes = given.max(size(&message, &fields));
        let event = Event::Log {
            level: level.into(),
            message,
            fields,
        };
        Ok(self.telemetry.send(event, bytes)?)
    }

    fn progress(&mut self, done: u64, total: Option<u64>, unit: String) -> wasmtime::Result<()> {
        let unit = clean(&unit, MAX_NAME);
        *lock(&self.telemetry.progress) = Progress { done, total, unit };
        Ok(())
    }

    fn metric(&mut self, name: String, value: f64, step: Option<u64>) -> wasmtime::Result<()> {
        let bytes = name.len();
        let event = match is_metric_name(&name) {
            true => Event::Metric { name, value, step },
            false => Event::Log {
                level: Level::Warn,
                message: format!(
                    "dropped a metric with the name `{}`",
                    clean(&name, MAX_NAME)
                ),
                fields: Vec::new(),
            },
        };
        Ok(self.telemetry.send(event, bytes)?)
    }
}

impl From<WitLevel> for Level {
    fn from(level: WitLevel) -> Self {
        match level {
            WitLevel::Trace => Self::Trace,
            WitLevel::Debug => Self::Debug,
            WitLevel::Info => Self::Info,
            WitLevel::Warn => Self::Warn,
            WitLevel::Error => Self::Error,
        }
    }
}

fn is_metric_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-/".contains(&b);
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(fits)
}

/// A text with everything escaped that is not meant to be looked at: control
/// characters but for tabs, and those that change the direction of text. Cut,
/// and marked as cut, past `most` bytes.
pub(crate) fn clean(text: &str, most: usize) -> String {
    let mut clean = String::with_capacity(text.len().min(most));
    for c in text.chars() {
        if clean.len() + c.len_utf8() > most {
            clean.push_str(CUT);
            break;
        }
        match c {
            '\t' => clean.push(c),
            c if is_active(c) => {
                // Writing to a string cannot fail.
                let _ = write!(clean, "{}", c.escape_default());
            }
            c => clean.push(c),
        }
    }
    clean
}

/// A guest that panics while it holds the lock is gone; the state is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The standard output or error of a program: lines become events.
#[derive(Clone, Debug)]
pub(crate) struct Printer {
    stream: Stream,
    telemetry: Telemetry,
    /// The line so far.
    line: Arc<Mutex<Vec<u8>>>,
}

impl Printer {
    pub(crate) fn new(stream: Stream, telemetry: &Telemetry) -> Self {
        Self {
            stream,
            telemetry: telemetry.clone(),
            line: Arc::default(),
        }
    }

    pub(crate) fn print(&self, bytes: &[u8]) -> Result<(), Exceeded> {
        let mut line = lock(&self.line);
        for &byte in bytes {
            if byte == b'\n' {
                self.end_line(&mut line)?;
            } else {
                line.push(byte);
                // A line that never ends must not grow.
                if line.len() > MAX_MESSAGE {
                    self.end_line(&mut line)?;
                }
            }
        }
        Ok(())
    }

    fn end_line(&self, line: &mut Vec<u8>) -> Result<(), Exceeded> {
        let bytes = line.len();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        let text = String::from_utf8_lossy(line);
        // Room for what is escaped: the length was capped before.
        let cleaned = clean(&text, 4 * MAX_MESSAGE);
        let bytes = bytes.max(cleaned.len());
        let event = Event::Print {
            stream: self.stream,
            line: cleaned,
        };
        line.clear();
        self.telemetry.send(event, bytes)
    }

    /// Sends what is left of a line that has no end.
    pub(crate) fn finish(&self) {
        let mut line = lock(&self.line);
        if !line.is_empty() {
            // Over the limit already: the outcome says so.
            let _ = self.end_line(&mut line);
        }
    }
}

impl IsTerminal for Printer {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Printer {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for it, which is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl OutputStream for Printer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.print(&bytes)
            .map_err(|exceeded| StreamError::Trap(exceeded.into()))
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

#[async_trait]
impl Pollable for Printer {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
    use wharf_model::limits::LimitKind;

    fn printer(most: u64) -> (Printer, UnboundedReceiver<Event>) {
        let (events, received) = unbounded_channel();
        let budget = Budget::new(LimitKind::LogBytes, most);
        let telemetry = Telemetry {
            events,
            progress: Arc::default(),
            budget,
        };
        (Printer::new(Stream::Stdout, &telemetry), received)
    }

    fn lines(mut received: UnboundedReceiver<Event>) -> Vec<String> {
        let mut lines = Vec::new();
        while let Ok(Event::Print { line, .. }) = received.try_recv() {
            lines.push(line);
        }
        lines
    }

    #[test]
    fn bytes_become_lines() {
        let (printer, received) = printer(10_000);
        for part in [&b"one\ntw"[..], b"o\r\n\n", b"th\xffree"] {
            printer.print(part).unwrap();
        }
        printer.finish();
        assert_eq!(lines(received), ["one", "two", "", "th\u{fffd}ree"]);
    }

    #[test]
    fn a_line_without_end_is_broken() {
        let (printer, received) = printer(100_000);
        printer.print(&vec![b'x'; 3 * MAX_MESSAGE]).unwrap();
        printer.finish();
        let lengths: Vec<_> = lines(received).iter().map(String::len).collect();
        assert_eq!(lengths, [MAX_MESSAGE + 1, MAX_MESSAGE + 1, MAX_MESSAGE - 2]);
    }

    #[test]
    fn even_empty_lines_are_counted() {
        let (printer, _received) = printer(10 * EVENT_BYTES);
        assert!(printer.print(&[b'\n'; 10]).is_ok());
        assert!(printer.print(b"\n").is_err());
    }

    #[test]
    fn nothing_reaches_the_terminal_but_text() {
        assert_eq!(
            clean("\x1b[31mred\u{202e}\0\n\tß", 100),
            "\\u{1b}[31mred\\u{202e}\\u{0}\\n\tß"
        );
        assert_eq!(clean("ßßß", 4), format!("ßß{CUT}"));
        assert_eq!(clean("abcd", 4), "abcd");
    }
}
