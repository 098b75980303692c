// SPDX-License-Identifier: GPL-2.0

//! The process under test.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStderr;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use toe_abi::PAGE_SIZE;

use super::wait;

/// The process under test with a directory for its sockets.
pub struct Device {
    child: Child,
    directory: PathBuf,
}

impl Device {
    /// Starts the device with two functions joined by a cable.
    pub fn cable(name: &str) -> Self {
        Self::with_log(name, Stdio::inherit())
    }

    /// As [`Device::cable`], with the log at `log`.
    pub fn with_log(name: &str, log: Stdio) -> Self {
        Self::with_arguments(name, log, &[])
    }

    /// As [`Device::with_log`], with more arguments.
    pub fn with_arguments(name: &str, log: Stdio, arguments: &[&str]) -> Self {
        let directory =
            std::env::temp_dir().join(format!("toe-device-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let socket = |name| directory.join(name);
        let child = Command::new(env!("CARGO_BIN_EXE_toe-device"))
            .args([
                "--processors",
                "2",
                "--connections",
                "64",
                "--log-level",
                "debug",
            ])
            .args(arguments)
            .arg("--function")
            .arg(socket("a"))
            .args(["--port", "cable:x", "--function"])
            .arg(socket("b"))
            .args(["--port", "cable:x"])
            .stderr(log)
            .spawn()
            .expect("the device starts");
        // The path exists before the device listens there.
        wait("the device", || UnixStream::connect(socket("b")).is_ok());
        Self { child, directory }
    }

    /// Path of a function's socket.
    pub fn socket(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The log, if it is a pipe.
    pub fn log(&mut self) -> ChildStderr {
        self.child.stderr.take().expect("a pipe")
    }

    /// Whether the process is still running.
    pub fn alive(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// CPU time used so far.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.expect("a running process");
        let fields: Vec<_> = stat
            .rsplit(')')
            .next()
            .expect("fields")
            .split(' ')
            .collect();
        let ticks: u64 = [12, 13]
            .iter()
            .map(|&i| fields[i].parse::<u64>().expect("ticks"))
            .sum();
        Duration::from_millis(ticks * 10)
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> usize {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id()));
        let statm = statm.expect("a running process");
        let pages = statm.split(' ').nth(1).expect("a field");
        pages.parse::<usize>().expect("pages") * PAGE_SIZE
    }

    /// Number of open descriptors.
    pub fn descriptors(&self) -> usize {
        let directory = std::fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        directory.expect("a running process").count()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(pid, signal).expect("a running process");
    }

    /// Terminates it with SIGTERM. Returns whether it exited successfully.
    pub fn terminate(&mut self) -> bool {
        self.signal(Signal::SIGTERM);
        self.child.wait().expect("a child").success()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
