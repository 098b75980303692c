// SPDX-License-Identifier: GPL-2.0

//! Tests of a hostile adapter's process.

mod guest;

use std::io::BufRead;
use std::io::BufReader;
use std::process::Stdio;

use guest::Device;
use guest::Guest;
use guest::works;
use nix::sys::signal::Signal;
use toe_abi::regs;

/// Reads the log up to the next line that says how many lies there were.
fn lies(log: &mut impl BufRead) -> u64 {
    loop {
        let mut line = String::new();
        assert_ne!(log.read_line(&mut line).expect("a log"), 0, "the end");
        let words: Vec<_> = line.split_whitespace().collect();
        if let Some(at) = words.iter().position(|&word| word == "lies") {
            return words[at - 1].parse().expect("a number");
        }
    }
}

#[test]
fn it_lies_between_two_signals_and_says_how_often() {
    let arguments = ["--hostile", "1,50%,off"];
    let mut device = Device::with_arguments("hostile", Stdio::piped(), &arguments);
    let mut log = BufReader::new(device.log());
    let mut guest = Guest::connect(&device.socket("a"));
    works(&mut guest);

    device.signal(Signal::SIGUSR2);
    assert_eq!([lies(&mut log), lies(&mut log)], [0, 0], "two functions");
    let read = |guest: &mut Guest| guest.read_register(regs::MAGIC);
    let wrong = (0..100).filter(|_| read(&mut guest) != regs::MAGIC_VALUE);
    assert_ne!(wrong.count(), 0);

    device.signal(Signal::SIGUSR2);
    assert_ne!(lies(&mut log), 0);
    assert_eq!(lies(&mut log), 0, "nobody has asked the other function");
    let wrong = (0..100).filter(|_| read(&mut guest) != regs::MAGIC_VALUE);
    assert_eq!(wrong.count(), 0);
    works(&mut guest);
    assert!(device.terminate());
}
