// SPDX-License-Identifier: GPL-2.0

//! The plugin: counts, and answers requests.

use crate::blocks::Blocks;
use crate::blocks::USER;
use crate::movs;
use crate::qemu;
use crate::qemu::Block;
use crate::qemu::Counter;
use crate::qemu::Scoreboard;
use crate::qemu::Translator;
use std::ffi::CStr;
use std::ffi::c_char;
use std::ffi::c_int;
use std::ffi::c_void;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::BufWriter;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// Number of blocks, several times that of a kernel under load.
const BLOCKS: usize = 1 << 19;

/// Counters of all blocks.
struct Counts {
    blocks: Mutex<Blocks>,
    scoreboard: Scoreboard,
}

/// Version of the interface that the plugin uses.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static qemu_plugin_version: c_int = qemu::VERSION;

/// Starts the plugin.
///
/// # Safety
///
/// QEMU calls it, with `count` pointers to strings in `arguments`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: u64,
    _info: *const c_void,
    count: c_int,
    arguments: *const *const c_char,
) -> c_int {
    let path = (0..usize::try_from(count).unwrap_or(0)).find_map(|index| {
        // SAFETY: as the caller guarantees.
        let argument = unsafe { CStr::from_ptr(*arguments.add(index)) };
        argument.to_str().ok()?.strip_prefix("socket=")
    });
    let Some(path) = path else {
        eprintln!("toe-count: the argument socket=PATH is missing");
        return 1;
    };
    match start(id, path) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("toe-count: {path}: {error}");
            1
        }
    }
}

fn start(id: u64, path: &str) -> io::Result<()> {
    let listener = UnixListener::bind(path)?;
    let counts: &Counts = Box::leak(Box::new(Counts {
        blocks: Mutex::new(Blocks::new(BLOCKS)),
        scoreboard: Scoreboard::new(2 * BLOCKS),
    }));
    qemu::register(id, counts);
    std::thread::Builder::new().spawn(move || {
        for client in listener.incoming().flatten() {
            // An error is the end of the client.
            let _ = counts.serve(&client);
        }
    })?;
    Ok(())
}

impl Translator for Counts {
    fn translate(&self, block: &Block<'_>) {
        let number = self.blocks().number(block.address());
        block.count(self.executed(number), block.len() as u64);
        if number == USER {
            return;
        }
        for instruction in block.instructions() {
            if let Some(bytes) = instruction.with_code(movs::step) {
                instruction.count_writes(self.copied(number), bytes);
            }
        }
    }
}

impl Counts {
    fn blocks(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Instructions executed in block `number`.
    fn executed(&self, number: usize) -> Counter {
        self.scoreboard.counter(2 * number)
    }

    /// Bytes copied by its string instructions.
    fn copied(&self, number: usize) -> Counter {
        self.scoreboard.counter(2 * number + 1)
    }

    fn serve(&self, client: &UnixStream) -> io::Result<()> {
        let mut output = BufWriter::new(client);
        for request in BufReader::new(client).lines() {
            match request?.as_str() {
                "sums" => self.sums(&mut output)?,
                "blocks" => self.each_block(&mut output)?,
                other => writeln!(output, "unknown request: {other}")?,
            }
            output.flush()?;
        }
        Ok(())
    }

    fn sums(&self, output: &mut impl Write) -> io::Result<()> {
        let (mut kernel, mut copied) = (0, 0);
        for (number, _) in self.blocks().kernel() {
            kernel += self.executed(number).sum();
            copied += self.copied(number).sum();
        }
        writeln!(output, "{kernel} {} {copied}", self.executed(USER).sum())
    }

    fn each_block(&self, output: &mut impl Write) -> io::Result<()> {
        let executed: Vec<_> = self
            .blocks()
            .kernel()
            .map(|(number, address)| {
                let sums = (self.executed(number).sum(), self.copied(number).sum());
                (address, sums)
            })
            .collect();
        for (address, (executed, copied)) in executed {
            if executed > 0 {
                writeln!(output, "{address:x} {executed} {copied}")?;
            }
        }
        writeln!(output)
    }
}
