// SPDX-License-Identifier: GPL-2.0

//! Command line.

use clap::Parser;
use tracing::Level;

use crate::hostile::HostileSpec;
use crate::port::spec::FunctionSpec;
use crate::port::spec::ImpairSpec;
use crate::port::spec::PortSpec;

/// Serves a toe adapter's PCI functions to QEMU over vfio-user.
///
/// The first --function is connected to the first --port, the second to the second, and so on. QEMU
/// attaches a function with
/// -device '{"driver":"vfio-user-pci","socket":{"type":"unix","path":SOCKET}}'. The guest's memory
/// must be shared and sealed (memory-backend-memfd with share=on), without hugetlb.
///
/// SIGUSR1 logs the counters. SIGUSR2 makes a hostile adapter honest, and vice versa. SIGTERM and SIGINT terminate the process.
#[derive(Debug, Parser)]
#[command(
    name = "toe-device",
    version,
    after_help = "Connect two functions by a cable:\n  \
        toe-device --function a.sock --port cable:x --function b.sock --port cable:x"
)]
pub struct Options {
    /// Number of offload processors, one thread each
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u8).range(1..=toe_abi::MAX_PROCESSORS as i64))]
    pub processors: u8,

    /// Maximum number of delegated connections per processor of a function
    #[arg(long, value_name = "N", default_value_t = 16_384,
          value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub connections: u32,

    /// Log level: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: Level,

    /// Seed of the hash tables, for repeatable runs (default: random)
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Initial impairment of every port in both directions, as a comma-separated list of loss=1%,
    /// duplicate=1%, reorder=1%, corrupt=1%, delay=10ms, jitter=500us, rate=100mbit, seed=7
    #[arg(long, value_name = "SPEC")]
    pub impair: Option<ImpairSpec>,

    /// Lie to the guests at random, to test their driver: SEED repeats the lies of another run, as far as
    /// the guests do the same; RATE is the highest probability of a lie (default: 5%); with off, lie
    /// only after SIGUSR2
    #[arg(long, value_name = "SEED[,RATE][,off]")]
    pub hostile: Option<HostileSpec>,

    /// Add a PCI function, served on the Unix socket SOCKET
    #[arg(
        long = "function",
        value_name = "SOCKET[,mac=ADDRESS]",
        required = true
    )]
    pub functions: Vec<FunctionSpec>,

    /// Port of the corresponding --function: cable:NAME (connects the two functions with the same
    /// NAME), dgram:LOCAL,REMOTE (Unix datagram sockets as in QEMU's -netdev dgram) or
    /// tap:INTERFACE (created with multi_queue and vnet_hdr)
    #[arg(long = "port", value_name = "SPEC", required = true)]
    pub ports: Vec<PortSpec>,
}
