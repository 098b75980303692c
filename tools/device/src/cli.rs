// SPDX-License-Identifier: GPL-2.0

//! The command line.

use clap::Parser;
use tracing::Level;

use crate::port::spec::FunctionSpec;
use crate::port::spec::ImpairSpec;
use crate::port::spec::PortSpec;

/// Serves a toe adapter's PCI functions to QEMU over vfio-user.
///
/// Each --function is joined to the --port of the same place in the order. QEMU attaches a function
/// with -device '{"driver":"vfio-user-pci","socket":{"type":"unix","path":SOCKET}}'; the guest's
/// memory has to be shared (a memory-backend-memfd with share=on).
///
/// SIGUSR1 writes the counters to the log, SIGTERM and SIGINT end the process.
#[derive(Debug, Parser)]
#[command(
    name = "toe-device",
    version,
    after_help = "Two functions joined by a cable:\n  \
        toe-device --function a.sock --port cable:x --function b.sock --port cable:x"
)]
pub struct Options {
    /// Offload processors, each a thread
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u8).range(1..=toe_abi::MAX_PROCESSORS as i64))]
    pub processors: u8,

    /// Delegated connections that each processor of a function can hold
    #[arg(long, value_name = "N", default_value_t = 16_384,
          value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub connections: u32,

    /// What is logged: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: Level,

    /// Makes hash tables repeatable; random when not given
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// What befalls frames in every port, both ways, until the guest sets something else: some of
    /// loss=1%, duplicate=1%, reorder=1%, corrupt=1%, delay=10ms, jitter=500us, rate=100mbit,
    /// seed=7, with commas between them
    #[arg(long, value_name = "SPEC")]
    pub impair: Option<ImpairSpec>,

    /// A PCI function: the unix socket to serve it on
    #[arg(
        long = "function",
        value_name = "SOCKET[,mac=ADDRESS]",
        required = true
    )]
    pub functions: Vec<FunctionSpec>,

    /// What the function of the same place is joined to: cable:NAME (two functions with the same
    /// NAME are joined), dgram:LOCAL,REMOTE (unix datagram sockets as in QEMU's -netdev dgram),
    /// tap:INTERFACE (made with multi_queue and vnet_hdr)
    #[arg(long = "port", value_name = "SPEC", required = true)]
    pub ports: Vec<PortSpec>,
}
