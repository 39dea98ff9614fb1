//! What bounds a run, each over all that the run does together.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The limits of a run. `Default` gives what a run gets that asks for nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Limits {
    /// Bytes of linear memory and tables, over all of them. 1 GiB: what the
    /// table and model of an ordinary step need, on a machine that runs several.
    pub memory: Bytes,
    /// Wall time of the guest. 1 hour: long for a step, short for a mistake.
    pub time: Millis,
    /// Units of fuel, about one a wasm instruction; none for no limit. Unlike
    /// time it is the same on every machine, but it slows the step by a tenth
    /// or more.
    pub fuel: Option<u64>,
    /// Bytes written to all outputs. 16 GiB: fits the scratch disk of a pod.
    pub output: Bytes,
    /// Bytes of log messages, metrics, standard output and error. 4 MiB: more
    /// is data, and belongs in an output.
    pub log: Bytes,
    /// Handles open at a time: artifacts, streams, everything else. 1,024: the
    /// usual limit of open files.
    pub handles: u32,
    /// Bytes of the component. 128 MiB: the largest runtime seen, seven times.
    pub component: Bytes,
    /// Wall time to compile the component. 2 minutes.
    pub compile_time: Millis,
    /// Address space of the process that compiles. 4 GiB.
    pub compile_memory: Bytes,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: Bytes(GIB),
            time: Millis::of(Duration::from_secs(3600)),
            fuel: None,
            output: Bytes(16 * GIB),
            log: Bytes(4 * MIB),
            handles: 1024,
            component: Bytes(128 * MIB),
            compile_time: Millis::of(Duration::from_secs(120)),
            compile_memory: Bytes(4 * GIB),
        }
    }
}

/// Bytes that one call between guest and host may carry: 4 MiB of data, and
/// room for what describes it. Bounds the memory that a call can make the host
/// take at once.
pub const CALL_BYTES: usize = 5 << 20;

/// Bytes of data in one `read` or `write`. Larger chunks are no faster.
pub const CHUNK_BYTES: usize = 4 << 20;

/// Bytes of one request for randomness.
pub const RANDOM_BYTES: u64 = MIB;

/// Bytes of a step's results as JSON: they are kept in the record, and passed
/// through orchestrators.
pub const RESULT_BYTES: usize = 1 << 20;

/// Which limit a run exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LimitKind {
    /// [`Limits::memory`]
    Memory,
    /// [`Limits::time`]
    Time,
    /// [`Limits::fuel`]
    Fuel,
    /// [`Limits::output`]
    OutputBytes,
    /// [`Limits::log`]
    LogBytes,
    /// [`Limits::handles`]
    Handles,
    /// [`Limits::component`]
    ComponentBytes,
    /// [`Limits::compile_time`]
    CompileTime,
    /// [`Limits::compile_memory`]
    CompileMemory,
    /// [`CALL_BYTES`]
    CallBytes,
    /// [`RANDOM_BYTES`]
    RandomBytes,
    /// [`RESULT_BYTES`]
    ResultBytes,
    /// The most files of a tree.
    TreeFiles,
    /// The most core instances, memories or tables of a component.
    Instances,
    /// The guest's stack, 512 KiB.
    Stack,
}

impl LimitKind {
    /// All limits.
    pub const ALL: [Self; 15] = [
        Self::Memory,
        Self::Time,
        Self::Fuel,
        Self::OutputBytes,
        Self::LogBytes,
        Self::Handles,
        Self::ComponentBytes,
        Self::CompileTime,
        Self::CompileMemory,
        Self::CallBytes,
        Self::RandomBytes,
        Self::ResultBytes,
        Self::TreeFiles,
        Self::Instances,
        Self::Stack,
    ];

    /// What people can do about it.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::Memory => "raise it with --memory, or let the step hold less at a time",
            Self::Time => "raise it with --timeout, if the step is not stuck",
            Self::Fuel => "raise it with --fuel, if the step is not stuck",
            Self::OutputBytes => {
                "raise it with --max-output, if the step is meant to write that much"
            }
            Self::LogBytes => "raise it with --max-log, or let the step log less",
            Self::Handles => {
                "raise it with --max-handles, or let the step drop handles that it is done with"
            }
            Self::ComponentBytes => "raise it with --max-component, if you trust the component",
            Self::CompileTime => "raise it with --compile-timeout, if you trust the component",
            Self::CompileMemory => "raise it with --compile-memory, if you trust the component",
            Self::CallBytes => "the step must pass data in chunks of at most 4 MiB",
            Self::RandomBytes => "the step must ask for at most 1 MiB of randomness at a time",
            Self::ResultBytes => "results are small values; write large ones to an output",
            Self::TreeFiles => "the step must write fewer, larger files",
            Self::Instances => "the component is made of too many parts",
            Self::Stack => "the step recurses too deeply",
        }
    }

    /// The name in records and `--json`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Time => "time",
            Self::Fuel => "fuel",
            Self::OutputBytes => "output-bytes",
            Self::LogBytes => "log-bytes",
            Self::Handles => "handles",
            Self::ComponentBytes => "component-bytes",
            Self::CompileTime => "compile-time",
            Self::CompileMemory => "compile-memory",
            Self::CallBytes => "call-bytes",
            Self::RandomBytes => "random-bytes",
            Self::ResultBytes => "result-bytes",
            Self::TreeFiles => "tree-files",
            Self::Instances => "instances",
            Self::Stack => "stack",
        }
    }
}

impl fmt::Display for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A number of bytes. Written as people do: `512MiB`, `4 GB`, `1000`, or as in
/// Kubernetes: `512Mi`, `4G`.
///
/// ```
/// use wharf_model::limits::Bytes;
/// assert_eq!("512MiB".parse(), Ok(Bytes(512 << 20)));
/// assert_eq!("1.5 kB".parse(), Ok(Bytes(1500)));
/// assert_eq!("77".parse(), Ok(Bytes(77)));
/// assert_eq!("2Gi".parse(), Ok(Bytes(2 << 30)));
/// assert_eq!("2G".parse(), Ok(Bytes(2_000_000_000)));
/// assert!("12 parsecs".parse::<Bytes>().is_err());
/// assert!("-1".parse::<Bytes>().is_err());
/// assert_eq!(Bytes(1536).to_string(), "1.5 KiB");
/// assert_eq!(Bytes(1536).exact(), "1.5 KiB");
/// assert_eq!(Bytes(5_000_000).exact(), "5000000 B");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

impl Bytes {
    /// As it is shown, or in bytes where that would round it.
    #[must_use]
    pub fn exact(self) -> String {
        let shown = self.to_string();
        match shown.parse() == Ok(self) {
            true => shown,
            false => format!("{} B", self.0),
        }
    }
}

/// The units that people write, in the order that they are looked for. Single
/// letters mean what capital ones mean in Kubernetes: `Mi` is 1,048,576 and `M` is
/// 1,000,000. Nobody means thousandths of a byte by `m`.
const UNITS: [(&str, u64); 17] = [
    ("tib", 1 << 40),
    ("gib", GIB),
    ("mib", MIB),
    ("kib", 1 << 10),
    ("ti", 1 << 40),
    ("gi", GIB),
    ("mi", MIB),
    ("ki", 1 << 10),
    ("tb", 1_000_000_000_000),
    ("gb", 1_000_000_000),
    ("mb", 1_000_000),
    ("kb", 1_000),
    ("b", 1),
    ("t", 1_000_000_000_000),
    ("g", 1_000_000_000),
    ("m", 1_000_000),
    ("k", 1_000),
];

impl FromStr for Bytes {
    type Err = ParseBytesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.trim().to_ascii_lowercase();
        let (number, unit) = UNITS
            .iter()
            .find_map(|(name, unit)| lower.strip_suffix(name).map(|number| (number, *unit)))
            .unwrap_or((&lower, 1));
        let number = number.trim();
        if let Ok(whole) = number.parse::<u64>() {
            return whole.checked_mul(unit).map(Self).ok_or(ParseBytesError);
        }
        let plain = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        match number.parse::<f64>() {
            Ok(part) if plain && part * unit as f64 <= u64::MAX as f64 => {
                Ok(Self((part * unit as f64) as u64))
            }
            _ => Err(ParseBytesError),
        }
    }
}

/// A text that is not a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a size: write a number and a unit, such as 512MiB or 4GB")]
pub struct ParseBytesError;

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [
            ("TiB", 1u64 << 40),
            ("GiB", GIB),
            ("MiB", MIB),
            ("KiB", 1 << 10),
        ];
        match units.iter().find(|(_, unit)| self.0 >= *unit) {
            Some((name, unit)) if self.0.is_multiple_of(*unit) => {
                write!(f, "{} {name}", self.0 / unit)
            }
            Some((name, unit)) => write!(f, "{:.1} {name}", self.0 as f64 / *unit as f64),
            None => write!(f, "{} B", self.0),
        }
    }
}

/// A length of time, kept as whole milliseconds. Written as `90s`, `5m`,
/// `1h 30m` or `250ms`; a plain number is seconds.
///
/// ```
/// use std::time::Duration;
/// use wharf_model::limits::Millis;
/// assert_eq!("90s".parse(), Ok(Millis::of(Duration::from_secs(90))));
/// assert_eq!("1h 30m".parse(), Ok(Millis::of(Duration::from_secs(5400))));
/// assert_eq!("2".parse(), Ok(Millis::of(Duration::from_secs(2))));
/// assert!("soon".parse::<Millis>().is_err());
/// assert!("-5s".parse::<Millis>().is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(u64);

impl Millis {
    /// Rounds a duration down to whole milliseconds.
    #[must_use]
    pub const fn of(duration: Duration) -> Self {
        Self(duration.as_millis() as u64)
    }

    /// The duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

/// A text that is not a length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a length of time: write a number and a unit (h, m, s, ms), such as 90s, 5m or 1h 30m")]
pub struct ParseMillisError;

impl FromStr for Millis {
    type Err = ParseMillisError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(seconds) = text.trim().parse::<u64>() {
            return seconds.checked_mul(1000).map(Self).ok_or(ParseMillisError);
        }
        let duration = text
            .parse::<jiff::SignedDuration>()
            .map_err(|_| ParseMillisError)?;
        let millis = u64::try_from(duration.as_millis()).map_err(|_| ParseMillisError)?;
        Ok(Self(millis))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ms if ms < 1000 => write!(f, "{ms} ms"),
            ms if ms < 60_000 => write!(f, "{} s", ms as f64 / 1000.0),
            ms => {
                let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
                let parts = [(hours, "h"), (minutes, "min"), (seconds, "s")];
                let parts = parts.iter().filter(|(count, _)| *count > 0);
                let parts: Vec<_> = parts
                    .map(|(count, unit)| format!("{count} {unit}"))
                    .collect();
                f.write_str(&parts.join(" "))
            }
        }
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer)
            .map(Self)
            .map_err(de::Error::custom)
    }
}
