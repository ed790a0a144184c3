//! `tracing` events into the server's log.

use std::ffi::CStr;
use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// Below the server's own limit for a line, with room for what it puts in front.
const LINE: usize = 4_096;

/// Where lines go.
pub trait Sink: Send + Sync + 'static {
    /// Asked for every event: an operator changes the debug level while the server runs.
    fn wants(&self, level: Level) -> bool;
    fn write(&self, level: Level, line: &CStr);
}

/// Formats events and hands them to a [`Sink`].
#[derive(Debug)]
pub struct ServerLog<S>(pub S);

impl<S: Sink> ServerLog<S> {
    /// Our own events as the debug level has it; what libraries say, only if it is a warning.
    fn takes(&self, metadata: &Metadata<'_>) -> bool {
        let ours = ["isp_core", "rlm_rust"]
            .iter()
            .any(|target| metadata.target().starts_with(target));
        (ours || *metadata.level() <= Level::WARN) && self.0.wants(*metadata.level())
    }
}

impl<S: Sink, T: Subscriber> Layer<T> for ServerLog<S> {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> tracing::subscriber::Interest {
        tracing::subscriber::Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, T>) -> bool {
        self.takes(metadata)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, T>) {
        let mut line = Line::default();
        event.record(&mut line);
        if let Ok(line) = CStr::from_bytes_until_nul(line.terminate()) {
            self.0.write(*event.metadata().level(), line);
        }
    }
}

/// A line of bounded length without a NUL in it.
#[derive(Default)]
pub struct Line(Vec<u8>);

impl Line {
    /// The bytes with a NUL behind them.
    pub fn terminate(&mut self) -> &[u8] {
        self.0.push(0);
        &self.0
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = LINE.saturating_sub(self.0.len());
        let mut end = text.len().min(room);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let taken = text.as_bytes().iter().take(end);
        self.0.extend(taken.map(|byte| if *byte == 0 { b'?' } else { *byte }));
        Ok(())
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = match field.name() {
            "message" => self.write_str(value),
            name => write!(self, " {name}={value}"),
        };
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self, "{value:?}"),
            name => write!(self, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone)]
    struct Lines(Level, Arc<Mutex<Vec<(Level, String)>>>);

    impl Sink for Lines {
        fn wants(&self, level: Level) -> bool {
            level <= self.0
        }

        fn write(&self, level: Level, line: &CStr) {
            self.1.lock().unwrap().push((level, line.to_str().unwrap().to_owned()));
        }
    }

    fn logged(level: Level, body: impl FnOnce()) -> Vec<(Level, String)> {
        let lines = Lines(level, Arc::default());
        let subscriber = tracing_subscriber::registry().with(ServerLog(lines.clone()));
        tracing::subscriber::with_default(subscriber, body);
        lines.1.lock().unwrap().clone()
    }

    #[test]
    fn messages_come_with_their_fields_and_without_nul() {
        let lines = logged(Level::INFO, || {
            tracing::info!(subscribers = 3, name = "a\0b", "loaded %s%n");
            tracing::debug!("not wanted");
        });
        assert_eq!(lines, [(Level::INFO, "loaded %s%n subscribers=3 name=a?b".to_owned())]);
    }

    #[test]
    fn long_lines_are_cut_at_a_character() {
        let lines = logged(Level::INFO, || tracing::info!("{}", "ö".repeat(LINE)));
        assert_eq!(lines[0].1.len(), LINE);
    }

    #[test]
    fn libraries_are_only_heard_when_they_warn() {
        let lines = logged(Level::TRACE, || {
            tracing::info!(target: "sqlx::query", "SELECT");
            tracing::warn!(target: "sqlx::pool", "slow");
        });
        assert_eq!(lines, [(Level::WARN, "slow".to_owned())]);
    }
}
