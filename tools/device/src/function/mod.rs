// SPDX-License-Identifier: GPL-2.0

//! A PCI function, served to one vfio-user client at a time.

mod answer;

use std::fs;
use std::io;
use std::io::ErrorKind;
use std::mem;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::panic;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use toe_abi::regs;
use tracing::debug;
use tracing::error;
use tracing::info;
use tracing::warn;

use crate::admin::ControlEvent;
use crate::config_space::ConfigSpace;
use crate::doorbells::Doorbells;
use crate::host::Host;
use crate::registers::Effect;
use crate::registers::Registers;
use crate::registers::StatusRegister;
use crate::vfio::connection::Connection;
use crate::vfio::connection::Error;
use crate::vfio::request;
use crate::vfio::request::Header;
use crate::vfio::request::command;
use crate::worker::Handle;

use self::answer::Answer;

/// Pause after a client could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// A PCI function.
pub struct Function {
    number: usize,
    config: ConfigSpace,
    registers: Registers,
    status: Arc<StatusRegister>,
    doorbells: Arc<Doorbells>,
    host: Host,
    /// The client has changed something.
    used: bool,
    admin: Sender<ControlEvent>,
    workers: Vec<Handle>,
}

/// Listens at `path`. Replaces a socket left behind by a process that has ended.
///
/// # Errors
///
/// If another process listens there, or the path cannot be bound.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            if UnixStream::connect(path).is_ok() {
                let text =
                    "socket in use by another process: stop that process or choose another path";
                return Err(io::Error::new(ErrorKind::AddrInUse, text));
            }
            fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
}

impl Function {
    /// Creates function `number`, with no client connected.
    pub fn new(
        number: usize,
        host: Host,
        registers: Registers,
        status: Arc<StatusRegister>,
        doorbells: Arc<Doorbells>,
        admin: Sender<ControlEvent>,
        workers: Vec<Handle>,
    ) -> Self {
        Self {
            number,
            config: ConfigSpace::new(host.vectors.len() as u16),
            registers,
            status,
            doorbells,
            host,
            used: false,
            admin,
            workers,
        }
    }

    /// Serves clients on `listener`, one after the other.
    pub fn serve(mut self, listener: UnixListener) {
        for stream in listener.incoming() {
            match stream {
                Ok(stream) => self.serve_client(stream),
                Err(error) => {
                    warn!("function {}: cannot accept a client: {error}", self.number);
                    thread::sleep(PAUSE);
                }
            }
        }
    }

    /// Serves one client. A panic ends no more than its connection.
    fn serve_client(&mut self, stream: UnixStream) {
        let served = panic::catch_unwind(AssertUnwindSafe(|| self.converse(stream)));
        let number = self.number;
        match served {
            // Whoever connects and goes is not worth a line in the log.
            Ok(Ok(())) if !self.used => debug!("function {number}: client disconnected"),
            Ok(Err(error)) if !self.used => debug!("function {number}: no client: {error}"),
            Ok(Ok(())) => info!("function {number}: client disconnected"),
            Ok(Err(error)) => warn!("function {number}: client connection failed: {error}"),
            Err(_) => error!("function {number}: client connection ended by a panic"),
        }
        if mem::take(&mut self.used) {
            self.reset_function();
            self.host.clear();
            self.publish_host();
        }
    }

    /// Answers the requests of one client until it closes the connection.
    fn converse(&mut self, stream: UnixStream) -> Result<(), Error> {
        let mut connection = Connection::new(stream)?;
        let mut agreed = false;
        while let Some(message) = connection.receive()? {
            let header = message.header;
            let answer = if agreed {
                self.answer(header.command, message.body, message.files)
            } else if header.command == command::VERSION {
                request::version(message.body).map(Answer::from)
            } else {
                Err(Errno::EINVAL)
            };
            agreed |= answer.is_ok();
            if let Err(error) = &answer {
                let Header { command, .. } = header;
                debug!(
                    "function {}: request {command} refused: {error}",
                    self.number
                );
            }
            if !header.silent {
                let body = answer.as_ref().map(|answer| &answer.body[..]);
                let with_file = answer.as_ref().is_ok_and(|answer| answer.doorbells);
                let file = with_file.then(|| self.doorbells.descriptor());
                connection.send(&header.answer(body.map_err(|&error| error)), file)?;
            }
            if !agreed {
                return Err(Error::Version);
            }
        }
        Ok(())
    }

    /// Sends `event` with a sender that is dropped when it has been handled, and waits for that.
    fn and_wait(&self, event: impl FnOnce(Sender<()>) -> ControlEvent) {
        let (done, wait) = mpsc::channel();
        // Both fail only while the process exits.
        let _ = self.admin.send(event(done));
        let _ = wait.recv();
    }

    fn publish_host(&self) {
        let host = Arc::new(self.host.clone());
        self.and_wait(|done| ControlEvent::Host(host, done));
    }

    /// Resets registers, rings and processors. Keeps configuration space and host.
    fn reset_device(&mut self) {
        self.registers.reset();
        self.and_wait(ControlEvent::Reset);
        self.doorbells.clear();
    }

    /// Performs a function-level reset.
    fn reset_function(&mut self) {
        self.reset_device();
        self.config.reset();
    }

    fn write_register(&mut self, offset: usize, value: u32) {
        match self.registers.write(offset, value, self.status.bits()) {
            Effect::None => {}
            Effect::Reset => self.reset_device(),
            Effect::Kick(processor) => self.workers[processor as usize].kick(),
            Effect::Enable(setup) => self.and_wait(|done| ControlEvent::Enable(setup, done)),
            Effect::Fail(why) => self.and_wait(|done| ControlEvent::Fail(why, done)),
            Effect::AdminProducer(index) => {
                self.and_wait(|done| ControlEvent::Producer(index, done));
            }
            Effect::AdminConsumer(index) => {
                self.and_wait(|done| ControlEvent::Consumer(index, done));
            }
        }
    }

    fn read_bar(&self, offset: usize, data: &mut [u8]) {
        data.fill(0);
        if offset >= regs::DOORBELLS {
            return self.doorbells.read(offset - regs::DOORBELLS, data);
        }
        let status = self.status.bits();
        for (i, byte) in data.iter_mut().enumerate() {
            let at = offset + i;
            *byte = self.registers.read(at & !3, status).to_le_bytes()[at & 3];
        }
        self.host.registers(data);
    }

    fn write_bar(&mut self, offset: usize, data: &[u8]) {
        if offset >= regs::DOORBELLS {
            return self.doorbells.write(offset - regs::DOORBELLS, data);
        }
        if offset % 4 != 0 || data.len() % 4 != 0 {
            debug!(
                "function {}: ignoring write of {} bytes to register {offset:#x}: not 4-byte aligned",
                self.number,
                data.len()
            );
            return;
        }
        for (i, word) in data.chunks_exact(4).enumerate() {
            let value = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
            self.write_register(offset + 4 * i, value);
        }
    }
}
