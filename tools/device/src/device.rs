// SPDX-License-Identifier: GPL-2.0

//! The adapter: creates functions, ports and workers from the command line and connects them.

use std::collections::HashMap;
use std::fs;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::os::unix::net::UnixListener;
use std::panic;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use toe_abi::feature;
use toe_engine::processor::Config;
use toe_engine::processor::Seed;
use tracing::info;

use crate::admin;
use crate::admin::Admin;
use crate::admin::Reporter;
use crate::cli::Options;
use crate::doorbells::Doorbells;
use crate::function;
use crate::function::Function;
use crate::host::Host;
use crate::hostile::Hostility;
use crate::impairment::WireClock;
use crate::links;
use crate::port::dgram::Dgram;
use crate::port::impaired::Impairment;
use crate::port::spec::FunctionSpec;
use crate::port::spec::PortSpec;
use crate::port::tap::Tap;
use crate::registers::Identity;
use crate::registers::Registers;
use crate::registers::StatusRegister;
use crate::waker::Waker;
use crate::worker;
use crate::worker::Control;
use crate::worker::Handle;
use crate::worker::PortPlan;
use crate::worker::SlotPlan;
use crate::worker::Worker;

/// Features offered to drivers.
const FEATURES: u64 = feature::TX_CSUM
    | feature::TSO4
    | feature::TSO6
    | feature::USO
    | feature::RX_CSUM
    | feature::RSS
    | feature::VLAN
    | feature::GRO
    | feature::DELEGATION
    | feature::ECN
    | feature::IMPAIR
    | feature::RULES
    | feature::LEGACY;

/// Payload fragments of a processor, per connection.
const FRAGMENTS: u32 = 8;
/// Minimum number of payload fragments of a processor.
const MIN_FRAGMENTS: u32 = 65_536;
/// Page identifiers per page ring of a processor.
const PAGES: u32 = 65_536;
/// Flows in the flow database of a processor.
const FLOWS: u32 = 16_384;
/// Limit for out-of-order frames held by a processor, in bytes.
const HOLD: u32 = 64 << 20;
/// Limit for out-of-order frames held for a connection, in bytes.
const HOLD_CONNECTION: u32 = 4 << 20;

/// The running adapter. Its sockets are removed on drop.
pub struct Device {
    workers: Vec<Handle>,
    /// Of each function, if the adapter is hostile.
    hostility: Vec<Arc<Hostility>>,
    sockets: Vec<PathBuf>,
}

/// Parts of a function during construction.
struct Parts {
    spec: FunctionSpec,
    listener: UnixListener,
    doorbells: Arc<Doorbells>,
    host: Arc<Host>,
    admin: mpsc::Sender<admin::ControlEvent>,
    events: Receiver<admin::ControlEvent>,
    mac: [u8; 6],
}

/// MAC address of a function for which none was given: locally administered, derived from the
/// socket path.
fn default_mac(socket: &Path, number: usize) -> [u8; 6] {
    let hash = socket.as_os_str().as_encoded_bytes().iter().fold(
        0xcbf2_9ce4_8422_2325_u64,
        |hash, &byte| {
            // FNV-1a.
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        },
    );
    let [a, b, c, ..] = hash.to_be_bytes();
    [0x02, b'T', a, b, c, number as u8]
}

/// For each function, the number of the function at the other end of its cable. Checks that every
/// cable has two ends.
fn cable_peers(ports: &[PortSpec]) -> Result<Vec<Option<usize>>> {
    let mut ends: HashMap<&str, Vec<usize>> = HashMap::new();
    for (number, port) in ports.iter().enumerate() {
        if let PortSpec::Cable(name) = port {
            ends.entry(name).or_default().push(number);
        }
    }
    let mut peers = vec![None; ports.len()];
    for (name, ends) in ends {
        let [a, b] = ends[..] else {
            bail!(
                "cable '{name}' has {} end(s): use --port cable:{name} for exactly two functions",
                ends.len()
            );
        };
        peers[a] = Some(b);
        peers[b] = Some(a);
    }
    Ok(peers)
}

impl Device {
    /// Starts the adapter. On return, every function can be attached.
    ///
    /// # Errors
    ///
    /// If options are inconsistent, or a socket, an interface or memory cannot be allocated.
    pub fn start(options: Options) -> Result<Self> {
        if options.functions.len() != options.ports.len() {
            bail!(
                "{} functions but {} ports: specify one --port per --function",
                options.functions.len(),
                options.ports.len()
            );
        }
        let processors = usize::from(options.processors);
        let vectors = processors + 1;
        let peers = cable_peers(&options.ports)?;
        let fragments = options
            .connections
            .saturating_mul(FRAGMENTS)
            .max(MIN_FRAGMENTS);

        let mut ports = Vec::new();
        for (number, (port, peer)) in options.ports.iter().zip(&peers).enumerate() {
            ports.push(open_port(port, number, *peer, processors)?.into_iter());
        }

        let mut device = Self {
            workers: Vec::new(),
            hostility: Vec::new(),
            sockets: Vec::new(),
        };
        let mut functions = Vec::new();
        for (number, spec) in options.functions.into_iter().enumerate() {
            let (admin, events) = mpsc::channel();
            let listener = function::listen(&spec.socket)
                .with_context(|| format!("cannot serve {}", spec.socket.display()))?;
            device.sockets.push(spec.socket.clone());
            let hostility = options
                .hostile
                .map(|spec| Arc::new(Hostility::new(spec, number, processors)));
            device.hostility.extend(hostility.clone());
            functions.push(Parts {
                listener,
                doorbells: Arc::new(
                    Doorbells::new(processors).context("cannot allocate memory for doorbells")?,
                ),
                host: Arc::new(
                    Host::new(vectors, hostility).context(
                        "cannot use asynchronous I/O: see fs.aio-max-nr, and CONFIG_AIO",
                    )?,
                ),
                admin,
                events,
                mac: spec
                    .mac
                    .unwrap_or_else(|| default_mac(&spec.socket, number)),
                spec,
            });
        }

        let seed = options
            .seed
            .unwrap_or_else(|| RandomState::new().hash_one(0));
        let mut receivers = Vec::new();
        let mut wakers = Vec::new();
        for _ in 0..processors {
            let (control, receiver) = mpsc::channel();
            let waker = Arc::new(Waker::new().context("cannot create an eventfd")?);
            device
                .workers
                .push(Handle::new(control, Arc::clone(&waker)));
            receivers.push(receiver);
            wakers.push(waker);
        }
        let mut outboxes: Vec<Vec<_>> = Vec::new();
        let mut inboxes: Vec<Vec<_>> = (0..processors).map(|_| Vec::new()).collect();
        for from in 0..processors {
            let mut row = Vec::new();
            for (to, waker) in wakers.iter().enumerate() {
                row.push((from != to).then(|| {
                    let (outbox, inbox) = links::link(Arc::clone(waker));
                    inboxes[to].push(inbox);
                    outbox
                }));
            }
            outboxes.push(row);
        }
        let epoch = Instant::now();
        let impairments: Vec<_> = functions
            .iter()
            .map(|_| {
                options.impair.map(|spec| Impairment {
                    profile: spec.0,
                    egress: Some(WireClock::default()),
                    ingress: Some(WireClock::default()),
                })
            })
            .collect();
        let parts = receivers.into_iter().zip(wakers).zip(outboxes).zip(inboxes);
        for (index, (((control, waker), outboxes), inboxes)) in parts.enumerate() {
            let slots = functions
                .iter()
                .zip(&mut ports)
                .zip(&impairments)
                .map(|((function, port), impairment)| SlotPlan {
                    config: Config {
                        index: index as u8,
                        processors: options.processors,
                        connections: options.connections,
                        fragments,
                        pages: PAGES,
                        flows: FLOWS,
                        hold: HOLD,
                        hold_connection: HOLD_CONNECTION,
                        mac: function.mac,
                        seed: Seed::new(seed.wrapping_add(index as u64)),
                    },
                    doorbells: Arc::clone(&function.doorbells),
                    host: Arc::clone(&function.host),
                    port: port.next().expect("a port has a queue for every processor"),
                    impairment: impairment.clone(),
                    reporter: Reporter::new(function.admin.clone()),
                })
                .collect();
            let plan = worker::Plan {
                index,
                control,
                waker,
                epoch,
                slots,
                outboxes,
                inboxes,
            };
            spawn(&format!("processor{index}"), move || {
                Worker::new(plan).run()
            })?;
        }

        let admins: Vec<_> = functions.iter().map(|f| f.admin.clone()).collect();
        for (number, parts) in functions.into_iter().enumerate() {
            let status = Arc::new(StatusRegister::default());
            let admin = Admin::new(admin::Plan {
                function: number,
                status: Arc::clone(&status),
                host: Arc::clone(&parts.host),
                workers: device.workers.clone(),
                events: parts.events,
                to_self: parts.admin.clone(),
                peer: peers[number].map(|peer| admins[peer].clone()),
            });
            let registers = Registers::new(Identity {
                features: FEATURES,
                processors: options.processors.into(),
                connections: options.connections,
                fragments,
                pages: PAGES,
                mac: parts.mac,
                max_mtu: toe_engine::MAX_MTU,
            });
            let function = Function::new(
                number,
                Host::clone(&parts.host),
                registers,
                status,
                parts.doorbells,
                parts.admin,
                device.workers.clone(),
            );
            spawn(&format!("admin{number}"), move || admin.run())?;
            spawn(&format!("function{number}"), move || {
                function.serve(parts.listener)
            })?;
            let [a, b, c, d, e, f] = parts.mac;
            info!(
                "function {number}: serving {} on {:?}, MAC address {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}",
                parts.spec.socket.display(),
                options.ports[number]
            );
        }
        Ok(device)
    }

    /// Makes a hostile adapter honest, and vice versa.
    pub fn toggle_hostility(&self) {
        for (number, hostility) in self.hostility.iter().enumerate() {
            let now = match hostility.toggle() {
                true => "hostile",
                false => "honest",
            };
            info!(
                "function {number}: {now} from now on, {}",
                hostility.tally()
            );
        }
    }

    /// Logs the counters of all processors, and the numbers of lies.
    pub fn report(&self) {
        for (number, hostility) in self.hostility.iter().enumerate() {
            info!("function {number}: {}", hostility.tally());
        }
        let (done, wait) = mpsc::channel();
        for worker in &self.workers {
            worker.send(Control::Report { done: done.clone() });
        }
        drop(done);
        // Ends when the last worker has dropped its sender.
        let _ = wait.recv();
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        for socket in &self.sockets {
            let _ = fs::remove_file(socket);
        }
    }
}

/// Starts a thread. It must not panic: others would wait for it. The process then exits, which
/// hosts survive.
fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
    let run = move || {
        if panic::catch_unwind(AssertUnwindSafe(run)).is_err() {
            process::abort();
        }
    };
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .with_context(|| format!("cannot start thread {name}"))?;
    Ok(())
}

/// Opens `port` with one queue per processor.
fn open_port(
    port: &PortSpec,
    number: usize,
    peer: Option<usize>,
    processors: usize,
) -> Result<Vec<PortPlan>> {
    let queue = |queue| PortPlan::Queue(queue);
    match port {
        PortSpec::Cable(_) => {
            let cable = peer.map_or(number, |peer| number.min(peer));
            Ok((0..processors).map(|_| PortPlan::Cable(cable)).collect())
        }
        PortSpec::Dgram { local, remote } => Ok(Dgram::open(local, remote, processors)
            .with_context(|| format!("cannot bind the datagram socket {}", local.display()))?
            .into_iter()
            .map(|port| queue(Box::new(port)))
            .collect()),
        PortSpec::Tap(name) => Ok(Tap::open(name, processors)
            .with_context(|| {
                format!(
                    "cannot attach to the TAP interface {name}: it must not be in use, and made \
                     with 'ip tuntap add dev {name} mode tap multi_queue vnet_hdr'"
                )
            })?
            .into_iter()
            .map(|port| queue(Box::new(port)))
            .collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cables_have_two_ends() {
        let cable = |name: &str| PortSpec::Cable(name.to_owned());
        let tap = PortSpec::Tap("t".to_owned());
        let peers = cable_peers(&[cable("a"), tap, cable("b"), cable("b"), cable("a")]);
        assert_eq!(
            peers.expect("two ends each"),
            [Some(4), None, Some(3), Some(2), Some(0)]
        );
        assert!(cable_peers(&[cable("a")]).is_err());
        assert!(cable_peers(&[cable("a"), cable("a"), cable("a")]).is_err());
    }

    #[test]
    fn default_addresses_are_unicast_local_and_distinct() {
        let a = default_mac(Path::new("/tmp/a"), 0);
        assert_eq!(a[0] & 3, 2);
        assert_ne!(a, default_mac(Path::new("/tmp/b"), 0));
        assert_ne!(a, default_mac(Path::new("/tmp/a"), 1));
    }
}
