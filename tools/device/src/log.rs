// SPDX-License-Identifier: GPL-2.0

//! The log: lines on standard error.
//!
//! Drivers and clients cause lines, as many as they like, and standard error may be a pipe that
//! nobody reads. So a thread of its own writes them, no other thread waits for it, and each thread
//! may log a limited number of lines per second.

use std::cell::Cell;
use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::panic;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait to be written.
const DEPTH: usize = 1024;
/// Lines of a thread per [`PERIOD`].
const LIMIT: u32 = 100;
const PERIOD: Duration = Duration::from_secs(1);

/// Message to the writing thread.
enum Message {
    Line(Vec<u8>),
    /// The sender is dropped when all lines before are written.
    Flush(Sender<()>),
}

/// The log of the process.
#[derive(Clone)]
pub struct Log(SyncSender<Message>);

impl Log {
    /// Starts the log of the process, with lines of at least `level`.
    ///
    /// # Errors
    ///
    /// If the thread cannot be started.
    pub fn start(level: Level) -> io::Result<Self> {
        let (sender, receiver) = mpsc::sync_channel(DEPTH);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write(&receiver))?;
        let log = Self(sender);
        tracing_subscriber::fmt()
            .with_max_level(level)
            .with_writer(log.clone())
            .with_ansi(io::stderr().is_terminal())
            .with_target(false)
            .init();
        // The standard library's hook writes to standard error, and waits for it.
        panic::set_hook(Box::new(|info| tracing::error!("{info}")));
        Ok(log)
    }

    /// Waits until all lines are written, for at most [`PERIOD`].
    pub fn flush(&self) {
        let (done, wait) = mpsc::channel();
        if self.0.try_send(Message::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(PERIOD);
        }
    }
}

/// Writes lines until the log is dropped.
fn write(lines: &Receiver<Message>) {
    while let Ok(message) = lines.recv() {
        match message {
            // There is no other place to report an error.
            Message::Line(line) => drop(io::stderr().write_all(&line)),
            Message::Flush(done) => drop(done),
        }
    }
}

/// Lines of a thread in the current period.
#[derive(Clone, Copy)]
struct Count {
    since: Option<Instant>,
    lines: u32,
    dropped: u32,
}

thread_local! {
    static COUNT: Cell<Count> = const {
        Cell::new(Count {
            since: None,
            lines: 0,
            dropped: 0,
        })
    };
}

/// Counts a line of this thread. `None` if it is one too many, else the number of lines that were
/// dropped before.
fn count(now: Instant) -> Option<u32> {
    let mut count = COUNT.get();
    if count.since.is_none_or(|since| now >= since + PERIOD) {
        count.since = Some(now);
        count.lines = 0;
    }
    let fits = count.lines < LIMIT;
    let dropped = match fits {
        true => {
            count.lines += 1;
            std::mem::take(&mut count.dropped)
        }
        false => {
            count.dropped = count.dropped.saturating_add(1);
            0
        }
    };
    COUNT.set(count);
    fits.then_some(dropped)
}

/// A line in the making. It goes to the log when dropped.
pub struct Line<'a> {
    log: &'a Log,
    bytes: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let Some(dropped) = count(Instant::now()) else {
            return;
        };
        let mut bytes = std::mem::take(&mut self.bytes);
        if dropped != 0 {
            let note = format!("({dropped} lines of this thread were left out)\n");
            bytes.extend(note.as_bytes());
        }
        // Fails if nobody reads fast enough, or while the process exits.
        let _ = self.log.0.try_send(Message::Line(bytes));
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Line {
            log: self,
            bytes: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_logs_so_much_per_second() {
        let now = Instant::now();
        for _ in 0..LIMIT {
            assert_eq!(count(now), Some(0));
        }
        for _ in 0..5 {
            assert_eq!(count(now), None);
        }
        assert_eq!(thread::spawn(move || count(now)).join().ok(), Some(Some(0)));
        assert_eq!(count(now + PERIOD), Some(5));
        assert_eq!(count(now + PERIOD), Some(0));
    }
}
